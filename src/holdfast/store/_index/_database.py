"""`Database`: a connection to the index of a store that is there, whole, of our version, and ours.

Each piece of work asks for the connection anew. It is opened again after a fork, and when another
file has taken the place of the one that is open; what is damaged is built again, and where a place
fails (a full disk, no permission) the next one is taken.
"""

import contextlib
import errno
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from holdfast._process import ForkGuard
from holdfast.errors import LockedError
from holdfast.store._index import _schema
from holdfast.store._index._build import (
    BUSY_SECONDS,
    build,
    close_beside_log,
    connect,
    fill,
    remove,
)
from holdfast.store._index._place import places

Result = TypeVar("Result")

LOCK_TIMEOUT = 120.0
"""Seconds to wait for another process that builds the index, before one of our own is made."""

_BUSY = frozenset([sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED])
_UNUSABLE = frozenset(
    [
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_NOMEM,
    ]
)
_ATTEMPTS = 4

_of_parents: list[sqlite3.Connection] = []
"""Connections that forked children inherited: closing one would let go of the parent's files."""


class NewerSchemaError(Exception):
    """A later version of Holdfast keeps its index in this place."""


class Database:
    """The index of a store, in whatever place can hold it.

    Parameters
    ----------
    directory : Path
        The store. It need not exist; its index is then empty, in memory.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._reset()

    def _reset(self) -> None:
        self._guard = ForkGuard()
        self.lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._closing: weakref.finalize[[sqlite3.Connection, ForkGuard], Database] | None = None
        self._path: Path | None = None
        self._inode: int | None = None
        self._damaged: int | None = None
        self._unusable: set[Path] = set()

    @property
    def path(self) -> Path | None:
        """The file that is open; None if it is in memory."""
        return self._path

    def run(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Do a piece of work that can be done again, on a connection that serves it.

        Raises
        ------
        LockedError
            If other processes keep the index locked.
        OSError
            If the store cannot be listed.
        """
        if not self._guard:
            if self._connection is not None:
                _of_parents.append(self._connection)
            self._reset()
        with self.lock:
            for _ in range(_ATTEMPTS - 1):
                try:
                    return work(self._current())
                except sqlite3.DatabaseError as error:
                    self._answer(error)
            return work(self._current())

    def rebuild(self) -> None:
        """Build the index anew where it is.

        Raises
        ------
        OSError
            If there is no room for another; the old one is then still there.
        """
        with self.lock:
            self.run(lambda _: None)
            if self._path is None:
                self.close()
                return
            with _locked(self._path):
                try:
                    build(self._path, self._directory)
                except sqlite3.DatabaseError as error:
                    full = _code(error) == sqlite3.SQLITE_FULL
                    number = errno.ENOSPC if full else errno.EIO
                    raise OSError(
                        number, f"the index cannot be built: {error}", str(self._path)
                    ) from error

    def close(self) -> None:
        """Close the connection; further work opens it again."""
        self._connection = None
        if self._closing is not None:
            self._closing()

    def _current(self) -> sqlite3.Connection:
        if self._connection is not None and self._in_place():
            return self._connection
        self.close()
        self._connection = self._open()
        # Also at the end of the program, while there still is all that closing takes.
        self._closing = weakref.finalize(self, _close, self._connection, self._guard)
        return self._connection

    def _in_place(self) -> bool:
        if self._path is None:
            return not self._directory.is_dir() or bool(self._unusable)
        return _inode(self._path) == self._inode

    def _open(self) -> sqlite3.Connection:
        if self._directory.is_dir():
            for path in places(self._directory):
                if path in self._unusable:
                    continue
                try:
                    return self._open_at(path)
                except sqlite3.DatabaseError as error:
                    if _code(error) not in _UNUSABLE:
                        raise
                except (NewerSchemaError, OSError):  # the lock's time-out is an OSError as well
                    pass
                self._unusable.add(path)
        self._path = self._inode = None
        return self._in_memory()

    def _in_memory(self) -> sqlite3.Connection:
        connection = connect(":memory:")
        if self._directory.is_dir():
            fill(connection, self._directory)
        else:
            _schema.create(connection)
            _schema.create_indexes(connection)
        return connection

    def _open_at(self, path: Path) -> sqlite3.Connection:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path):
            if self._damaged is not None and _inode(path) == self._damaged:
                remove(path)
            self._damaged = None
            if _inode(path) is None:
                build(path, self._directory)
            try:
                return self._opened(path)
            except sqlite3.DatabaseError as error:
                if _code(error) in _BUSY | _UNUSABLE:
                    raise
            build(path, self._directory)
            return self._opened(path)

    def _opened(self, path: Path) -> sqlite3.Connection:
        connection = connect(path, "rw", BUSY_SECONDS)
        try:
            _check_version(connection)
            connection.execute("PRAGMA synchronous = NORMAL")
            _schema.migrate(connection)
            # Opens the log as well, while nobody may put another file in this place; and tells
            # whether the file can be written.
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        except BaseException:
            connection.close()
            raise
        self._path, self._inode = path, _inode(path)
        return connection

    def _answer(self, error: sqlite3.DatabaseError) -> None:
        """Do what lets the next attempt succeed."""
        code = _code(error)
        if code in _BUSY:
            raise LockedError(
                f"the index of {self._directory} is locked by another process, which does not end; "
                "wait for it, or end it"
            ) from error
        if code == sqlite3.SQLITE_INTERRUPT:
            raise error
        moved = self._path is not None and not self._in_place()
        if code in _UNUSABLE and self._path is not None and not moved:
            self._unusable.add(self._path)
        elif not moved:
            self._damaged = self._inode
        self.close()


def _close(connection: sqlite3.Connection, guard: ForkGuard) -> None:
    if guard:  # a forked child would let go of the parent's files
        with contextlib.suppress(sqlite3.Error):
            close_beside_log(connection)


def _check_version(connection: sqlite3.Connection) -> None:
    version = _schema.version_of(connection)
    if version is None or version < 1:
        raise sqlite3.DatabaseError("this is no index")
    if version > _schema.VERSION:
        raise NewerSchemaError


def _locked(path: Path) -> FileLock:
    return FileLock(path.with_name(f".{path.name}.lock"), timeout=LOCK_TIMEOUT)


def _inode(path: Path) -> int | None:
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return None


def _code(error: sqlite3.DatabaseError) -> int:
    """Return what kind of error SQLite met; 0 where the error is Python's."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
