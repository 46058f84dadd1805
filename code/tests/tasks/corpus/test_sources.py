from pathlib import Path

import pytest

from codelab.errors import UserError
from codelab.tasks.corpus.sources import Source, load_sources

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HEADER = "repo\tcommit\tlicence\tgroup\tnote\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "sources.tsv"
    path.write_text(text, encoding="utf-8")
    return path


def test_reads_sources_in_order_and_ignores_further_columns(tmp_path: Path) -> None:
    path = written(tmp_path, f"{HEADER}z/last\t{COMMIT}\tMIT\tb\tx\n\n# remark\na/first\t{COMMIT}\tMIT/PSF-2.0\ta\ty\n")
    assert load_sources(path) == [Source("z/last", COMMIT, "MIT", "b"), Source("a/first", COMMIT, "MIT/PSF-2.0", "a")]


def test_the_list_of_the_project_is_well_formed() -> None:
    sources = load_sources(Path(__file__).resolve().parents[4] / "recipes" / "corpus-sources.tsv")
    assert len(sources) == 240
    assert {source.group for source in sources} == {"a", "b"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"a/b\t{COMMIT}\tMIT\n", r"line 2: expected 5 tab-separated cells, got 3"),
        (f"ab\t{COMMIT}\tMIT\ta\tx\n", r"line 2: repo: expected owner/name, got 'ab'"),
        (f"../x\t{COMMIT}\tMIT\ta\tx\n", r"line 2: repo: expected owner/name"),
        ("a/b\tmain\tMIT\ta\tx\n", r"line 2: commit: expected 40 lower-case hex digits, got 'main'"),
        (f"a/b\t{COMMIT}\t \ta\tx\n", r"line 2: licence: expected SPDX names"),
        (f"a/b\t{COMMIT}\tMIT\tc\tx\n", r"line 2: group: expected a or b, got 'c'"),
        (f"a/b\t{COMMIT}\tMIT\ta\tx\na/b\t{COMMIT}\tMIT\ta\tx\n", r"line 3: a/b stands already on line 2"),
        ("", r"no source in it"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_sources(written(tmp_path, HEADER + line))


def test_a_missing_column_and_a_missing_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"line 1: .* missing licence"):
        load_sources(written(tmp_path, "repo\tcommit\tgroup\n"))
    with pytest.raises(UserError, match="cannot be read"):
        load_sources(tmp_path / "absent.tsv")
