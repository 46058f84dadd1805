"""Folders that a program may read: the standard library and what its extension modules load.

Not covered: what it may write (``home``), and the mounts that keep all else away (``confine``).
"""

import os
import sys
import sysconfig
from pathlib import Path

from . import kernel

LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")


def stdlib_folders() -> list[str]:
    """Folders that imports read from; outside them there is nothing for a program to see."""
    paths = sysconfig.get_paths()
    found = [paths["stdlib"], paths["platstdlib"]]
    found += [str(Path(sys.base_prefix) / "lib")] if sys.base_prefix not in {"/usr", "/"} else []
    real = {os.path.realpath(path) for path in found if Path(path).is_dir()}
    return sorted(path for path in real if not any(path.startswith(f"{other}/") for other in real))


def package_folders() -> list[str]:
    """Installed packages inside those folders: data sets may lie there, so they are covered."""
    stdlib = Path(os.path.realpath(sysconfig.get_paths()["stdlib"]))
    places = [stdlib / "site-packages", stdlib / "dist-packages", Path("/usr/lib/python3/dist-packages")]
    return [str(path) for path in places if path.is_dir()]


def bind(source: str, target: str) -> None:
    """Mount a folder at another place, to be read alone."""
    Path(target).mkdir(parents=True, exist_ok=True)
    kernel.mount(source, target, None, kernel.MS_BIND)
    # A user namespace may not lift what the outer mount forbids, so its flags are kept.
    keep = os.statvfs(target).f_flag & (kernel.MS_NOSUID | kernel.MS_NODEV | 8 | 1024 | 2048)
    flags = kernel.MS_REMOUNT | kernel.MS_BIND | kernel.MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV | keep
    kernel.mount("none", target, None, flags)
