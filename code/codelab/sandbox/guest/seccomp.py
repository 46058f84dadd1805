"""A system-call filter that refuses what no answer to a programming question needs.

Refused with EPERM: processes other than threads, exec, signals to others, sockets other than socketpair, tracing,
mounts, namespaces, System V and POSIX queues and shared memory, keys, bpf, io_uring, device nodes, others' limits.
Numbers that were not assigned when this was written get ENOSYS. Not covered: machines other than x86-64 and ARM64 (the
measure counts as refused there).
"""

import ctypes
import errno
import platform
import struct

_THREAD = 0x10000  # CLONE_THREAD
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_LOAD, _EQ, _GE, _SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NR, _ARCH, _ARG0 = 0, 4, 16
_NEWEST = 470

# process_vm_*, pidfd_*, io_uring_*, the mount calls of 2019 and later, process_madvise, memfd_secret have one number.
_EVERYWHERE = (424, 425, 426, 427, 428, 429, 430, 431, 432, 433, 434, 438, 440, 442, 444, 445, 446, 447)
_X86_64 = (
    *(57, 58, 59, 322),  # fork, vfork, execve, execveat
    *(62, 200, 234, 129, 297, 101, 310, 311, 312),  # kill and its family, ptrace, process_vm_*, kcmp
    *(41, 42, 43, 44, 46, 47, 49, 50, 288, 299, 307),  # socket … sendmmsg; recvfrom and socketpair stay
    *(29, 30, 31, 64, 65, 66, 68, 69, 70, 71, 220, 240, 241),  # shared memory, semaphores, queues
    *(155, 161, 165, 166, 272, 308, 133, 259, 303, 304, 300),  # pivot_root … setns, mknod, handles, fanotify
    *(248, 249, 250, 298, 321, 323, 157, 317, 319),  # keys, perf, bpf, userfaultfd, prctl, seccomp, memfd_create
    *(
        103,
        134,
        135,
        153,
        154,
        159,
        163,
        164,
        167,
        168,
        169,
        170,
        171,
        172,
        173,
        175,
        176,
        179,
        227,
        246,
        305,
        313,
        320,
    ),
    *(109, 112, 141, 144, 203, 251, 256, 279, 314),  # setpgid, setsid, priorities, affinity, page moves
)
_ARM64 = (
    *(221, 281),
    *(129, 130, 131, 138, 240, 117, 270, 271, 272),
    *(198, 203, 202, 206, 211, 212, 200, 201, 242, 243, 269),
    *(194, 195, 196, 190, 191, 192, 193, 186, 187, 188, 189, 180, 181),
    *(41, 51, 40, 39, 97, 268, 33, 264, 265, 262),
    *(217, 218, 219, 241, 280, 282, 167, 277, 279),
    *(116, 92, 171, 89, 170, 224, 225, 142, 161, 162, 105, 106, 60, 112, 104, 266, 273, 294),
    *(154, 157, 140, 119, 122, 30, 238, 239, 274),
)
_MACHINES = {
    "x86_64": (0xC000003E, _X86_64, 56, 302),
    "aarch64": (0xC00000B7, _ARM64, 220, 261),
}


class Program(ctypes.Structure):
    """``struct sock_fprog``."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def build() -> tuple[Program, ctypes.Array[ctypes.c_char]]:
    """The filter and the buffer that holds it, which must outlive it.

    Raises:
        OSError: a machine whose call numbers are not listed here.
    """
    if platform.machine() not in _MACHINES:
        raise OSError(errno.ENOTSUP, f"no system-call table for {platform.machine()}")
    arch, denied, clone, prlimit = _MACHINES[platform.machine()]
    refuse, unknown = _ERRNO | errno.EPERM, _ERRNO | errno.ENOSYS
    code = [
        *((_LOAD, 0, 0, _ARCH), (_EQ, 1, 0, arch), (_RETURN, 0, 0, refuse), (_LOAD, 0, 0, _NR)),
        # Beyond the newest known number, and x86-64's second table (bit 30): not there.
        *((_GE, 0, 1, _NEWEST), (_RETURN, 0, 0, unknown), (_EQ, 0, 1, 435), (_RETURN, 0, 0, unknown)),  # 435: clone3
        *((_EQ, 0, 4, clone), (_LOAD, 0, 0, _ARG0), (_SET, 0, 1, _THREAD), (_RETURN, 0, 0, _ALLOW)),
        (_RETURN, 0, 0, refuse),
        *((_EQ, 0, 4, prlimit), (_LOAD, 0, 0, _ARG0), (_EQ, 0, 1, 0), (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, refuse)),
    ]
    for number in (*denied, *_EVERYWHERE):
        code += [(_EQ, 0, 1, number), (_RETURN, 0, 0, refuse)]
    code.append((_RETURN, 0, 0, _ALLOW))
    raw = b"".join(struct.pack("HBBI", *instruction) for instruction in code)
    buffer = ctypes.create_string_buffer(raw, len(raw))
    return Program(len(code), ctypes.addressof(buffer)), buffer
