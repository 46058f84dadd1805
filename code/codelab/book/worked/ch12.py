"""The data card's tables, reshaped from the corpus's record.

Not covered: building the corpus (``codelab.tasks.corpus``).
"""

from typing import Any

from codelab.book.facts import Facts
from codelab.book.formats import Markdown

FILTERS = {
    "size": "shorter or longer than allowed",
    "tests_share": "tests beyond a repository's share",
    "near_empty": "hardly any code",
    "exact_duplicate": "the same text as an earlier file",
    "near_duplicate": "nearly the code of an earlier file",
    "syntax": "not Python 3",
    "generated": "written by a program",
    "repository_share": "beyond a repository's share",
    "huge_literal": "mostly data in literals",
    "contaminated": "held benchmark problems",
    "vendored": "copied from elsewhere, by its folder",
    "non_ascii": "much outside ASCII",
    "long_lines": "overlong lines",
    "copyleft_header": "a copyleft licence in its header",
    "folder_licence": "a folder under another licence",
    "not_utf8": "not UTF-8",
}
RULES = {
    "test": "a benchmark's test with its answer",
    "prompt": "the task's words in a row",
    "copy": "copied tokens of the solution",
    "name": "same function name, alike tokens",
    "structure": "same structure, variables renamed",
}
GROUPS = {"a": "small programs: algorithms, exercises", "b": "libraries and applications"}


def filters(run: Facts) -> list[dict[str, Any]]:
    """Files taken by each filter, most first, with what the filter means."""
    return [
        {"filter": FILTERS.get(row["filter"], str(row["filter"]).replace("_", " ")), "files": row["files"]}
        for row in _rows(run, "filters")
    ]


def taken(run: Facts) -> dict[str, float]:
    """Files taken by each filter, by the filter's name in the record."""
    return {row["filter"]: float(row["files"]) for row in _rows(run, "filters")}


def reach(run: Facts) -> list[dict[str, float]]:
    """Characters a token by tokenizer, one mapping a kind of text."""
    found: dict[str, dict[str, float]] = {}
    for row in _rows(run, "tokenizers"):
        found.setdefault(row["texts"], {})[row["tokenizer"]] = float(row["characters_per_token"])
    return list(found.values())


def missed_in_all(run: Facts) -> dict[str, float]:
    """Copies that the detector missed, by disguise, over both benchmarks."""
    rows = _rows(run, "disguises")
    return {name: float(sum(row["missed"] for row in rows if row["disguise"] == name)) for name in
            dict.fromkeys(row["disguise"] for row in rows)}  # fmt: skip


def rule(run: Facts, name: str) -> float:
    """One of the rules' limits, as the record has it."""
    return float(next(row["value"] for row in _rows(run, "rules") if row["rule"] == name))


def contamination(run: Facts) -> list[dict[str, Any]]:
    """Files hit and dropped by each rule of the decontamination."""
    return [row | {"rule": RULES.get(row["rule"], row["rule"])} for row in _rows(run, "contamination")]


def disguises(run: Facts) -> list[dict[str, Any]]:
    """Copies of benchmark problems put through the detector: a row a disguise, both benchmarks side by side."""
    rows: dict[str, dict[str, Any]] = {}
    for row in _rows(run, "disguises"):
        found = rows.setdefault(row["disguise"], {"disguise": row["disguise"]})
        found |= {f"{row['benchmark']}_copies": row["copies"], f"{row['benchmark']}_missed": row["missed"]}
    return list(rows.values())


def missed(run: Facts, disguise: str, benchmark: str) -> dict[str, Any]:
    """One row of the detector's test, with the problems that it missed."""
    return next(row for row in _rows(run, "disguises") if (row["disguise"], row["benchmark"]) == (disguise, benchmark))


def groups(run: Facts) -> list[dict[str, Any]]:
    """Repositories, files, bytes and pairs of each group."""
    return [row | {"name": GROUPS.get(row["group"], row["group"])} for row in _rows(run, "groups")]


def largest(run: Facts, most: int) -> list[dict[str, Any]]:
    """The repositories that gave most text, with seven digits of their commits."""
    rows = sorted(_rows(run, "sources"), key=lambda row: -row["bytes"])[:most]
    return [row | {"commit": f"`{row['commit'][:7]}`"} for row in rows]


def repositories(run: Facts) -> Markdown:
    """Every repository by licence: one paragraph a licence, in the order of the record's licence table."""
    rows = _rows(run, "sources")
    paragraphs = []
    for entry in _rows(run, "licences"):
        names = sorted((row["repo"] for row in rows if row["licence"] == entry["licence"]), key=str.lower)
        paragraphs.append(f"**{entry['licence']}** ({len(names)}): {', '.join(names)}.")
    return Markdown("\n\n".join(paragraphs) + "\n")


def _rows(run: Facts, table: str) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in run.frame(table).to_dict("records")]
