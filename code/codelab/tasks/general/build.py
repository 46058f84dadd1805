"""General text out of a list of packages: documents without repeats, a held-out part, a card.

Written to one folder: ``train.jsonl.zst`` and ``heldout.jsonl.zst`` (text, source, name), ``probes.jsonl`` and
``card.json``, last. Each package's documents are kept in ``parts/`` under a key of the list's row, so that the same
command continues an interrupted build. Text is repeated in three ways, and each is removed: paragraphs word for word,
documents that resemble an earlier one, and training paragraphs that share a window of words with held-out text. Not
covered: tokens (``tokens``) and how probes are scored (``codelab.train.probing``).
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from codelab.errors import UserError
from codelab.records import sha256_file, sha256_value
from codelab.tasks.corpus import similar, split
from codelab.tasks.corpus.files import read_json, read_rows, write_json, write_rows
from codelab.tasks.corpus.lexing import Hashes
from codelab.tasks.general import deb, extract, probes, prose
from codelab.tasks.general.sources import Source

VERSION = 3
HELD_OUT = 0.08
"""Share of documents that are held out of a package whose part is ``shared``."""

Row = dict[str, Any]


def build(
    sources: list[Source],
    packages: Path,
    out: Path,
    *,
    skip_missing: bool = False,
    seed: int = 0,
    report: Callable[[str], None] = print,
) -> Row:
    """Build the general text.

    Args:
        sources: the list.
        packages: folder of the .deb files; missing ones are fetched into it.
        out: where the text goes.
        skip_missing: leave out packages that cannot be had instead of stopping; the card names them.
        seed: of the probes.
        report: takes one line a package.

    Returns:
        The card, as written to ``card.json``.

    Raises:
        UserError: a package is missing or is another file, or nothing is left.
    """
    rows, facts, capitals = [], [], []  # type: tuple[list[Row], list[Row], list[list[str]]]
    for source in sources:
        try:
            part = _part(source, packages, out / "parts")
        except UserError as error:
            if not skip_missing:
                raise
            report(f"left out: {error}")
            facts.append({"package": source.package, "left_out": str(error)})
            continue
        capitals += part["capitals"]
        facts.append({key: value for key, value in part.items() if key not in ("capitals", "key", "sha256_documents")})
        if source.format != "capitals":
            rows += list(read_rows(_documents(out / "parts", source)))
        report(f"{source.package}: {part['documents']} documents, {part['bytes'] / 1e6:.2f} MB")
    train, heldout, removed = divide(rows, {one.package for one in sources if one.part == "held_out"})
    if not train or not heldout:
        raise UserError(f"{packages}: no training or no held-out text came of these packages")
    made = probes.make(heldout, [(country, capital) for country, capital in capitals], seed)
    outputs = [_write(out / f"{name}.jsonl.zst", part) for name, part in (("train", train), ("heldout", heldout))]
    write_probes(out / "probes.jsonl", made)
    outputs.append({"name": "probes.jsonl", "rows": len(made), "sha256": sha256_file(out / "probes.jsonl")})
    card = {
        "title": "General English text and probes",
        "version": VERSION,
        "rules": rules(),
        "sources": [fact | _counts(fact["package"], train, heldout) for fact in facts],
        "removed": removed,
        "probes": dict(Counter(row["kind"] for row in made)),
        "outputs": outputs,
    }
    write_json(out / "card.json", card)
    return card


def rules() -> Row:
    """Every threshold of the build."""
    return {
        "prose_least_words": prose.LEAST_WORDS,
        "prose_least_letters": prose.LEAST_LETTERS,
        "prose_least_common_words": prose.LEAST_COMMON,
        "document_least_characters": prose.LEAST_DOCUMENT,
        "overlap_window_words": prose.WINDOW,
        "near_duplicate_similarity": similar.THRESHOLD,
        "held_out_share": HELD_OUT,
    }


def divide(rows: list[Row], whole: set[str]) -> tuple[list[Row], list[Row], Row]:
    """Documents without repeats, divided into training and held-out ones that share no window of words.

    Args:
        rows: documents with ``source``, ``name`` and ``paragraphs``.
        whole: packages that are held out as a whole.

    Returns:
        Training rows and held-out rows (``source``, ``name``, ``text``) in a frozen shuffled order, and how many
        paragraphs and documents each rule removed.
    """
    removed: Counter[str] = Counter()

    def held(row: Row) -> bool:
        return row["source"] in whole or split.fraction("general held out 1", row["source"], row["name"]) < HELD_OUT

    # Held-out documents come first: of two copies it is the training one that goes.
    ordered = sorted(rows, key=lambda row: (not held(row), split.rank(row["source"], row["name"])))
    seen: set[str] = set()
    for row in ordered:
        kept = []
        for paragraph in row["paragraphs"]:
            key = " ".join(prose.words(paragraph))
            if key in seen:
                removed["repeated_paragraphs"] += 1
            else:
                seen.add(key)
                kept.append(paragraph)
        row["paragraphs"] = kept
    ordered = [row for row in ordered if sum(map(len, row["paragraphs"])) >= prose.LEAST_DOCUMENT]
    signed = ((i, similar.signature(prose.words(" ".join(row["paragraphs"])))) for i, row in enumerate(ordered))
    copies = similar.first_of_each(signed)
    removed["similar_documents"] = len(copies)
    ordered = [row for i, row in enumerate(ordered) if i not in copies]
    heldout = [row for row in ordered if held(row)]
    theirs = np.unique(np.concatenate([prose.windows(" ".join(row["paragraphs"])) for row in heldout] or [_NONE]))
    train = []
    for row in (row for row in ordered if not held(row)):
        kept = [one for one in row["paragraphs"] if not _any_of(prose.windows(one), theirs)]
        removed["paragraphs_shared_with_held_out"] += len(row["paragraphs"]) - len(kept)
        if sum(map(len, kept)) >= prose.LEAST_DOCUMENT:
            train.append({**row, "paragraphs": kept})
    return [_plain(row) for row in train], [_plain(row) for row in heldout], dict(removed)


_NONE = np.empty(0, dtype=np.uint64)


def _any_of(wanted: Hashes, known: Hashes) -> bool:
    """Whether any of some hashes is among sorted ones."""
    if not len(known):
        return False
    places = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return bool((known[places] == wanted).any())


def write_probes(path: Path, made: Iterable[Row]) -> None:
    """Write probes as JSON lines, whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made), encoding="utf-8")
    partial.rename(path)


