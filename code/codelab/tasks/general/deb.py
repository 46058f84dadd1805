"""Debian packages as archives: fetched with ``apt-get download``, read without ``dpkg`` and never installed.

A .deb is an ``ar`` archive with a ``data.tar`` inside (deb(5)); its files are read one after another from memory, so
that nothing of a package is written or run. Not covered: signatures; a file is known by its SHA-256 alone.
"""

import fnmatch
import gzip
import io
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import zstandard

from codelab.errors import UserError
from codelab.records import sha256_file
from codelab.tasks.general.sources import Source

_MAGIC = b"!<arch>\n"
_HEADER = 60


def fetch(source: Source, folder: Path) -> Path:
    """The package's .deb in ``folder``, fetched when it is not there yet.

    Raises:
        UserError: it cannot be had, or is not the file of the list.
    """
    path = folder / f"{source.package}_{source.version.replace(':', '%3a')}.deb"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _download(source, path)
    if (digest := sha256_file(path)) != source.sha256:
        raise UserError(f"{path}: SHA-256 is {digest}, the list says {source.sha256}; delete it or mend the list")
    return path


def _download(source: Source, path: Path) -> None:
    hint = f"put {source.package} {source.version} there as {path}, or leave it out with --skip-missing"
    if shutil.which("apt-get") is None:
        raise UserError(f"{source.package}: no apt-get here to fetch it; {hint}")
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".fetch-") as folder:
        command = ["apt-get", "download", "-q", f"{source.package}={source.version}"]
        done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
        found = list(Path(folder).glob("*.deb"))
        if done.returncode or not found:
            reason = (done.stderr.strip() or "no file came").splitlines()[-1]
            raise UserError(f"{source.package} {source.version}: apt-get cannot fetch it ({reason}); {hint}")
        found[0].replace(path)


def files(path: Path, pattern: str) -> Iterator[tuple[str, bytes]]:
    """Path and content of the plain files that match a pattern (``fnmatch``, on paths without leading ``./``), sorted.

    Content with a name in ``.gz`` or ``.dz`` is expanded.

    Raises:
        UserError: not a .deb, or a damaged one.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(_data(path.read_bytes())), mode="r:*") as archive:
            members = [one for one in archive.getmembers() if one.isfile()]
            for member in sorted(members, key=lambda one: one.name):
                name = member.name.removeprefix("./")
                if fnmatch.fnmatchcase(name, pattern) and (stream := archive.extractfile(member)):
                    content = stream.read()
                    yield name, gzip.decompress(content) if name.endswith((".gz", ".dz")) else content
    except (tarfile.TarError, OSError, EOFError, ValueError, zstandard.ZstdError) as error:
        raise UserError(f"{path}: not a readable Debian package ({error})") from error


def _data(content: bytes) -> bytes:
    """The member ``data.tar.*`` of an ``ar`` archive."""
    if not content.startswith(_MAGIC):
        raise ValueError("no ar archive")
    at = len(_MAGIC)
    while at + _HEADER <= len(content):
        name = content[at : at + 16].decode("ascii", "replace").strip().rstrip("/")
        size = int(content[at + 48 : at + 58])
        body = content[at + _HEADER : at + _HEADER + size]
        if name.startswith("data.tar"):
            return zstandard.ZstdDecompressor().stream_reader(body).read() if name.endswith(".zst") else body
        at += _HEADER + size + size % 2
    raise ValueError("no data.tar in it")
