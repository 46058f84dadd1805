"""The folder that the children of a server may write: one tmpfs that serves child after child until one leaves a trace.

Hardly any program writes, so that a mount namespace and a tmpfs for each child would be spent on few. What a child
could leave behind: an entry (the counts of free blocks and inodes differ, and the folder's own times), the mode
or an owner (compared), an attribute (refused: the folder is sticky and belongs to another user). Any difference, and
the next child gets a new tmpfs. Not covered: servers that are not root, whose children own the folder and could mark it
unseen; those children mount one each (``confine``).
"""

import os
from pathlib import Path

from . import kernel

INSIDE = "/tmp"


def mount_home(disk: int) -> None:
    """A tmpfs of so many bytes at :data:`INSIDE`, in this process's mount namespace."""
    kernel.mount("none", INSIDE, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, f"size={disk},nr_inodes=4096")


class Home:
    """The tmpfs of one server, in its own mount namespace; children must be another user without capabilities."""

    def __init__(self) -> None:
        self._disk = -1
        self._clean: tuple[int, ...] = ()

    def ready(self, disk: int) -> bool:
        """Give the next child an empty folder of so many bytes; True where it had to be made anew.

        To be called when no child is alive.
        """
        if disk == self._disk and self._state() == self._clean:
            return False
        if self._disk >= 0:
            self._disk = -1
            kernel.unmount(INSIDE)
        mount_home(disk)
        self._disk, self._clean = disk, self._state()
        return True

    @staticmethod
    def _state() -> tuple[int, ...]:
        folder, room = Path(INSIDE).stat(), os.statvfs(INSIDE)
        return (
            *(folder.st_dev, folder.st_ino, folder.st_mode, folder.st_nlink, folder.st_uid, folder.st_gid),
            *(folder.st_mtime_ns, folder.st_ctime_ns, room.f_blocks, room.f_bfree, room.f_files, room.f_ffree),
        )
