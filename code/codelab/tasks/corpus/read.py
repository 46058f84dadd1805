"""Stage 1: one source becomes one shard, the files of a checkout that pass the per-file filters.

A shard is ``<source>.jsonl.zst`` (a row a file: path, text, signature) with ``<source>.json`` beside it, written last:
commit, licences, and how many files each filter refused. A shard whose parameters still match is left alone, so that a
checkout can be deleted once it is read. Not covered: anything that compares files of two sources.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from codelab.errors import UserError
from codelab.tasks.corpus import filters, licences, similar
from codelab.tasks.corpus.checkouts import Entry, clone, find_checkout, list_files, read_blobs, resolve_commit
from codelab.tasks.corpus.files import read_json, write_json, write_rows
from codelab.tasks.corpus.lexing import lex
from codelab.tasks.corpus.sources import Source
from codelab.tasks.corpus.workers import pool as start_pool

VERSION = 1
"""Raised whenever a rule of stage 1 changes, so that shards made by the older rule are made anew."""


def parameters(source: Source) -> dict[str, Any]:
    """What a shard depends on besides the checkout."""
    return {"version": VERSION, "repo": source.repo, "commit": source.commit, "group": source.group}


def shard_facts(source: Source, shards: Path) -> dict[str, Any] | None:
    """The facts of a finished shard, or None when it is missing or was made with other parameters."""
    facts = read_json(shards / f"{source.slug}.json")
    if not isinstance(facts, dict) or facts.get("parameters") != parameters(source):
        return None
    if facts["refused"] is None and not (shards / f"{source.slug}.jsonl.zst").is_file():
        return None
    return facts


def read_all(
    sources: list[Source],
    checkouts: Path,
    shards: Path,
    *,
    workers: int,
    clone_from: str | None = None,
    report: Callable[[str], None] = print,
) -> list[Source]:
    """Read every source that has no finished shard yet, the listed order kept, ``workers`` at a time.

    Args:
        sources: the list.
        checkouts: folder of git checkouts.
        shards: folder of the shards.
        workers: processes.
        clone_from: address that ``owner/name.git`` is cloned from when a checkout is missing; None: never clone.
        report: takes one line for each source read or missing.

    Returns:
        The sources that have neither checkout nor shard.
    """
    shards.mkdir(parents=True, exist_ok=True)
    open_ones = [source for source in sources if shard_facts(source, shards) is None]
    jobs = [(source, checkouts, shards, clone_from) for source in open_ones]
    missing: list[Source] = []
    with start_pool(min(workers, max(1, len(jobs)))) as pool:
        for source, (line, done) in zip(open_ones, pool.imap(_read_one, jobs, chunksize=1), strict=True):
            report(line)
            if not done:
                missing.append(source)
    return missing


def _read_one(job: tuple[Source, Path, Path, str | None]) -> tuple[str, bool]:
    source, checkouts, shards, clone_from = job
    try:
        git_dir = find_checkout(checkouts, source)
        if git_dir is None and clone_from is not None:
            git_dir = clone(checkouts, source, clone_from)
        if git_dir is None:
            return f"{source.repo}: no checkout in {checkouts}", False
        facts = read_source(source, git_dir, shards)
    except UserError as error:
        return f"{source.repo}: {error}", False
    where = (
        "" if facts["commit_listed"] else f" at {facts['commit'][:12]}, for the listed commit is not in the checkout"
    )
    if facts["refused"] is not None:
        return f"{source.repo}: left out{where}: {facts['refused']}", True
    return f"{source.repo}: {facts['files']} of {facts['seen']} files, {facts['bytes'] / 1e6:.1f} MB{where}", True


def read_source(source: Source, git_dir: Path, shards: Path) -> dict[str, Any]:
    """Read one checkout into one shard.

    Returns:
        The shard's facts: ``commit`` read and whether it is the listed one, ``licences`` seen, ``refused`` (why the
        whole source is left out, or None), ``seen`` Python files, ``filters`` (files refused by each), ``files`` and
        ``bytes`` kept.

    Raises:
        UserError: the checkout has no readable commit.
    """
    commit, exact = resolve_commit(git_dir, source.commit)
    entries = list_files(git_dir, commit)
    found = _licence_files(git_dir, entries)
    root = {path: seen for path, seen in found.items() if _at_root(path)}
    allowed, refused = licences.judge_root(root)
    blocked = tuple(
        path.rpartition("/")[0] + "/"
        for path, seen in found.items()
        if not _at_root(path) and seen - licences.PERMISSIVE
    )
    python = [entry for entry in entries if entry.path.endswith(".py")]
    counts: Counter[str] = Counter()
    files = size = 0
    if refused is None:
        kept: Counter[str] = Counter()
        write_rows(shards / f"{source.slug}.jsonl.zst", _rows(git_dir, python, blocked, counts, kept))
        files, size = kept["files"], kept["bytes"]
    facts = {
        "parameters": parameters(source),
        "source": source.repo,
        "commit": commit,
        "commit_listed": exact,
        "licence_listed": source.licence,
        "licences": sorted(allowed),
        "licence_files": sorted(root),
        "refused": refused,
        "seen": len(python),
        "filters": dict(sorted(counts.items())),
        "files": files,
        "bytes": size,
    }
    write_json(shards / f"{source.slug}.json", facts)
    return facts


def _rows(
    git_dir: Path, entries: list[Entry], blocked: tuple[str, ...], counts: Counter[str], kept: Counter[str]
) -> Iterator[dict[str, Any]]:
    readable = []
    for entry in entries:
        reason = "folder_licence" if entry.path.startswith(blocked) else filters.wanted(entry.path, entry.size)
        if reason is None:
            readable.append(entry)
        else:
            counts[reason] += 1
    seen: set[bytes] = set()
    for entry, data in read_blobs(git_dir, readable):
        row = _row(entry, data, seen)
        if isinstance(row, str):
            counts[row] += 1
            continue
        kept["files"] += 1
        kept["bytes"] += row["bytes"]
        yield row


def _row(entry: Entry, data: bytes | None, seen: set[bytes]) -> dict[str, Any] | str:
    """The row of a kept file, or the name of the filter that refused it."""
    if data is None:
        return "object_missing"
    text = filters.decode(data)
    if text is None:
        return "not_utf8"
    encoded = text.encode()
    digest = hashlib.sha256(encoded)
    if digest.digest() in seen:
        return "exact_duplicate"
    seen.add(digest.digest())
    reason = filters.judge_text(text)
    if reason is not None:
        return reason
    lexed = lex(text)
    reason = filters.judge_tokens(lexed)
    if reason is not None:
        return reason
    return {
        "path": entry.path,
        "sha256": digest.hexdigest(),
        "bytes": len(encoded),
        "test": filters.is_test(entry.path),
        "signature": similar.pack(similar.signature(lexed.tokens)),
        "text": text,
    }


def _at_root(path: str) -> bool:
    return "/" not in path or path.split("/", maxsplit=1)[0].lower() in {"licenses", "licences"}


def _licence_files(git_dir: Path, entries: list[Entry]) -> dict[str, frozenset[str]]:
    named = [entry for entry in entries if licences.is_licence_path(entry.path) and entry.size < 500_000]
    return {
        entry.path: licences.recognise(data.decode("utf-8", "replace"))
        for entry, data in read_blobs(git_dir, named)
        if data is not None
    }
