"""Looks at the Word file of a book for what must be there and what must not, as ``inspect`` does for pages and PDF.

Not covered: how Word sets it.
"""

import re
import zipfile
from pathlib import Path
from xml.etree import ElementTree

from codelab.book.inspect import content, debris, pieces, squash
from codelab.book.project import Book

_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_MATH = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_DRAWING = "{http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing}"


def inspect_word(book: Book, path: Path) -> list[str]:
    """Everything that is missing or wrong in the Word file of a book."""
    where = path.name
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            body = ElementTree.fromstring(archive.read("word/document.xml"))
            notes = archive.read("word/footnotes.xml") if "word/footnotes.xml" in names else b"<none/>"
    except (OSError, KeyError, zipfile.BadZipFile, ElementTree.ParseError) as error:
        return [f"{where}: cannot be read ({error})"]
    lines = []
    for paragraph in body.iter(f"{_WORD}p"):
        # Code keeps its signs in Word too; a reference left over stands in ordinary text.
        runs = [run for run in paragraph.iter(f"{_WORD}r") if not _is_code(run)]
        lines.append("".join(text.text or "" for run in runs for text in run.iter(f"{_WORD}t")))
    text = "\n".join(lines)
    everything = squash("".join(node.text or "" for node in body.iter() if node.tag in (f"{_WORD}t", f"{_MATH}t")))
    faults = debris(text, where)
    formulas = 0
    for chapter in book.chapters:
        found = content(chapter, "docx")
        faults += [
            f"{where}: {chapter.path}: title is missing"
            for part in pieces(chapter.title)
            if squash(part) not in everything
        ]
        for identifier, label in found.labels.items():
            start = (pieces(found.captions.get(identifier, "")) or [""])[0]
            wanted = re.escape(squash(label)) + r"[.:]?" + re.escape(squash(start))
            if not identifier.startswith("eq-") and not re.search(wanted, everything):
                faults.append(f"{where}: {chapter.path}: caption of @{identifier} ({label}: {start!r}) is missing")
        shown = {squash(node.get("descr", "")) for node in body.iter(f"{_DRAWING}docPr")}
        faults += [f"{where}: no picture says {words!r}" for words in found.alternatives if squash(words) not in shown]
        formulas += found.formulas
    shown_formulas = sum(1 for part in (body, ElementTree.fromstring(notes)) for _ in part.iter(f"{_MATH}oMath"))
    if shown_formulas < formulas:
        faults.append(f"{where}: {formulas} formulas expected, {shown_formulas} shown")
    return faults + [f"{where}: holds {name}, which Word may not show" for name in names if name.endswith(".svg")]


def _is_code(run: ElementTree.Element) -> bool:
    style = run.find(f"{_WORD}rPr/{_WORD}rStyle")
    return style is not None and ("Verbatim" in style.get(f"{_WORD}val", "") or "Tok" in style.get(f"{_WORD}val", ""))
