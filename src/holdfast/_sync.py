"""When accepted data reach the disk itself, and signs of life while a writer lives.

What a process has written survives the death of that process; surviving a power loss takes an
``fsync``. A `Durability` belongs to one writer and says when that happens: in the background
within a second (by one thread per process, which also beats for the writers that live), or before
each call returns.
"""

import atexit
import contextlib
import ctypes
import errno
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

from holdfast._filesystem import filesystem
from holdfast._process import HEARTBEAT_INTERVAL
from holdfast.errors import InvalidInputError

SyncMode = Literal["background", "always"]

GATHER_SECONDS = 0.3
"""How long the background gathers files, so that one replaced often is synced once."""

_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)  # or a named pipe would keep all others waiting

MANY_FILES = 32
"""From this many pending files on, one ``syncfs`` is cheaper than an ``fsync`` each."""


class Durability:
    """Brings the files of one writer to the disk.

    Parameters
    ----------
    mode : {"background", "always"}
        ``background``: an ``fsync`` follows within a second, and at the exit of the process at the
        latest. ``always``: before the call that wrote returns.

    Raises
    ------
    InvalidInputError
        If `mode` is another word.
    """

    def __init__(self, mode: SyncMode = "background") -> None:
        if mode not in ("background", "always"):
            raise InvalidInputError(f"sync must be 'background' or 'always', not {mode!r}")
        self.mode = mode
        self._failure: tuple[Path, OSError] | None = None

    def before_rename(self, descriptor: int, target: Path) -> None:
        """Sync a finished temporary file where the rename that follows needs it.

        Besides ``always``, that is where a power loss after the rename could leave neither the old
        `target` nor the new one.
        """
        if self.mode == "always" or (
            not filesystem(target.parent).orders_replacements and target.exists()
        ):
            os.fsync(descriptor)

    def changed(self, path: Path) -> None:
        """Bring a file's content to the disk, for files that are appended to."""
        if self.mode == "always":
            fsync_path(path)
        else:
            _background.sync(path, self)

    def renamed(self, path: Path) -> None:
        """Bring a new directory entry (and, in the background, the file behind it) to the disk."""
        if self.mode == "always":
            fsync_path(path.parent)
        else:
            _background.sync(path, self)
            _background.sync(path.parent, self)

    def failed(self, path: Path, error: OSError) -> None:
        """Remember that `path` could not be synced, for `raise_failure`."""
        self._failure = path, error

    def raise_failure(self) -> None:
        """Raise what went wrong in the background since the last call, once.

        Raises
        ------
        OSError
            With the error number that the sync met.
        """
        if self._failure is not None:
            (path, error), self._failure = self._failure, None
            raise OSError(
                error.errno,
                f"{error.strerror} while bringing it to the disk; it is readable now but may not "
                "survive a power loss: copy it to another disk",
                str(path),
            )


def fsync_path(path: Path) -> None:
    """Sync one file or folder; a folder only where the system can (not on Windows)."""
    if os.name == "nt" and path.is_dir():  # pragma: no cover
        return
    writable = os.O_RDWR if os.name == "nt" else _READ
    descriptor = os.open(path, writable)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network and FUSE file systems cannot sync a folder and order its changes themselves.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP) or not path.is_dir():
            raise
    finally:
        os.close(descriptor)


class ManySynced:
    """Syncs files that are written to one folder: many by one ``syncfs``, where that is as good.

    Made before they are written, since a file system tells each opened file only of writes that
    were lost after it was opened.

    Parameters
    ----------
    folder : Path
        Where they are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        trusted = _syncfs is not None and filesystem(folder).tells_of_lost_writes
        self._descriptor = os.open(folder, _READ) if trusted else -1

    def sync(self, paths: Sequence[Path]) -> None:
        """Bring these files to the disk.

        Raises
        ------
        OSError
            If one of them, or any other file of the disk meanwhile, did not get there.
        """
        if self._descriptor >= 0 and len(paths) >= MANY_FILES:
            _syncfs_of(self._descriptor, self._folder)
            return
        for path in paths:
            fsync_path(path)

    def close(self) -> None:
        """Close the folder."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def heartbeat(beat: Callable[[], None]) -> None:
    """Call a bound method every `HEARTBEAT_INTERVAL` for as long as its object lives.

    The call comes from the background thread; an ``OSError`` in it is ignored, since the next beat
    tries again and a missed one only makes the writer look idle.
    """
    _background.beat(weakref.WeakMethod(beat))


def stop_heartbeat(beat: Callable[[], None]) -> None:
    """Stop what `heartbeat` began."""
    _background.stop_beat(weakref.WeakMethod(beat))


def drain() -> None:
    """Return when everything written so far, by every writer of the process, is on disk."""
    _background.drain()


