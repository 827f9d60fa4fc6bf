"""`Session`: an append file's HDF5 side, used on the HDF5 thread only."""

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py

from holdfast._sync import fsync_path
from holdfast.errors import (
    AlreadyExistsError,
    FormatError,
    IntegrityError,
    LockedError,
    StateError,
)
from holdfast.hdf5._attributes import apply_event
from holdfast.hdf5._chunks import ChunkShape, Compression
from holdfast.hdf5._commit import Committer
from holdfast.hdf5._dataset import DatasetWriter
from holdfast.hdf5._overlay import Overlay
from holdfast.hdf5._rows import RowType
from holdfast.hdf5._superblock import committed_size

try:
    import fcntl as _fcntl
except ImportError:  # Windows
    _fcntl = None  # type: ignore[assignment]
fcntl: Any = _fcntl

_LIBVER = ("earliest", "v108")

_NO_LINKS = frozenset([errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK])
"""Errors of file systems that have no hard links."""

FRESH = "fresh.h5"
"""Name in the journal's folder of a file that is being written for the first time."""


class Session:
    """Holds the HDF5 file of an append file open.

    Parameters
    ----------
    path : Path
        The file; made by the first commit if it does not exist.
    folder : Path
        The journal's folder.
    check : callable, optional
        Raises a `StateError` if the folder is not this writer's any more.

    Raises
    ------
    FormatError
        If the file is not HDF5, or has features that cannot be appended to.
    LockedError
        If another program has it open for writing.
    IntegrityError
        If HDF5 cannot open it.
    OSError
        If the system cannot.

    Notes
    -----
    A session that has raised is to be thrown away: what it had not committed is in the journal.
    """

    def __init__(self, path: Path, folder: Path, check: Callable[[], None] = lambda: None) -> None:
        self.path, self._folder, self._check = path, folder, check
        self._committer: Committer | None = None
        self.datasets: dict[str, DatasetWriter] = {}
        exists = path.exists()
        self._fresh = None if exists else folder / FRESH
        if self._fresh is not None:  # not truncated: it may be a second name of a file
            self._fresh.unlink(missing_ok=True)
        flags = os.O_RDWR | os.O_CLOEXEC | (0 if exists else os.O_CREAT | os.O_EXCL)
        self._descriptor = os.open(self._fresh or path, flags, 0o666)
        try:
            self._lock()
            size = committed_size(self._descriptor, path) if exists else 0
            self.overlay = Overlay(self._descriptor, size)
            self.file = self._open("r+" if exists else "w")
            if exists:
                self._committer = Committer(self._descriptor, self._folder, check)
        except BaseException:
            self.close()
            raise

    @property
    def named(self) -> bool:
        """Whether the file has its name."""
        return self._fresh is None

    def _open(self, mode: str) -> h5py.File:
        try:
            return h5py.File(self.overlay, mode, driver="fileobj", libver=_LIBVER)
        except (OSError, RuntimeError, ValueError) as error:  # what h5py makes of damage
            if self.overlay.failure is not None:
                raise self.overlay.failure from None
            if _is_readable(self.path):
                raise FormatError(
                    f"{self.path} has features that nothing is appended to ({error}); make a copy "
                    "with h5repack, or choose another name"
                ) from None
            raise IntegrityError(
                f"{self.path} cannot be opened as HDF5 ({error}); restore it from a copy"
            ) from None

    def _lock(self) -> None:
        """Lock the file as HDF5's readers do, which lets plain readers in and plain writers not."""
        if fcntl is None:
            return
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockedError(
                f"{self.path} is open for writing in another program; close it there first"
            ) from None
        except OSError:
            return  # a file system without locks; HDF5 does without them there, too

    def dataset(
        self, name: str, kind: RowType, compression: Compression, chunk_shape: ChunkShape
    ) -> DatasetWriter:
        """Return the writer of a dataset, which is made by its first rows."""
        if name not in self.datasets:
            self.datasets[name] = DatasetWriter(
                self.file, name, kind, compression, chunk_shape, overlay=self.overlay
            )
        return self.datasets[name]

    def apply(self, event: dict[str, Any]) -> None:
        """Do what a line of the catalogue says: set an attribute, declare a dataset."""
        apply_event(self.file, event)

    def commit(self) -> None:
        """Make everything that was done so far the state of the file.

        Raises
        ------
        OSError
            If the disk is full or fails.
        """
        self.file.flush()
        if self.overlay.failure is not None:
            raise self.overlay.failure
        if self._committer is not None:
            self._committer.commit(self.overlay)
        else:
            self._commit_fresh()

    def _commit_fresh(self) -> None:
        """Give a file that was written for the first time its name."""
        self.overlay.drain()
        if os.fstat(self._descriptor).st_size < self.overlay.size:
            os.ftruncate(self._descriptor, self.overlay.size)
        os.fsync(self._descriptor)
        if self._fresh is not None:
            self._check()  # the writes above may have taken long
            _name(self._fresh, self.path)
            self._fresh = None
        fsync_path(self.path.parent)
        self.overlay.settle()
        self._committer = Committer(self._descriptor, self._folder, self._check)

    def close(self) -> None:
        """Let go of everything; the state of the file is the last commit."""
        file = self.__dict__.pop("file", None)
        if file is not None:
            # HDF5 flushes into an overlay that nobody commits, and after a failed read it may find
            # nonsense there: whatever it says, the file on disk is not concerned.
            with contextlib.suppress(Exception):
                file.close()
        if self._committer is not None:
            self._committer.close()
            self._committer = None
        if self._fresh is not None:
            with contextlib.suppress(OSError, StateError):  # the next session removes it
                self._check()
                self._fresh.unlink()
            self._fresh = None
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)


def _name(fresh: Path, path: Path) -> None:
    """Give a new file its name, unless that is taken: a rename would replace what has it.

    Raises
    ------
    AlreadyExistsError
        If it is taken.
    """
    try:
        os.link(fresh, path)
    except FileExistsError:
        raise another_made(path) from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(path):
            raise another_made(path) from None
        os.rename(fresh, path)
    else:
        with contextlib.suppress(OSError):  # it goes with the journal
            fresh.unlink()


def another_made(path: Path) -> AlreadyExistsError:
    """Return the error for a file that somebody else has made where ours is to be."""
    return AlreadyExistsError(
        f"{path} was made by another program while this one appended to a new file of that name; "
        "move it away and close again, or recover later: all rows are in the journal"
    )


def _is_readable(path: Path) -> bool:
    try:
        h5py.File(path, "r", locking=False).close()
    except (OSError, RuntimeError, ValueError):
        return False
    return True
