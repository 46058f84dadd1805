"""Stage 2, part one: each shard becomes a decontaminated part, all cores at work.

A part is ``<source>.jsonl.zst`` (files), ``<source>.pairs.jsonl.zst`` and ``<source>.json`` (facts, written last); a
finished part whose parameters still match is left alone. Not covered: anything across sources.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from codelab.records import sha256_value
from codelab.tasks.corpus import contamination
from codelab.tasks.corpus.benchmarks import load_problems
from codelab.tasks.corpus.clean import Cleaned, clean, tally
from codelab.tasks.corpus.contamination import Detector
from codelab.tasks.corpus.files import read_json, read_rows, write_json, write_rows
from codelab.tasks.corpus.sources import Source
from codelab.tasks.corpus.split import is_held_out, rank
from codelab.tasks.corpus.workers import pool as start_pool

VERSION = 1

_DETECTOR: list[Detector] = []


def clean_all(
    jobs: list[tuple[Source, dict[str, Any], dict[str, str]]],
    *,
    shards: Path,
    work: Path,
    benchmarks: tuple[Path, Path | None],
    workers: int,
    report: Callable[[str], None],
) -> list[dict[str, Any]]:
    """Clean every shard.

    Args:
        jobs: source, its shard's facts, and the files left out by path (see :mod:`codelab.tasks.corpus.select`).
        shards: where the shards are.
        work: where the parts go.
        benchmarks: MBPP and HumanEval, as :func:`codelab.tasks.corpus.benchmarks.load_problems` takes them.
        workers: processes.
        report: takes one line a source.

    Returns:
        The facts of the parts, in the order of the jobs.
    """
    arguments = [(source, facts, left_out, shards, work) for source, facts, left_out in jobs]
    results = []
    with start_pool(workers, _start, benchmarks) as pool:
        for done in pool.imap(_clean_one, arguments, chunksize=1):
            results.append(done)
            report(
                f"{done['source']}: {done['files']} files, {done['bytes'] / 1e6:.1f} MB; "
                f"{done['functions_cut']} functions cut, {done['files_dropped']} files dropped"
            )
    return results


def _start(mbpp: Path, humaneval: Path | None) -> None:
    _DETECTOR.append(Detector(load_problems(mbpp, humaneval)))


def _clean_one(job: tuple[Source, dict[str, Any], dict[str, str], Path, Path]) -> dict[str, Any]:
    source, shard, left_out, shards, work = job
    rules = [contamination.COPY_SHARE, contamination.STRUCTURE_SHARE, contamination.NAME_SHARE, contamination.SHORTEST]
    key = sha256_value([VERSION, contamination.VERSION, rules, shard, left_out])
    facts_path = work / f"{source.slug}.json"
    known = read_json(facts_path)
    if isinstance(known, dict) and known.get("key") == key:
        return known
    results: list[Cleaned] = []
    totals: Counter[str] = Counter()

    def rows() -> Iterator[dict[str, Any]]:
        for row in read_rows(shards / f"{source.slug}.jsonl.zst"):
            if row["path"] in left_out:
                continue
            result = clean(row["text"], source.group, _DETECTOR[0])
            if result.hits:
                results.append(result)
            if result.text is None:
                totals["dropped_bytes"] += row["bytes"]
                continue
            totals["cut"] += result.cut
            facts = {"source": source.repo, "path": row["path"], "licence": source.licence, "group": source.group}
            totals["files"] += 1
            totals["bytes"] += len(result.text.encode())
            yield {
                "text": result.text,
                **facts,
                "held_out": is_held_out(source.repo, row["path"]),
                "rank": rank(source.repo, row["path"]),
            }

    write_rows(work / f"{source.slug}.jsonl.zst", rows())
    done = {
        "key": key,
        "source": source.repo,
        "files": totals["files"],
        "bytes": totals["bytes"],
        "functions_cut": totals["cut"],
        "files_dropped": sum(result.text is None for result in results),
        "bytes_dropped": totals["dropped_bytes"],
        "files_hit": len(results),
        "contamination": {name: dict(sorted(counts.items())) for name, counts in tally(results).items()},
    }
    write_json(facts_path, done)
    return done
