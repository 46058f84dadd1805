import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from codelab.errors import UserError
from codelab.tasks.corpus.checkouts import clone, find_checkout, list_files, read_blobs, resolve_commit
from codelab.tasks.corpus.sources import Source

Maker = Callable[[Path, dict[str, str | bytes]], str]
FILES: dict[str, str | bytes] = {"b.py": "b\n", "a/ü x.py": "ä\n", "raw.bin": b"\xff\0"}


def source(commit: str = "0" * 40) -> Source:
    return Source("owner/name", commit, "MIT", "a")


@pytest.mark.parametrize(
    "layout", ["owner/name", "owner+name", "owner__name", "name", "owner+name/repo", "owner/name.git"]
)
@pytest.mark.parametrize("bare", [False, True])
def test_finds_a_checkout_in_every_layout(tmp_path: Path, make_checkout: Maker, layout: str, bare: bool) -> None:
    target = tmp_path / "checkouts" / layout
    if bare:
        make_checkout(tmp_path / "origin", FILES)
        target.parent.mkdir(parents=True)
        subprocess.run(["git", "clone", "-q", "--bare", str(tmp_path / "origin"), str(target)], check=True)
    else:
        make_checkout(target, FILES)
    found = find_checkout(tmp_path / "checkouts", source())
    assert found == (target if bare else target / ".git").resolve()
    commit, exact = resolve_commit(found, "0" * 40)
    assert not exact
    assert [entry.path for entry in list_files(found, commit)] == ["a/ü x.py", "b.py", "raw.bin"]


def test_reads_the_listed_commit_and_else_head(tmp_path: Path, make_checkout: Maker) -> None:
    folder = tmp_path / "owner" / "name"
    first = make_checkout(folder, {"a.py": "old\n"})
    second = make_checkout(folder, {"a.py": "new\n"})
    git_dir = find_checkout(tmp_path, source())
    assert git_dir is not None
    assert resolve_commit(git_dir, first) == (first, True)
    assert resolve_commit(git_dir, "f" * 40) == (second, False)
    texts = [data for _, data in read_blobs(git_dir, list_files(git_dir, first))]
    assert texts == [b"old\n"]


def test_links_are_no_files(tmp_path: Path, make_checkout: Maker) -> None:
    folder = tmp_path / "owner" / "name"
    folder.mkdir(parents=True)
    (folder / "link.py").symlink_to("b.py")
    commit = make_checkout(folder, FILES)
    assert "link.py" not in [entry.path for entry in list_files(folder / ".git", commit)]


def test_an_empty_folder_is_no_checkout(tmp_path: Path) -> None:
    (tmp_path / "owner" / "name").mkdir(parents=True)
    assert find_checkout(tmp_path, source()) is None


def test_a_checkout_without_commits_is_named(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path / "name")], check=True)
    git_dir = find_checkout(tmp_path, source())
    assert git_dir is not None
    with pytest.raises(UserError, match=r"neither commit 000.* nor HEAD"):
        resolve_commit(git_dir, "0" * 40)


def test_clones_a_missing_checkout_whole_or_not_at_all(tmp_path: Path, make_checkout: Maker) -> None:
    commit = make_checkout(tmp_path / "web" / "owner" / "name.git", FILES)
    folder = tmp_path / "checkouts"
    folder.mkdir()
    git_dir = clone(folder, source(), str(tmp_path / "web"))
    assert find_checkout(folder, source()) == git_dir.resolve()
    assert resolve_commit(git_dir, commit) == (commit, True)
    with pytest.raises(UserError, match="source owner/absent: git clone failed"):
        clone(folder, Source("owner/absent", "0" * 40, "MIT", "a"), str(tmp_path / "web"))
    assert [path.name for path in folder.iterdir()] == ["owner+name.git"]
