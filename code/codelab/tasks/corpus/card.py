"""The data card: what the corpus holds, where it comes from and what each filter took, as plain values.

Counts are files and bytes (bytes of UTF-8 text, not of the compressed files). Not covered: the miss rates of the
decontamination, which :mod:`codelab.tasks.corpus.disguises` measures and the build adds.
"""

from collections import Counter
from pathlib import Path
from typing import Any

from codelab.tasks.corpus import contamination, filters, select, similar, split
from codelab.tasks.corpus.benchmarks import HUMANEVAL_SHA256, MBPP_SHA256
from codelab.tasks.corpus.sources import Source


def make_card(
    sources: list[Source],
    *,
    facts: dict[str, dict[str, Any]],
    selection: dict[str, dict[str, str]],
    parts: dict[str, dict[str, Any]],
    texts: list[dict[str, Any]],
    pairs: dict[str, Any],
    given: Counter[str],
    benchmarks: tuple[Path, Path | None],
) -> dict[str, Any]:
    """Put the card together.

    Args:
        sources: the whole list.
        facts: shard facts by repository, for those that were read.
        selection: files left out as duplicates or over a share, by source slug.
        parts: facts of the cleaned parts by repository.
        texts: facts of the files of text, with the pairs found in each.
        pairs: facts of the file of instruction pairs.
        given: pairs kept, by repository.
        benchmarks: the files that the corpus was checked against; only their names go into the card.
    """
    taken: Counter[str] = Counter()
    for found in facts.values():
        taken.update(found["filters"])
    for left_out in selection.values():
        taken.update(left_out.values())
    taken["contaminated"] = sum(part["files_dropped"] for part in parts.values())
    rows = [
        _source_row(source, facts.get(source.repo), parts.get(source.repo)) | {"pairs": given[source.repo]}
        for source in sources
    ]
    held_out = [one for one in texts if one["name"].startswith("heldout")]
    outputs = [{key: one[key] for key in ("name", "rows", "text_bytes", "bytes", "sha256")} for one in (*texts, pairs)]
    return {
        "title": "Python corpus and instruction set",
        "rules": _rules(),
        "totals": {
            "sources_listed": len(sources),
            "sources_used": len(parts),
            "files_seen": sum(found["seen"] for found in facts.values()),
            "files": sum(one["rows"] for one in texts),
            "text_bytes": sum(one["text_bytes"] for one in texts),
            "held_out_files": sum(one["rows"] for one in held_out),
            "held_out_text_bytes": sum(one["text_bytes"] for one in held_out),
            "instructions": pairs["rows"],
            "instructions_before_duplicates": sum(one.get("pairs_found", 0) for one in texts),
            "described_functions_that_need_their_module": sum(one.get("dependent", 0) for one in texts),
        },
        "filters": dict(sorted(taken.items(), key=lambda item: -item[1])),
        "decontamination": _decontamination(parts, benchmarks),
        "licences": _grouped(rows, "licence"),
        "groups": _grouped(rows, "group"),
        "sources": rows,
        "outputs": outputs,
    }


def _rules() -> dict[str, Any]:
    return {
        "bytes_least": filters.MIN_BYTES,
        "bytes_most": filters.MAX_BYTES,
        "line_most_characters": filters.MAX_LINE,
        "non_ascii_most": filters.MAX_NON_ASCII,
        "code_tokens_least": filters.MIN_TOKENS,
        "literal_share_most": filters.MAX_LITERAL_SHARE,
        "near_duplicate_similarity": similar.THRESHOLD,
        "near_duplicate_shingle_tokens": similar.SHINGLE,
        "near_duplicate_permutations": similar.PERMUTATIONS,
        "repository_most_bytes_group_b": select.MOST_BYTES,
        "tests_most_share_group_b": select.MOST_TESTS,
        "held_out_share": split.HELD_OUT,
        "copy_window_tokens": contamination.COPY_WINDOW,
        "copy_share": contamination.COPY_SHARE,
        "structure_window_tokens": contamination.STRUCTURE_WINDOW,
        "structure_share": contamination.STRUCTURE_SHARE,
        "name_overlap_share": contamination.NAME_SHARE,
        "prompt_least_words": contamination.PROMPT_WORDS,
    }


def _source_row(source: Source, facts: dict[str, Any] | None, part: dict[str, Any] | None) -> dict[str, Any]:
    row: dict[str, Any] = {"repo": source.repo, "licence": source.licence, "group": source.group}
    if facts is None:
        return row | {"commit": source.commit, "left_out": "not read", "files": 0, "bytes": 0}
    row |= {
        "commit": facts["commit"],
        "commit_listed": facts["commit_listed"],
        "licences_seen": facts["licences"],
        "left_out": facts["refused"],
        "files_seen": facts["seen"],
        "files": 0,
        "bytes": 0,
    }
    return row if part is None else row | {"files": part["files"], "bytes": part["bytes"]}


def _grouped(rows: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    result = []
    for value in sorted({row[key] for row in rows}):
        those = [row for row in rows if row[key] == value and row["files"]]
        sums = {name: sum(row[name] for row in those) for name in ("files", "bytes", "pairs")}
        result.append({key: value, "sources": len(those), **sums})
    return sorted(result, key=lambda row: -row["bytes"])


def _decontamination(parts: dict[str, dict[str, Any]], benchmarks: tuple[Path, Path | None]) -> dict[str, Any]:
    counts: dict[str, Counter[str]] = {"files_hit": Counter(), "files_dropped": Counter(), "problems": Counter()}
    for part in parts.values():
        for name, counter in counts.items():
            counter.update(part["contamination"][name])
    problems = counts["problems"]
    return {
        "benchmarks": [
            {"file": benchmarks[0].name, "sha256": MBPP_SHA256},
            {"file": "HumanEval.jsonl.gz", "sha256": HUMANEVAL_SHA256},
        ],
        "files_hit": sum(part["files_hit"] for part in parts.values()),
        "files_hit_by_rule": {rule: counts["files_hit"][rule] for rule in contamination.RULES},
        "files_dropped": sum(part["files_dropped"] for part in parts.values()),
        "files_dropped_by_rule": {rule: counts["files_dropped"][rule] for rule in contamination.RULES},
        "bytes_dropped": sum(part["bytes_dropped"] for part in parts.values()),
        "functions_cut": sum(part["functions_cut"] for part in parts.values()),
        "mbpp_problems_found": sum(key.startswith("mbpp/") for key in problems),
        "humaneval_problems_found": sum(key.startswith("humaneval/") for key in problems),
        "found_in_most_files": [{"problem": key, "files": count} for key, count in problems.most_common(20)],
    }
