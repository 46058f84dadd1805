"""Reads files out of git checkouts, bare or not, without a work tree: ``git ls-tree`` and ``git cat-file --batch``.

The commit of the source list is read where the checkout has that object, else ``HEAD``, and the caller is told which.
Not covered: submodules, Git LFS (its pointers are too short to pass the filters) and symbolic links.
"""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from codelab.errors import UserError
from codelab.tasks.corpus.sources import Source

_REGULAR = {"100644", "100755"}


@dataclass(frozen=True)
class Entry:
    """A file of a commit: path, object id, size in bytes."""

    path: str
    oid: str
    size: int


def find_checkout(folder: Path, source: Source) -> Path | None:
    """The git directory of a source below ``folder``, or None.

    Looked for as ``owner/name``, ``owner+name``, ``owner__name`` and ``name``, each with ``.git``, ``repo`` or
    ``repo/.git`` below it, or bare.
    """
    owner, name = source.repo.split("/")
    for stem in (Path(owner) / name, Path(f"{owner}+{name}"), Path(f"{owner}__{name}"), Path(name)):
        for base in (folder / stem, folder / stem.with_name(stem.name + ".git")):
            for inner in (".git", ".", "repo/.git", "repo"):
                candidate = base / inner
                if (candidate / "HEAD").is_file() and (candidate / "objects").is_dir():
                    return candidate.resolve()
    return None


def clone(folder: Path, source: Source, base_url: str) -> Path:
    """Clone a source bare into ``folder`` and return its git directory.

    Raises:
        UserError: git's last line, when the clone fails; nothing is left behind.
    """
    target = folder / f"{source.slug}.git"
    partial = folder / f".{source.slug}.partial"
    subprocess.run(["rm", "-rf", str(partial)], check=True)
    command = ["git", "clone", "--quiet", "--bare", f"{base_url.rstrip('/')}/{source.repo}.git", str(partial)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        subprocess.run(["rm", "-rf", str(partial)], check=True)
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(f"source {source.repo}: git clone failed: {reason}")
    partial.rename(target)
    return target


def resolve_commit(git_dir: Path, wanted: str) -> tuple[str, bool]:
    """The commit to read and whether it is the wanted one; otherwise it is ``HEAD``'s.

    Raises:
        UserError: the checkout has neither.
    """
    for name in (wanted, "HEAD"):
        done = _git(git_dir, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        if done.returncode == 0:
            commit = done.stdout.decode().strip()
            return commit, commit == wanted
    raise UserError(f"checkout {git_dir}: neither commit {wanted} nor HEAD is in it")


def list_files(git_dir: Path, commit: str) -> list[Entry]:
    """Regular files of a commit, sorted by path; names that are not UTF-8 are left out.

    Raises:
        UserError: git cannot list the commit.
    """
    done = _git(git_dir, "ls-tree", "-r", "-z", "-l", commit)
    if done.returncode != 0:
        raise UserError(f"checkout {git_dir}: cannot list commit {commit}: {done.stderr.decode(errors='replace')}")
    entries = []
    for line in done.stdout.split(b"\0"):
        if not line:
            continue
        facts, _, raw = line.partition(b"\t")
        mode, kind, oid, size = facts.decode().split()
        if kind == "blob" and mode in _REGULAR:
            try:
                entries.append(Entry(raw.decode(), oid, int(size)))
            except (UnicodeDecodeError, ValueError):
                continue
    return sorted(entries, key=lambda entry: entry.path)


def read_blobs(git_dir: Path, entries: list[Entry]) -> Iterator[tuple[Entry, bytes | None]]:
    """The contents of files, in the order given, one at a time; None for an object that the checkout lacks."""
    process = subprocess.Popen(
        ["git", "--git-dir", str(git_dir), "cat-file", "--batch"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("git cat-file was started without pipes")
    try:
        for entry in entries:
            process.stdin.write(entry.oid.encode() + b"\n")
            process.stdin.flush()
            header = process.stdout.readline().split()
            if len(header) != 3:
                yield entry, None
                continue
            size = int(header[2])
            data = process.stdout.read(size)
            process.stdout.read(1)
            yield entry, data
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait()


def _git(git_dir: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", "--git-dir", str(git_dir), *arguments], capture_output=True, check=False)
