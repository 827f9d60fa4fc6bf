"""What is on disk: the folders of a store, and signs that something in them has changed."""

import os
import stat
import time
from pathlib import Path

from holdfast._filesystem import filesystem

METRICS_FILE = "artifacts/metrics.json"
RESULT_FILE = "artifacts/result.json"

NEVER, IF_CHANGED, ALWAYS = 0, 1, 2
"""When a folder is looked at again: never (a complete run), when its files have changed (an ended
run that may be retried, a folder that is no run yet), always (a run whose state may change while
its files do not)."""

SETTLED_SECONDS = 60.0
"""How long a complete run must have lain still; a copy that comes in may bring its metadata first.
"""

_FINE = frozenset(["ext4", "xfs", "btrfs", "tmpfs", "overlay", "f2fs"])
_FINE_SLACK, _COARSE_SLACK, _NETWORK_SLACK = 0.05, 2.5, 300.0
"""Seconds within which two changes of a folder may bear the same time; those of another host's
clock may be off by minutes."""


def folders(directory: Path) -> dict[str, int]:
    """Return the folders of a store with their inodes.

    Left out are hidden ones, symlinks, and those whose name is no text (bytes that are not UTF-8).
    """
    with os.scandir(directory) as entries:
        return {
            entry.name: entry.inode()
            for entry in entries
            if not entry.name.startswith(".")
            and entry.is_dir(follow_symlinks=False)
            and (entry.name.isascii() or _is_text(entry.name))
        }


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def stamp(directory: Path) -> tuple[str, bool]:
    """Return a text that differs whenever folders have come or gone, and whether to trust it.

    Right after a change it cannot be trusted: a second one may not move the clock of the file
    system.
    """
    found = os.stat(directory)
    text = f"{found.st_dev:x}.{found.st_ino:x}.{found.st_mtime_ns:x}.{found.st_ctime_ns:x}"
    age = time.time() - max(found.st_mtime, found.st_ctime)
    return text, age > _slack(directory)


def _slack(directory: Path) -> float:
    kind = filesystem(directory)
    if kind.is_network:
        return _NETWORK_SLACK
    return _FINE_SLACK if kind.kind in _FINE else _COARSE_SLACK


def signature(run: str) -> str | None:
    """Return a text that changes whenever the files do that tell of a run; None without metadata.

    Files are replaced by renaming, which changes the inode even where a clock is too coarse; the
    time of the last change of the inode tells an edit that put the other time back.
    """
    metadata = _sign(f"{run}/metadata.json")
    if not metadata:
        return None
    params = _sign(f"{run}/params.yaml") or _sign(f"{run}/params.json")
    return f"{metadata} {params} {_sign(f'{run}/{METRICS_FILE}')} {_sign(f'{run}/{RESULT_FILE}')}"


def _sign(path: str) -> str:
    if not os.access(path, os.F_OK):  # cheaper than an exception, and most of these are missing
        return ""
    try:
        found = os.stat(path)
    except OSError:
        return ""
    return f"{found.st_ino:x}.{found.st_mtime_ns:x}.{found.st_ctime_ns:x}.{found.st_size:x}"


def is_folder(path: str) -> bool:
    """Whether there is a folder, and no symlink to one."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def lies_still(run: str) -> bool:
    """Whether nothing has been put into a run directory for `SETTLED_SECONDS`."""
    try:
        last = max(os.stat(run).st_ctime, os.stat(f"{run}/metadata.json").st_ctime)
    except OSError:
        return False
    return time.time() - last > SETTLED_SECONDS
