"""Hashes depend on content and names, and on nothing else."""

from pathlib import Path

from codelab.records import code_sha256, sha256_file, sha256_tree, sha256_value


def test_file_hash_is_the_published_one(tmp_path: Path) -> None:
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert sha256_file(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_value_hash_ignores_key_order() -> None:
    assert sha256_value({"a": 1, "b": [2]}) == sha256_value({"b": [2], "a": 1})
    assert sha256_value({"a": 1}) != sha256_value({"a": 2})


def test_tree_hash_sees_names_contents_and_exclusions(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.py").write_text("1")
    (tmp_path / "sub" / "b.py").write_text("2")
    (tmp_path / "note.txt").write_text("3")
    whole = sha256_tree(tmp_path)
    (tmp_path / "note.txt").write_text("4")
    assert sha256_tree(tmp_path) == whole
    assert sha256_tree(tmp_path, exclude=("sub/",)) != whole
    (tmp_path / "a.py").rename(tmp_path / "c.py")
    assert sha256_tree(tmp_path) != whole


def test_code_hash_is_stable() -> None:
    assert code_sha256() == code_sha256()
