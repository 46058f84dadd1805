"""Each kind of staleness is noticed and named; a render that executed nothing cannot bless it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from codelab.book import freshness
from codelab.book.freshness import imported, needs, reads, stale, stamp, thaw
from codelab.book.project import Book, read_book
from codelab.errors import UserError

CHAPTER = "chapters/02-numbers.qmd"
RUN = "results/q0-fixture/20261101T000000Z-cpu"
NEWER = "results/q0-fixture/20261102T000000Z-cpu"
Edit = Callable[[str, str, str], Book]


def test_a_stamped_book_is_fresh_and_essays_need_no_freeze(book: Book) -> None:
    assert stale(book) == []
    assert sorted(json.loads((book.root / "_freeze/stamp.json").read_text())) == [CHAPTER]


def test_text(edit: Edit) -> None:
    reasons = stale(edit(CHAPTER, "The rate is", "The speed is"))
    assert len(reasons) == 3, "once a format"
    assert all("its text changed" in reason for reason in reasons)


def test_line_ends_are_no_change(book: Book) -> None:
    path = book.root / CHAPTER
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert stale(read_book(book.root)) == []


def test_essay_text_is_no_change(edit: Edit) -> None:
    assert stale(edit("chapters/01-essay.qmd", "A fixture stands", "A fixture still stands")) == []


def test_record(edit: Edit) -> None:
    reasons = stale(edit(f"{RUN}/record.json", "1234.5", "1234.6"))
    assert any("record q0-fixture/20261101T000000Z-cpu changed" in reason for reason in reasons)


def test_newer_record(edit: Edit, book: Book) -> None:
    shutil.copytree(book.root / RUN, book.root / NEWER)
    edit(f"{NEWER}/record.json", "2026-11-01T00:00:00", "2026-11-02T00:00:00")
    found = edit(f"{NEWER}/record.json", '"20261101T000000Z-cpu"', '"20261102T000000Z-cpu"')
    reasons = stale(found)
    assert any("record q0-fixture/20261102T000000Z-cpu is new" in reason for reason in reasons)
    assert any("20261101T000000Z-cpu is read no longer" in reason for reason in reasons)


def test_newer_failed_record_is_no_change(edit: Edit, book: Book) -> None:
    shutil.copytree(book.root / RUN, book.root / NEWER)
    edit(f"{NEWER}/record.json", "2026-11-01T00:00:00", "2026-11-02T00:00:00")
    assert stale(edit(f"{NEWER}/record.json", '"ok"', '"failed"')) == []


def test_a_stopped_record_is_read_by_name_only(edit: Edit, book: Book) -> None:
    shutil.copytree(book.root / RUN, book.root / NEWER)
    edit(f"{NEWER}/record.json", "2026-11-01T00:00:00", "2026-11-02T00:00:00")
    edit(f"{NEWER}/record.json", '"20261101T000000Z-cpu"', '"20261102T000000Z-cpu"')
    found = edit(f"{NEWER}/record.json", '"ok"', '"stopped"')
    assert stale(found) == []
    found = edit(CHAPTER, 'facts.latest("q0-fixture")', 'facts.stopped("q0-fixture")')
    assert reads(found.chapters[2]) == [("q0-fixture", None, "stopped")]
    assert "record q0-fixture/20261102T000000Z-cpu" in needs(found, found.chapters[2])
    shutil.rmtree(book.root / NEWER)
    with pytest.raises(UserError, match="no stopped run is there"):
        needs(found, found.chapters[2])


def test_missing_record(book: Book) -> None:
    shutil.rmtree(book.root / RUN)
    assert stale(book) == [f"{CHAPTER}: reads results/q0-fixture, but no successful run is there"]


def test_recipe_values_count_and_comments_do_not(edit: Edit) -> None:
    recipe = "recipes/q0-fixture.yaml"
    assert stale(edit(recipe, "# A recipe", "# The recipe")) == []
    assert any("recipe q0-fixture changed" in reason for reason in stale(edit(recipe, "minutes: 1", "minutes: 2")))


def test_code(book: Book, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    changed = tmp_path / "facts.py"
    changed.write_text("# another facts module\n")
    real = imported

    def other(chapter: object) -> dict[str, Path]:
        return real(chapter) | {"codelab/book/facts": changed}  # type: ignore[arg-type]

    monkeypatch.setattr(freshness, "imported", other)
    assert any("code codelab/book/facts changed" in reason for reason in stale(book))


def test_only_code_that_the_chapter_imports_counts(book: Book) -> None:
    files = imported(book.chapters[2])
    assert {"codelab/book/facts", "codelab/book/tables", "codelab/records/reading", "codelab/errors"} <= set(files)
    assert not [name for name in files if name.startswith(("codelab/book/render", "codelab/book/lint", "codelab/cli"))]


def test_missing_format(book: Book) -> None:
    (book.root / "_freeze/chapters/02-numbers/execute-results/typ.json").unlink()
    assert any("no frozen typ output" in reason for reason in stale(book))


def test_damaged_freeze(book: Book) -> None:
    (book.root / "_freeze/chapters/02-numbers/execute-results/typ.json").write_text('{"hash": ')
    assert any("not a frozen chapter" in reason for reason in stale(book))


def test_leftovers(book: Book) -> None:
    folder = book.root / "_freeze/chapters"
    shutil.copytree(folder / "02-numbers", folder / "99-gone")
    shutil.copytree(folder / "02-numbers", folder / "01-essay")
    reasons = stale(book)
    assert any("99-gone: frozen, but no chapter" in reason for reason in reasons)
    assert any("01-essay.qmd: frozen, but it has no code cells" in reason for reason in reasons)


def test_never_stamped_and_frozen_again(book: Book) -> None:
    path = book.root / "_freeze/chapters/02-numbers/execute-results/html.json"
    path.write_text(path.read_text() + "\n")
    assert any("(html): frozen again since its stamp" in reason for reason in stale(book))
    (book.root / "_freeze/stamp.json").unlink()
    assert sum("never stamped" in reason for reason in stale(book)) == 3


def test_stamping_without_executing_does_not_bless(edit: Edit) -> None:
    found = edit(f"{RUN}/record.json", "1234.5", "1234.6")
    assert any("changed" in reason for reason in stamp(found)), "the same frozen output cannot be fresh now"


def test_thaw_deletes_what_is_stale_and_a_new_freeze_can_be_stamped(edit: Edit, book: Book) -> None:
    kept = book.root.parent / "kept"
    shutil.copytree(book.root / "_freeze/chapters/02-numbers", kept)
    found = edit(f"{RUN}/record.json", "1234.5", "1234.6")
    assert thaw(found) == [book.root / "_freeze/chapters/02-numbers"]
    shutil.copytree(kept, book.root / "_freeze/chapters/02-numbers")  # as if executed again, with the same output
    assert stamp(found) == []
    assert thaw(found) == []


def test_reads_wants_literals(edit: Edit) -> None:
    found = edit(CHAPTER, 'facts.latest("q0-fixture")', 'facts.latest("q0-fixture", device="H100"); facts.history()')
    assert reads(found.chapters[2]) == [("*", None, None), ("q0-fixture", "H100", "ok")]
    with pytest.raises(UserError, match="no successful run on H100"):
        needs(found, found.chapters[2])
    found = edit(CHAPTER, 'facts.latest("q0-fixture", device="H100")', "facts.latest(name)")
    with pytest.raises(UserError, match="plain strings"):
        reads(found.chapters[2])


def test_a_reader_of_all_runs_depends_on_all(edit: Edit, book: Book) -> None:
    found = edit(CHAPTER, 'facts.latest("q0-fixture")', "facts.history()[0]")
    assert any(name.startswith("record q0-fixture") for name in needs(found, found.chapters[2]))
    assert not any(name.startswith("recipe") for name in needs(found, found.chapters[2]))
