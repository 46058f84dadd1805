"""What a child may do: measures that the server takes once, and those that each child takes before it sees a program.

Every measure is tried; what the kernel refuses is named in :attr:`Cage.refused` with the reason, and the rest stays on.
The layers overlap on purpose: files are kept away by a mount namespace and by Landlock, the network by a namespace, by
Landlock and by the call filter. Not covered: side channels, and a kernel bug.
"""

import contextlib
import os
import resource
import shutil
import signal
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from . import kernel, seccomp
from .folders import LIBRARIES, bind, package_folders, stdlib_folders
from .home import INSIDE, Home, mount_home

_NOBODY = 65534
_FIRST_UID = 0x70000000


class Cage:
    """The measures of one server.

    Attributes:
        granted: names of the measures that are on.
        refused: name → why the kernel refused it.
    """

    def __init__(self) -> None:
        self.granted: list[str] = []
        self.refused: dict[str, str] = {}
        self._root = os.geteuid() == 0
        self._in_user_namespace = False
        self._pid_fd = -1
        self._filter: tuple[seccomp.Program, object] | None = None
        self._landlock = 0
        self._readable: tuple[int, ...] = ()
        self._ruleset = -1
        self._home: Home | None = None
        # A user for each server, where ids are free: servers cannot signal each other's children, and threads are
        # counted apart.
        self._uid = _FIRST_UID + os.getpid()

    def has(self, measure: str) -> bool:
        """Whether a measure is on."""
        return measure in self.granted

    def _try(self, measure: str, action: Callable[[], None]) -> bool:
        try:
            action()
        except (OSError, KeyError) as error:
            self.refused[measure] = str(error.strerror if isinstance(error, OSError) else error)
            return False
        self.granted.append(measure)
        return True

    def prepare(self, skip: frozenset[str]) -> None:
        """Take the server's measures; ``skip`` names those to leave out, for tests of the degraded modes.

        ``privilege`` among them stands for starting as an ordinary user.
        """
        real = self._try

        def attempt(measure: str, action: Callable[[], None]) -> bool:
            if measure in skip:
                self.refused[measure] = "switched off"
                return False
            return real(measure, action)

        for kind in (resource.RLIMIT_CORE, resource.RLIMIT_MSGQUEUE, resource.RLIMIT_MEMLOCK):
            resource.setrlimit(kind, (0, 0))
        kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
        self._pid_fd = (
            os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC) if Path("/proc/self/ns").exists() else -1
        )
        if not (self._root and "privilege" not in skip and self._can_unshare()):
            self._in_user_namespace = attempt("user namespace", self._enter_user_namespace)
        attempt("network namespace", lambda: kernel.unshare(kernel.NEW_NET))
        attempt("ipc namespace", lambda: kernel.unshare(kernel.NEW_IPC | kernel.NEW_UTS))
        attempt("pid namespace", self._try_pid_namespace)
        attempt("mount namespace", self._build_root)
        attempt("landlock", self._try_landlock)
        attempt("system-call filter", self._build_filter)
        if self._root:
            attempt("other user", self._try_other_user)
        if self.has("mount namespace") and self.has("other user"):
            self._home = Home()
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)

    def _can_unshare(self) -> bool:
        try:
            self._in_child(lambda: kernel.unshare(kernel.NEW_NS))
        except OSError:
            return False
        return True

    def _in_child(self, action: Callable[[], None]) -> None:
        """Try something that cannot be undone in a child of its own; its errno comes back as an OSError."""
        pid = os.fork()
        if pid == 0:
            try:
                action()
            except OSError as error:
                os._exit(min(error.errno or 255, 255))
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code:
            raise OSError(code, os.strerror(code) if code > 0 else f"signal {-code}")

    def _enter_user_namespace(self) -> None:
        user, group = os.getuid(), os.getgid()
        self._in_child(lambda: kernel.unshare(kernel.NEW_USER))
        kernel.unshare(kernel.NEW_USER)
        with contextlib.suppress(OSError):
            Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1", encoding="ascii")
        self._root = False

    def _try_pid_namespace(self) -> None:
        if self._in_user_namespace:
            # Only a PID namespace of our own user namespace can be come back to, so the server moves into one.
            self._in_child(lambda: kernel.unshare(kernel.NEW_PID))
            kernel.unshare(kernel.NEW_PID)
            self._continue_in_child()
            os.close(self._pid_fd)
            self._pid_fd = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)

        def trial() -> None:
            self.enter_pid_namespace()
            self._in_child(lambda: None)

        self._in_child(trial)

    @staticmethod
    def _continue_in_child() -> None:
        pid = os.fork()
        if pid == 0:
            kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
            return
        os.closerange(3, 256)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0xFF)

    def enter_pid_namespace(self) -> None:
        """Let the next fork open a PID namespace of its own; setns first, for a second unshare is refused without."""
        kernel.setns(self._pid_fd, kernel.NEW_PID)
        kernel.unshare(kernel.NEW_PID)

    def _build_root(self) -> None:
        self._in_child(lambda: kernel.unshare(kernel.NEW_NS))
        kernel.unshare(kernel.NEW_NS)
        kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
        folders = stdlib_folders()
        sources = [*folders, *(path for path in LIBRARIES if Path(path).is_dir() and not Path(path).is_symlink())]
        places = ("/mnt", "/media", "/srv", "/opt", "/tmp", "/var/tmp")
        free = [p for p in places if Path(p).is_dir() and not any(s.startswith(f"{p}/") for s in sources)]
        if not free:
            raise OSError(2, "no folder to mount on")
        root = free[0]
        flags = kernel.MS_NOSUID | kernel.MS_NODEV
        kernel.mount("none", root, "tmpfs", flags, "size=1m,mode=755")
        for link in (path for path in LIBRARIES if Path(path).is_symlink()):
            Path(root + link).parent.mkdir(parents=True, exist_ok=True)
            Path(root + link).symlink_to(Path(link).readlink())
        for source in sorted(sources):
            bind(source, root + source)
        for packages in (root + path for path in package_folders()):
            if Path(packages).is_dir():
                kernel.mount("none", packages, "tmpfs", flags | kernel.MS_RDONLY, "size=4k")
        Path(root + INSIDE).mkdir(exist_ok=True)
        os.chdir(root)
        kernel.pivot_root(".", ".")
        kernel.unmount(".")
        os.chdir("/")
        kernel.mount("none", "/", None, kernel.MS_REMOUNT | kernel.MS_BIND | kernel.MS_RDONLY | flags)

    def _try_landlock(self) -> None:
        self._landlock = kernel.landlock_abi()
        known = [*stdlib_folders(), *LIBRARIES]
        folders = dict.fromkeys(os.path.realpath(path) for path in known if Path(path).is_dir())
        # Opened here and once: a child only names them.
        self._readable = tuple(os.open(folder, os.O_PATH | os.O_CLOEXEC) for folder in folders)

        def trial() -> None:
            kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
            kernel.landlock(kernel.landlock_rules(self._landlock, self._readable, INSIDE))

        self._in_child(trial)

    def _build_filter(self) -> None:
        built = seccomp.build()

        def trial() -> None:
            kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
            kernel.prctl(kernel.PR_SET_SECCOMP, 2, _address(built[0]))

        self._in_child(trial)
        self._filter = built

    def _try_other_user(self) -> None:
        def trial() -> None:
            self._become_other()
            for folder in stdlib_folders():
                os.scandir(folder).close()  # where only its owner may read Python, another user could not import

        try:
            self._in_child(trial)
        except OSError:
            self._uid = _NOBODY
            self._in_child(trial)

    def _become_other(self) -> None:
        os.setgroups([])
        os.setresgid(self._uid, self._uid, self._uid)
        os.setresuid(self._uid, self._uid, self._uid)

    def open_home(self, disk: int) -> str:
        """Where the next child may write: a folder of its own, made here, or "" for the tmpfs at ``INSIDE``."""
        if not self.has("mount namespace"):
            return self._make_folder()
        if self._home and self._home.ready(disk) and self._landlock:
            if self._ruleset >= 0:
                os.close(self._ruleset)
            self._ruleset = kernel.landlock_rules(self._landlock, self._readable, INSIDE)
        return ""

    def _make_folder(self) -> str:
        folder = tempfile.mkdtemp(prefix=f"codelab-sandbox-{os.getpid()}-")
        if self.has("other user"):
            os.chown(folder, self._uid, self._uid)
        return folder

    @staticmethod
    def remove_folder(folder: str) -> None:
        """Remove what a child left, whatever modes it gave."""
        for path, names, _ in os.walk(folder):
            for name in names:
                if not (Path(path) / name).is_symlink():
                    (Path(path) / name).chmod(stat.S_IRWXU)
        shutil.rmtree(folder, ignore_errors=True)

    def close(self, folder: str, limits: tuple[int, int, int, int, int]) -> None:
        """Take the child's measures; the last call before a program is read.

        Args:
            folder: its own folder, or "" for the tmpfs.
            limits: CPU seconds (rounded up), memory, threads, disk (bytes), open files.
        """
        cpu, memory, threads, disk, files = limits
        if not folder and not self._home:
            kernel.unshare(kernel.NEW_NS)
            mount_home(disk)
        os.chdir(folder or INSIDE)
        for kind, value in (
            (resource.RLIMIT_CPU, cpu),
            (resource.RLIMIT_AS, memory),
            (resource.RLIMIT_FSIZE, disk),
            (resource.RLIMIT_NOFILE, files),
            (resource.RLIMIT_NPROC, threads + 1),
        ):
            resource.setrlimit(kind, (value, value))
        if self.has("other user"):
            self._become_other()
        elif self._in_user_namespace or self._root:
            kernel.drop_capabilities()
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        if self.has("landlock"):
            if self._ruleset < 0:
                self._ruleset = kernel.landlock_rules(self._landlock, self._readable, folder or INSIDE)
            kernel.landlock(self._ruleset)
        if self._filter is not None:
            kernel.prctl(kernel.PR_SET_SECCOMP, 2, _address(self._filter[0]))


def _address(program: seccomp.Program) -> int:
    import ctypes  # noqa: PLC0415

    return ctypes.addressof(program)
