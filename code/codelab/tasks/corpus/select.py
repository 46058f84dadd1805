"""Which rows of the shards enter the corpus: the first of each family of duplicates, within a repository's share.

Runs in one process over all shards, because duplicates cross repositories; it holds signatures, not texts, in memory
(about half a kilobyte a file). Not covered: how signatures are made; see :mod:`codelab.tasks.corpus.similar`.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from codelab.records import sha256_value
from codelab.tasks.corpus import similar
from codelab.tasks.corpus.files import read_json, read_rows, write_json
from codelab.tasks.corpus.sources import Source

VERSION = 1
MOST_BYTES = 20_000_000
"""The most that one repository of group b may give, in bytes."""
MOST_TESTS = 0.35
"""The largest share of a repository of group b, in bytes, that may be tests."""

Selection = dict[str, dict[str, str]]
"""Source slug to path to the name of the filter that leaves that file out."""


def select(sources: list[Source], shards: Path, facts: list[dict[str, Any]], work: Path) -> Selection:
    """Choose among all rows of all shards, or take the choice of an earlier run over the same shards.

    Args:
        sources: those with a usable shard, in the order that decides between duplicates.
        shards: where the shards are.
        facts: the shards' facts, one a source.
        work: folder that keeps the choice.
    """
    key = sha256_value([VERSION, similar.THRESHOLD, similar.SHINGLE, MOST_BYTES, MOST_TESTS, facts])
    kept = read_json(work / "selection.json")
    if isinstance(kept, dict) and kept.get("key") == key:
        selection: Selection = kept["selection"]
        return selection
    selection = _select(sources, shards)
    write_json(work / "selection.json", {"key": key, "selection": selection})
    return selection


def _select(sources: list[Source], shards: Path) -> Selection:
    selection: Selection = {source.slug: {} for source in sources}
    rows: list[tuple[str, str, int, bool]] = []
    hashes: set[str] = set()

    def signatures() -> Iterator[tuple[int, similar.Signature]]:
        for source in sources:
            for row in read_rows(shards / f"{source.slug}.jsonl.zst"):
                if row["sha256"] in hashes:
                    selection[source.slug][row["path"]] = "exact_duplicate"
                    continue
                hashes.add(row["sha256"])
                rows.append((source.slug, row["path"], row["bytes"], row["test"]))
                yield len(rows) - 1, similar.unpack(row["signature"])

    for number in similar.first_of_each(signatures()):
        slug, path, _, _ = rows[number]
        selection[slug][path] = "near_duplicate"
    for source in sources:
        if source.group == "b":
            left = [row[1:] for row in rows if row[0] == source.slug and row[1] not in selection[source.slug]]
            selection[source.slug].update(over_share(left))
    return selection


def over_share(files: list[tuple[str, int, bool]]) -> dict[str, str]:
    """The files of one repository that exceed its share.

    Args:
        files: path, bytes, and whether it is a test. The order in which files are taken is that of a hash of the path.

    Returns:
        Path to ``tests_share`` or ``repository_share``.
    """
    ordered = sorted(files, key=lambda file: hashlib.sha256(f"share 1\0{file[0]}".encode()).digest())
    room = sum(size for _, size, test in ordered if not test) * MOST_TESTS / (1 - MOST_TESTS)
    left_out: dict[str, str] = {}
    total = 0
    for path, size, test in ordered:
        if test and size > room:
            left_out[path] = "tests_share"
            continue
        if total + size > MOST_BYTES:
            left_out[path] = "repository_share"
            continue
        room -= size if test else 0
        total += size
    return left_out
