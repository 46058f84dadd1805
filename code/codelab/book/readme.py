"""The tables of README.md, written from records and recipes between markers, and whether they are still right.

Not covered: the text around them, and the book's own tables (``codelab.book.worked.runs``).
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from codelab.book import tables
from codelab.book.facts import Facts, history
from codelab.book.formats import show
from codelab.book.worked import runs as worked
from codelab.errors import UserError
from codelab.records import read_yaml

# What a row says of a run: the first of each group that the run has. Names are patterns; the newest run decides.
_HEADLINES = (
    (r"int8-t6\.weights_bytes", "weights in 8 bits", ".0f MB"),
    (r"nf4\.weights_bytes", "in 4 bits", ".0f MB"),
    (r"(\w[\w.-]*\.)?greedy\.pass@1\.difference", "greedy pass@1, difference", "+.1f points"),
    (r"(\w[\w.-]*\.)?(t[\d.]+|sampled)\.pass@1\.difference", "sampled", "+.1f points"),
    (r"greedy\.pass@1", "greedy pass@1", ".1f %"),
    (r"t[\d.]+\.pass@10", "pass@10", ".1f %"),
    (r"tokens_per_second", "training", ",.0f"),
    (r"sigmoid-batched\.times", "pretraining's step of today over the masked one", ".3f ×"),
    (r"final_loss", "final loss", ".2f"),
    (r"mutants_codelab_w2_samples_per_second", "samples judged a second", ".0f"),
    (r"instructions", "instructions", ",.0f"),
    (r"gpt2-train\.pass-only\.g8\.flat", "groups of 8 without variance, pass or fail", ".1f %"),
)


def update(root: Path) -> bool:
    """Write the tables of README.md again.

    Returns:
        Whether that changed the file.

    Raises:
        UserError: a marker is missing.
    """
    path = root / "README.md"
    before = _read(path)
    after = _filled(before, path)
    if after != before:
        path.write_text(after, encoding="utf-8")
    return after != before


def outdated(root: Path) -> list[str]:
    """One line where README.md says something else than the records and recipes; none where there is no README."""
    path = root / "README.md"
    if not path.exists():
        return []
    try:
        text = _read(path)
        fresh = _filled(text, path) == text
    except UserError as error:
        return [str(error)]
    return [] if fresh else ["README.md: its tables are not those of the records; run `codelab book readme`"]


def results(runs: list[Facts]) -> str:
    """A row for the newest successful run of each recipe that has something to say."""
    newest = {run.record.recipe.name: run for run in runs if run.record.state == "ok"}
    took = {row["recipe"]: row for row in worked.times(list(newest.values()))}
    rows = []
    for name, run in sorted(
        newest.items(), key=lambda item: (_place(item[1].record.recipe.values.get("question")), item[0])
    ):
        if not (said := "; ".join(_headlines(run))):
            continue
        row = took[f"`recipes/{name}.yaml`"]
        link = f"[`{name}`](results/{name}/{run.record.run}/record.json)"
        question = run.record.recipe.values.get("question")
        row |= {"question": str(question or "–"), "link": link, "said": said, "n": _tasks(run)}
        rows.append(row)
    columns = {"question": "Q.", "link": "Run", "said": "Result", "n": "Tasks", "device": "Device", "taken": "Time",
               "cpu": "Host (GB)", "gpu": "Device (GB)"}  # fmt: skip
    return _plain(rows, columns)


def reruns(root: Path, runs: list[Facts]) -> str:
    """A row for each recipe: its command, what it needs and takes, and what its runs cost so far."""
    spent = {row["recipe"].strip("`"): row for row in worked.cost(runs)}
    peaks = {row["recipe"]: row for row in worked.times(runs)}
    rows: list[dict[str, Any]] = []
    for path in sorted((root / "recipes").glob("*.yaml")):
        values: dict[str, Any] = read_yaml(path)
        hardware = values.get("hardware") or {}
        memory = f", {hardware['gpu_memory_gb']:g} GB" if hardware.get("gpu_memory_gb") else ""
        cost, peak = spent.get(path.stem), peaks.get(f"`recipes/{path.name}`", {})
        rows.append(
            {
                "question": str(values.get("question") or "–"),
                "command": f"`codelab run recipes/{path.name}`",
                "needs": f"GPU{memory}" if hardware.get("device") == "gpu" else "any machine",
                "expected": float(hardware.get("minutes", 0)) * 60,
                "cpu": peak.get("cpu"),
                "gpu": peak.get("gpu"),
                "runs": str(cost["runs"]) if cost else "none yet",
                "cost": cost["device_seconds"] or None if cost else None,
            }
        )
    rows.sort(key=lambda row: (_place(row["question"]), row["command"]))
    columns = {"question": "Q.", "command": "Command", "needs": "Needs", "expected": "Expected", "cpu": "Host (GB)",
               "gpu": "Device (GB)", "runs": "Runs", "cost": "GPU time so far"}  # fmt: skip
    return _plain(rows, columns)


def _plain(rows: list[dict[str, Any]], columns: dict[str, str]) -> str:
    formats = {"cpu": ".1f GB", "gpu": ".1f GB"}
    units = {"cpu": "bytes", "gpu": "bytes", "taken": "s", "expected": "s", "cost": "s"}
    return str(tables.show(rows, columns, formats, units)).strip() if rows else "No run is recorded yet."


def _headlines(run: Facts) -> Iterator[str]:
    told = ""
    for pattern, what, fmt in _HEADLINES:
        found = [(name, metric) for name, metric in run.record.metrics.items() if re.fullmatch(pattern, name)]
        if not found:
            continue
        name, metric = found[0]
        # A comparison of several pairs says which one it shows, once.
        pair = name.partition(".")[0] if len(found) > 1 and run.record.recipe.kind == "compare" else told
        which, told = f"{pair}: " if pair != told else "", pair
        interval = metric.low is not None and metric.high is not None
        unit = "" if what.endswith("a second") else metric.unit
        yield f"{which}{what} {run.ci(name, fmt) if interval else show(metric.value, fmt, unit)}"


def _tasks(run: Facts) -> str:
    counts = {metric.n for name, metric in run.record.metrics.items() if "pass@1" in name and metric.n}
    return str(max(counts)) if counts else "–"


def _place(question: Any) -> int:
    """Where a question's rows stand: those of none come last."""
    return int(question) if str(question).isdigit() else 99


def _filled(text: str, path: Path) -> str:
    runs = history()
    for name, body in (("results", results(runs)), ("reruns", reruns(path.parent, runs))):
        marks = re.compile(rf"(<!-- {name}: [^>]*-->\n).*?(<!-- end of {name} -->)", re.DOTALL)
        if not marks.search(text):
            raise UserError(f"{path.name}: the markers `<!-- {name}: … -->` and `<!-- end of {name} -->` are missing")
        text = marks.sub(lambda match, body=body: f"{match[1]}\n{body}\n\n{match[2]}", text)  # type: ignore[misc]
    return text


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
