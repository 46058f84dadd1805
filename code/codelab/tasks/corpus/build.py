"""Stage 2: from shards to the corpus, its instruction set and its data card.

Output in one folder: ``train-NN.jsonl.zst`` and ``heldout-NN.jsonl.zst`` (text, source, path, licence, group; shuffled
by a frozen rule), ``instructions.jsonl.zst`` and ``card.json``, which is written last and holds the SHA-256 of the
others. Memory stays at one output file a process. Not covered: tokens; see :mod:`codelab.tasks.corpus.tokenise`.
"""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import zstandard

from codelab.errors import UserError
from codelab.records import sha256_file
from codelab.tasks.corpus.benchmarks import load_problems
from codelab.tasks.corpus.card import make_card
from codelab.tasks.corpus.cleaning import clean_all
from codelab.tasks.corpus.contamination import Detector
from codelab.tasks.corpus.disguises import miss_rates
from codelab.tasks.corpus.files import read_rows, write_json, write_rows
from codelab.tasks.corpus.instructions import extract
from codelab.tasks.corpus.lexing import lex
from codelab.tasks.corpus.read import shard_facts
from codelab.tasks.corpus.select import select
from codelab.tasks.corpus.sources import Source
from codelab.tasks.corpus.workers import pool as start_pool

PARTS = 16
"""Number of training files: about 40 MB of text each for the listed sources."""
INSTRUCTIONS = "instructions.jsonl.zst"
"""The instruction pairs' file."""


def build(
    sources: list[Source],
    *,
    shards: Path,
    out: Path,
    benchmarks: tuple[Path, Path | None],
    workers: int,
    report: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Build the corpus from the shards of the sources; those without a shard are left out and named in the card.

    Returns:
        The data card, as written to ``card.json``.

    Raises:
        UserError: no usable shard, or a benchmark file that is not the known one.
    """
    facts = {source.repo: found for source in sources if (found := shard_facts(source, shards)) is not None}
    usable = [source for source in sources if source.repo in facts and facts[source.repo]["refused"] is None]
    if not usable:
        raise UserError(f"corpus: no usable shard in {shards}; expected at least one source with a permissive licence")
    work = out / "work"
    work.mkdir(parents=True, exist_ok=True)
    selection = select(usable, shards, [facts[source.repo] for source in usable], work)
    report(f"selected: {sum(map(len, selection.values()))} duplicates and files over a repository's share left out")
    jobs = [(source, facts[source.repo], selection[source.slug]) for source in usable]
    parts = clean_all(jobs, shards=shards, work=work, benchmarks=benchmarks, workers=workers, report=report)
    outputs = _assemble(usable, work, out, workers)
    pairs, given = _instructions(work, out)
    card = make_card(
        sources,
        facts=facts,
        selection=selection,
        parts={part["source"]: part for part in parts},
        texts=outputs,
        pairs=pairs,
        given=given,
        benchmarks=benchmarks,
    )
    problems = load_problems(*benchmarks)
    card["decontamination"]["disguised_copies"] = miss_rates(problems, Detector(problems))
    write_json(out / "card.json", card)
    return card


def _assemble(sources: list[Source], work: Path, out: Path, workers: int) -> list[dict[str, Any]]:
    """Deal the rows of all parts into buckets by rank, then sort each bucket; returns facts of the files written."""
    buckets = work / "buckets"
    for stale in (buckets, work / "pairs"):
        shutil.rmtree(stale, ignore_errors=True)
    names = [f"train-{number:02d}" for number in range(PARTS)] + ["heldout-00"]
    jobs = [(names, [work / f"{source.slug}.jsonl.zst" for source in sources[turn::workers]], buckets / str(turn))
            for turn in range(workers)]  # fmt: skip
    with start_pool(workers) as pool:
        pool.map(_deal, jobs, chunksize=1)
        written = pool.map(_sort, [(name, buckets, out) for name in names], chunksize=1)
    shutil.rmtree(buckets)
    return written


def _deal(job: tuple[list[str], list[Path], Path]) -> None:
    names, parts, folder = job
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        writers = {
            name: stack.enter_context(
                zstandard.ZstdCompressor(level=1).stream_writer(
                    stack.enter_context((folder / f"{name}.jsonl.zst").open("wb"))
                )
            )
            for name in names
        }
        for part in parts:
            for row in read_rows(part):
                name = names[-1] if row["held_out"] else names[int(row["rank"] * PARTS)]
                writers[name].write(json.dumps(row, ensure_ascii=False).encode() + b"\n")


def _sort(job: tuple[str, Path, Path]) -> dict[str, Any]:
    name, buckets, out = job
    rows = [row for path in sorted(buckets.glob(f"*/{name}.jsonl.zst")) for row in read_rows(path)]
    rows.sort(key=lambda row: (row["rank"], row["source"], row["path"]))
    size = sum(len(row["text"].encode()) for row in rows)
    target = out / f"{name}.jsonl.zst"
    kept = ("text", "source", "path", "licence", "group")
    count = write_rows(target, ({key: row[key] for key in kept} for row in rows))
    facts = _file_facts(target, count, size)
    if rows and not rows[0]["held_out"]:
        facts |= _extract(rows, buckets.with_name("pairs") / f"{name}.jsonl.zst")
    return facts


def _extract(rows: list[dict[str, Any]], target: Path) -> dict[str, int]:
    """Write the instruction pairs of some files, as :mod:`codelab.tasks.instructions` reads them, repeats included."""
    dependent = 0

    def pairs() -> Iterator[dict[str, Any]]:
        nonlocal dependent
        for row in rows:
            found = extract(row["text"])
            dependent += found.dependent
            for one in found.pairs:
                pair: dict[str, Any] = {"text": one.instruction, "code": one.code, "entry_point": one.name}
                pair |= {"examples": list(one.examples), "source": f"{row['source']}/{row['path']}"}
                yield pair | {"licence": row["licence"], "group": row["group"], "repo": row["source"]}

    count = write_rows(target, pairs())
    return {"pairs_found": count, "dependent": dependent}


def _instructions(work: Path, out: Path) -> tuple[dict[str, Any], Counter[str]]:
    """Collect the pairs without repeated code or instruction; also returns how many each repository gave."""
    seen: set[bytes] = set()
    given: Counter[str] = Counter()
    size = 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal size
        for path in sorted((work / "pairs").glob("*.jsonl.zst")):
            for row in read_rows(path):
                tokens = "\0".join(lex(row["code"]).tokens).encode("utf-8", "surrogatepass")
                keys = {hashlib.sha256(tokens).digest(), hashlib.sha256(row["text"].lower().encode()).digest()}
                if keys & seen:
                    continue
                seen.update(keys)
                given[row.pop("repo")] += 1
                size += len(row["code"].encode())
                yield row

    target = out / INSTRUCTIONS
    count = write_rows(target, rows())
    return _file_facts(target, count, size), given


def _file_facts(path: Path, rows: int, text_bytes: int) -> dict[str, Any]:
    facts = {"name": path.name, "rows": rows, "text_bytes": text_bytes}
    return facts | {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