def _plain(row: Row) -> Row:
    return {"text": "\n\n".join(row["paragraphs"]) + "\n", "source": row["source"], "name": row["name"]}


def _documents(folder: Path, source: Source) -> Path:
    return folder / f"{source.package}.jsonl.zst"


def _part(source: Source, packages: Path, folder: Path) -> Row:
    """Facts of one package, from an earlier run where its row of the list has not changed."""
    key = sha256_value([VERSION, rules(), vars(source)])
    known = read_json(folder / f"{source.package}.json")
    target = _documents(folder, source)
    if isinstance(known, dict) and known.get("key") == key and target.is_file():
        return known
    path = deb.fetch(source, packages)
    facts: Row = {name: getattr(source, name) for name in ("package", "version", "sha256", "licence", "format", "part")}
    facts |= {"key": key, "deb_bytes": path.stat().st_size, "capitals": []}
    if source.format == "capitals":
        pairs = [pair for _, content in deb.files(path, source.files) for pair in extract.capitals(content)]
        facts |= {"capitals": pairs, "documents": len(pairs), "bytes": sum(len(a) + len(b) for a, b in pairs)}
        write_rows(target, [])
    else:
        rows = list(_read(source, path))
        write_rows(target, rows)
        sizes = [sum(len(one.encode()) for one in row["paragraphs"]) for row in rows]
        facts |= {"documents": len(rows), "bytes": sum(sizes)}
    if not facts["documents"]:
        raise UserError(f"{path}: nothing to keep in files {source.files!r}")
    write_json(folder / f"{source.package}.json", facts)
    return facts


def _read(source: Source, path: Path) -> Iterator[Row]:
    for name, content in deb.files(path, source.files):
        for part, paragraphs in extract.READERS[source.format](content):
            kept = [one for one in paragraphs if prose.is_prose(one)]
            if sum(map(len, kept)) >= prose.LEAST_DOCUMENT:
                yield {"source": source.package, "name": f"{name}#{part}" if part else name, "paragraphs": kept}


def _write(path: Path, rows: list[Row]) -> Row:
    count = write_rows(path, rows)
    size = sum(len(row["text"].encode()) for row in rows)
    return {"name": path.name, "rows": count, "text_bytes": size, "sha256": sha256_file(path)}


def _counts(package: str, train: list[Row], heldout: list[Row]) -> Row:
    result: Row = {}
    for name, rows in (("train", train), ("heldout", heldout)):
        own = [len(row["text"].encode()) for row in rows if row["source"] == package]
        result |= {f"{name}_documents": len(own), f"{name}_bytes": sum(own)}
    return result
