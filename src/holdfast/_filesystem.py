"""Which file system a path lies on, and which guarantees follow from that.

Only Linux tells (``/proc/self/mountinfo``); elsewhere the kind is ``unknown`` and callers take the
careful way.
"""

import os
import platform
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class FileSystem:
    """A mounted file system: its kind (``ext4``, ``nfs4`` …) and its mount options."""

    kind: str
    options: frozenset[str] = frozenset()

    @property
    def orders_replacements(self) -> bool:
        """Whether a rename over a file reaches the disk only after the new file's data.

        ext4 does so by default (``auto_da_alloc`` with ordered data), btrfs always. Elsewhere a
        power loss after an unsynced replacement may leave neither the old content nor the new.
        """
        if self.kind == "ext4":
            return not self.options & {"noauto_da_alloc", "data=writeback"}
        return self.kind in {"btrfs", "tmpfs", "ramfs"}

    @property
    def tells_of_lost_writes(self) -> bool:
        """Whether ``syncfs`` fails where data of any file did not come to the disk.

        From Linux 5.8 on, for file systems that keep data themselves. An overlay hears nothing of
        the one below it, and a FUSE server is not even asked.
        """
        return self.kind in {"ext4", "xfs", "btrfs", "f2fs", "tmpfs"} and _is_linux_from(5, 8)

    @property
    def is_network(self) -> bool:
        """Whether other hosts may have the same files open."""
        return self.kind.startswith(
            ("nfs", "cifs", "smb", "fuse", "lustre", "gpfs", "beegfs", "9p")
        )


def _is_linux_from(*version: int) -> bool:
    found = re.match(r"(\d+)\.(\d+)", platform.release())
    return found is not None and tuple(map(int, found.groups())) >= version


@lru_cache(maxsize=64)
def _by_device(device: int) -> FileSystem:
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return FileSystem("unknown")
    for line in lines.splitlines():
        # 36 35 98:0 /root /mnt rw,noatime master:1 - ext4 /dev/sda1 rw,errors=continue
        before, _, after = line.partition(" - ")
        fields = before.split()
        if len(fields) > 2 and fields[2] == number:
            kind, _, options = [*after.split(), "", "", ""][:3]
            return FileSystem(kind, frozenset(options.split(",")))
    return FileSystem("unknown")


def filesystem(path: Path) -> FileSystem:
    """Return the file system that holds `path`, which has to exist."""
    if not hasattr(os, "major"):
        return FileSystem("unknown")
    return _by_device(path.stat().st_dev)