class _Background:
    """The thread that syncs and beats; started by its first piece of work."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew, as a forked child must: it has the parent's state but not its thread."""
        self._wake = threading.Condition()
        self._busy = threading.Lock()
        self._pending: dict[Path, Durability] = {}
        self._beats: set[weakref.WeakMethod[Callable[[], None]]] = set()
        self._thread: threading.Thread | None = None
        self._stopping = False

    def sync(self, path: Path, owner: Durability) -> None:
        with self._wake:
            idle = not self._pending or self._thread is None
            self._pending[path] = owner
            if idle:
                self._ensure_running()
                self._wake.notify()

    def beat(self, method: "weakref.WeakMethod[Callable[[], None]]") -> None:
        with self._wake:
            self._beats.add(method)
            self._ensure_running()

    def stop_beat(self, method: "weakref.WeakMethod[Callable[[], None]]") -> None:
        with self._wake:
            self._beats.discard(method)

    def drain(self) -> None:
        with self._busy:
            self._sync_pending()

    def stop(self) -> None:
        """Finish all work; called at exit, before the interpreter takes threads down."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()
        self.drain()

    def _ensure_running(self) -> None:
        if self._thread is None and not self._stopping:
            thread = threading.Thread(target=self._run, name="holdfast-sync", daemon=True)
            self._thread = thread
            try:
                thread.start()
            except RuntimeError:  # no thread to be had (a limit, or at exit): the next call tries
                self._thread = None

    def _run(self) -> None:
        next_beat = time.monotonic() + HEARTBEAT_INTERVAL
        while not self._stopping:
            with self._wake:
                until_beat = max(0.0, next_beat - time.monotonic())
                self._wake.wait_for(lambda: self._stopping or self._pending, until_beat)
                if self._pending:
                    self._wake.wait_for(lambda: self._stopping, GATHER_SECONDS)
            self.drain()
            if time.monotonic() >= next_beat:
                self._beat_all()
                next_beat = time.monotonic() + HEARTBEAT_INTERVAL

    def _beat_all(self) -> None:
        with self._wake:
            self._beats = {method for method in self._beats if method() is not None}
            beats = list(self._beats)
        for method in beats:
            call = method()
            if call is not None:
                with contextlib.suppress(OSError):
                    call()

    def _sync_pending(self) -> None:
        with self._wake:
            pending, self._pending = self._pending, {}
        if len(pending) >= MANY_FILES and _syncfs is not None:
            self._sync_filesystems(pending)
            return
        for path, owner in pending.items():
            try:
                fsync_path(path)
            except (FileNotFoundError, NotADirectoryError):
                continue  # replaced or removed meanwhile; its successor was queued by itself
            except OSError as error:
                owner.failed(path, error)

    def _sync_filesystems(self, pending: dict[Path, Durability]) -> None:
        """Sync whole file systems: one call for thousands of small files."""
        by_device: dict[int, dict[Path, Durability]] = {}
        for path, owner in pending.items():
            try:
                by_device.setdefault(path.stat().st_dev, {})[path] = owner
            except (FileNotFoundError, NotADirectoryError):
                continue  # as above
            except OSError as error:
                owner.failed(path, error)
        for files in by_device.values():
            try:
                _sync_filesystem(files)
            except OSError as error:
                for path, owner in files.items():
                    owner.failed(path, error)


def _find_syncfs() -> Callable[[int], int] | None:
    try:
        function = ctypes.CDLL(None, use_errno=True).syncfs
    except (AttributeError, OSError, TypeError):  # not glibc on Linux
        return None
    function.argtypes, function.restype = [ctypes.c_int], ctypes.c_int
    return function


_syncfs = _find_syncfs()

_SYNC_FILE_RANGE_WRITE = 2


def _find_sync_file_range() -> Callable[[int, int, int, int], int] | None:
    try:
        function = ctypes.CDLL(None, use_errno=True).sync_file_range
    except (AttributeError, OSError, TypeError):  # not glibc on Linux
        return None
    function.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    function.restype = ctypes.c_int
    return function


_sync_file_range = _find_sync_file_range()


def start_writeback(descriptor: int, offset: int, length: int) -> None:
    """Let the disk begin to write a part of a file, so that a later ``fsync`` has less to do.

    It promises nothing: what fails is met by the ``fsync``.
    """
    if _sync_file_range is not None:
        _sync_file_range(descriptor, offset, length, _SYNC_FILE_RANGE_WRITE)


def _sync_filesystem(paths: Iterable[Path]) -> None:
    """Sync the file system that holds `paths`, any of which may have been removed meanwhile."""
    for path in paths:
        try:
            descriptor = os.open(path, _READ)
        except (FileNotFoundError, NotADirectoryError):
            continue
        try:
            _syncfs_of(descriptor, path)
        finally:
            os.close(descriptor)
        return


def _syncfs_of(descriptor: int, path: Path) -> None:
    if _syncfs is None:
        raise AssertionError
    if _syncfs(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(path))


_background = _Background()
atexit.register(_background.stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_background.reset)
