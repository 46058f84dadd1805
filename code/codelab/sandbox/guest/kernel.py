"""The Linux calls that Python has no function for, through ctypes; each raises OSError as ``os`` would.

Not covered: policy (``confine``) and the system-call filter (``seccomp``).
"""

import ctypes
import os
import struct
from typing import Final

NEW_NS, NEW_UTS, NEW_IPC, NEW_USER, NEW_PID, NEW_NET = (
    0x00020000,
    0x04000000,
    0x08000000,
    0x10000000,
    0x20000000,
    0x40000000,
)
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 36, 38
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF, _CLOSE_RANGE = 444, 445, 446, 436  # the same on every machine
_CAPSET = {"x86_64": 126, "aarch64": 91}

# Landlock: every right on files that an ABI knows, reading, and what a temporary folder needs.
READ: Final = (1 << 2) | (1 << 3)

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def unshare(flags: int) -> None:
    """``unshare(2)``."""
    _check(_libc.unshare(flags), "unshare")


def setns(fd: int, flags: int) -> None:
    """``setns(2)``."""
    _check(_libc.setns(fd, flags), "setns")


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """``mount(2)``."""
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind, data)]
    result = _libc.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3])
    _check(result, f"mount {target}")


def unmount(target: str) -> None:
    """``umount2(2)``, lazily."""
    _check(_libc.umount2(os.fsencode(target), MNT_DETACH), f"umount {target}")


def pivot_root(new: str, old: str) -> None:
    """``pivot_root(2)``."""
    _check(_syscall(_PIVOT_ROOT[os.uname().machine], os.fsencode(new), os.fsencode(old)), "pivot_root")


def prctl(option: int, first: int = 0, second: int = 0) -> None:
    """``prctl(2)``."""
    arguments = [ctypes.c_ulong(value) for value in (first, second, 0, 0)]
    _check(_libc.prctl(option, *arguments), f"prctl {option}")


def drop_capabilities() -> None:
    """Empty the permitted, effective and inheritable sets."""
    header = ctypes.create_string_buffer(struct.pack("=Ii", 0x20080522, 0))
    _check(_syscall(_CAPSET[os.uname().machine], header, ctypes.create_string_buffer(24)), "capset")


def close_from(lowest: int) -> None:
    """Close every descriptor from ``lowest`` on."""
    if _syscall(_CLOSE_RANGE, ctypes.c_uint(lowest), ctypes.c_uint(0xFFFFFFFF), 0) < 0:
        os.closerange(lowest, 4096)


def landlock_abi() -> int:
    """Version of Landlock; raises OSError where there is none."""
    return _check(_syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(1)), "landlock")


def landlock_rules(abi: int, readable: tuple[int, ...], writable: str) -> int:
    """A descriptor of rules that refuse every file outside two kinds of folders, TCP, and sockets and signals outward.

    Args:
        abi: what :func:`landlock_abi` said.
        readable: folders that may be read, opened with O_PATH.
        writable: the one folder that may be written.
    """
    bits = {1: 13, 2: 14, 3: 15, 4: 15}.get(abi, 16)
    rights = (1 << bits) - 1
    attributes = struct.pack("=QQQ", rights, 3 if abi >= 4 else 0, 3 if abi >= 6 else 0)
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    ruleset = _check(_syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(size), ctypes.c_uint(0)), "landlock")
    try:
        home = os.open(writable, os.O_PATH | os.O_CLOEXEC)
        for folder, allowed in (*((folder, READ) for folder in readable), (home, rights & ~1)):
            rule = struct.pack("=Qi", allowed, folder)
            _check(_syscall(_ADD_RULE, ruleset, 1, rule, ctypes.c_uint(0)), "landlock")
        os.close(home)
    except OSError:
        os.close(ruleset)
        raise
    return ruleset


def landlock(ruleset: int) -> None:
    """Hold this process and all that it starts to the rules."""
    _check(_syscall(_RESTRICT_SELF, ruleset, ctypes.c_uint(0)), "landlock")
