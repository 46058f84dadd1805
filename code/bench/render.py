"""How long the frozen book takes to render, against bare Pandoc and bare Quarto on the same text.

Bare Pandoc converts each chapter's frozen Markdown to HTML, once with citations resolved: no numbers, no
cross-references, no PDF. Bare Quarto is ``quarto render`` on a copy of the book. Nothing is executed in any of them.
Not covered: executing chapters, and the time to set up an environment.

    python code/bench/render.py [--repeats 3] [--book FOLDER]
"""

import argparse
import logging
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pypandoc

from codelab.book.build import build_pandoc, find_quarto, look
from codelab.book.facts import root
from codelab.book.project import Book, read_book

PARTS = ("_quarto.yml", "references.bib", "index.qmd", "references.qmd", "chapters", "figures", "assets", "_freeze")
OPTIONS = ("--standalone", "--citeproc", "--mathml", "--metadata=title:x", "--quiet")


def copy(book: Book, target: Path) -> Book:
    """A copy of what rendering reads, with records and recipes."""
    for name in (*PARTS, "results", "recipes"):
        source = book.root / name
        if source.is_dir():
            shutil.copytree(source, target / name)
        elif source.exists():
            shutil.copyfile(source, target / name)
    return read_book(target)


def bare_pandoc(book: Book) -> None:
    """Each chapter to a page, with citations."""
    for chapter in book.chapters:
        pypandoc.convert_text(
            chapter.frozen("html"),
            "html5",
            "markdown",
            extra_args=[
                "--standalone",
                "--citeproc",
                f"--bibliography={book.bibliography}",
                "--mathml",
                "--metadata=title:x",
            ],
        )


def bare_quarto(book: Book) -> None:
    """Every format that the book is made in."""
    quarto = find_quarto() or "quarto"
    subprocess.run([quarto, "render"], cwd=book.root, check=True, capture_output=True)


def seconds(work: Callable[[], object], repeats: int) -> str:
    """Median and range of the wall time, and the median processor time, which a busy machine disturbs less."""
    wall, processor = [], []
    for _ in range(repeats):
        began, used = time.perf_counter(), sum(os.times()[:4])
        work()
        wall.append(time.perf_counter() - began)
        processor.append(sum(os.times()[:4]) - used)
    spread = f"({min(wall):.2f}–{max(wall):.2f}, n = {repeats})"
    return f"{statistics.median(wall):6.2f} s {spread}, processor {statistics.median(processor):.2f} s"


def main() -> None:
    """Print one line a renderer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--book", type=Path, default=None)
    options = parser.parse_args()
    logging.getLogger("pypandoc").setLevel(logging.CRITICAL)  # bare Pandoc knows no cross-references and says so
    with tempfile.TemporaryDirectory() as scratch:
        book = copy(read_book(options.book or root()), Path(scratch))
        size = sum(len(chapter.text) for chapter in book.chapters)
        print(f"{len(book.chapters)} chapters, {size:,} characters")
        print(f"bare Pandoc, HTML only       {seconds(lambda: bare_pandoc(book), options.repeats)}")
        print(f"second renderer, HTML + PDF  {seconds(lambda: build_pandoc(book, allow_stale=True), options.repeats)}")
        print(f"looking at its output        {seconds(lambda: look(book, book.root / '_book'), options.repeats)}")
        if find_quarto():
            print(f"bare Quarto, every format    {seconds(lambda: bare_quarto(book), options.repeats)}")
        else:
            print("bare Quarto                  not installed", file=sys.stderr)


if __name__ == "__main__":
    main()
