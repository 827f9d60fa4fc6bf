"""The lock of a journal: a kernel lock that dies with its writer, and a text that names it."""

import contextlib
import errno
import json
import os
import sys
import time
import weakref
from pathlib import Path

from holdfast._process import this_process
from holdfast.errors import LockedError
from holdfast.journal._format import LOCK

HAS_LOCKS = sys.platform != "win32"
"""Whether the system tells if a writer lives."""

_NOT_EMPTY = frozenset([errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.ENOTDIR])
"""Errors that say that a folder holds something, or is none."""

_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)


class WriterLock:
    """Held by the one writer of a journal for as long as it lives.

    Parameters
    ----------
    folder : Path
        The journal's folder; made when missing.

    Raises
    ------
    LockedError
        If another writer lives; the message names its process and host.
    OSError
        If the folder cannot be made or written; nothing is left behind then.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOCK
        self._descriptor = -1
        _held.add(self)  # before the lock is taken: a thread may fork at any time
        try:
            while not self._acquire(folder):
                pass
            name = json.dumps(this_process().to_dict()).encode()
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, name, 0)
        except LockedError:
            self.release()
            raise
        except BaseException:
            self.remove()
            with contextlib.suppress(OSError):  # it holds a journal, or was never made
                folder.rmdir()
            raise

    def _acquire(self, folder: Path) -> bool:
        """Take the lock; False if its last holder has just unlinked it."""
        with contextlib.suppress(FileExistsError):  # `exist_ok` fails if it is removed meanwhile
            folder.mkdir()
        try:
            self._descriptor = os.open(self.path, _FLAGS, 0o666)
        except FileNotFoundError:
            if folder.is_symlink():  # it leads nowhere
                raise
            return False
        if not _take_patiently(self._descriptor):
            raise LockedError(
                f"{folder} is being written by {_holder(self.path)}; close it there, or wait for "
                "its end"
            )
        if self.is_current():
            return True
        self.release()
        return False

    def is_current(self) -> bool:
        """Tell whether the lock's file is still at its path: its folder may be moved or deleted.

        Raises
        ------
        OSError
            If the disk fails, so that it cannot be told.
        """
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self._descriptor))
        except (FileNotFoundError, NotADirectoryError):
            return False

    @property
    def held(self) -> bool:
        """Whether the lock is still held by this object."""
        return self._descriptor >= 0

    def remove(self) -> None:
        """Unlink the lock's file and let go."""
        if self._descriptor >= 0:
            with contextlib.suppress(FileNotFoundError):
                self.path.unlink()
        self.release()

    def release(self) -> None:
        """Let go of the lock, its file staying on disk."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)


_held: "weakref.WeakSet[WriterLock]" = weakref.WeakSet()


def _let_go_in_child() -> None:
    # A forked child shares the lock; were it to outlive its parent, the dead would seem alive.
    for lock in list(_held):
        lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_in_child)


def _take_patiently(descriptor: int) -> bool:
    for _ in range(20):  # a reader that asks `writer_lives` holds the lock for microseconds
        if _take(descriptor, exclusively=True):
            return True
        time.sleep(0.002)
    return False


def _take(descriptor: int, *, exclusively: bool) -> bool:
    if sys.platform == "win32":
        return True
    import fcntl

    kind = fcntl.LOCK_EX if exclusively else fcntl.LOCK_SH
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(path: Path) -> str:
    try:
        found = json.loads(path.read_bytes())
        return f"process {found['pid']} on {found['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def is_empty(folder: Path) -> bool:
    """Tell whether there is no journal at a path, since there is no folder or nothing in it.

    An empty one is what a kill leaves of a writer that was about to begin, or has just ended.
    """
    try:
        return not os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return True


def remove_empty(folder: Path) -> None:
    """Remove a journal's folder unless something is in it, or it is gone.

    Whoever is about to lock it makes it again.

    Raises
    ------
    OSError
        If the disk fails; call again.
    """
    try:
        folder.rmdir()
    except OSError as error:
        if error.errno not in _NOT_EMPTY:
            raise


def writer_lives(folder: Path) -> bool:
    """Tell whether a writer holds the lock of a journal, without taking it from anyone."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        return not _take(descriptor, exclusively=False)
    finally:
        os.close(descriptor)
