"""`ZarrWriter`: fields gathered in a journal, and committed to a Zarr store a shard at a time."""

import contextlib
import os
import threading
import weakref
from functools import partial
from pathlib import Path

import numpy as np

from holdfast._logging import log
from holdfast._sync import Durability, SyncMode, fsync_path
from holdfast.errors import MissingFileError, StateError
from holdfast.fields._forms import Array
from holdfast.fields._zarr_commit import Content, Store, commit
from holdfast.fields._zarr_format import DATA, TIME
from holdfast.fields._zarr_reader import ROWS, STREAM, Snapshot, identity_of
from holdfast.hdf5 import RowType, StreamWriter
from holdfast.journal import Block, JournalWriter, WriterLock, journal_folder

SYNC_INTERVAL = 1.0
"""Seconds after which appended fields are brought to the disk."""


class ZarrWriter:
    """Appends fields to a store.

    Parameters
    ----------
    path : Path
        The store's folder.
    content : Content
        What it holds besides its rows; `attributes` may be changed until `close`.
    sync : {"background", "always"}
        When fields reach the disk itself.
    replaces : bool
        Whether what is there goes, once there is something to take its place.

    Raises
    ------
    LockedError
        If another process writes the store.
    OSError
        If the disk is full.

    Attributes
    ----------
    every_call : bool
        Whether fields reach the disk before a call returns.
    """

    def __init__(self, path: Path, content: Content, sync: SyncMode, *, replaces: bool) -> None:
        self.path, self.content, self._replaces = path, content, replaces
        self.every_call = Durability(sync).mode == "always"
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._closed = self._settled = False
        self._store = Store(path)
        folder = Path(journal_folder(str(path)))
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = WriterLock(folder)
        try:
            recover_locked(path, folder)
            self._store.check_free()
            self._full, rest = _tail(path, content)
            self._journal = JournalWriter(folder, lock)
        except BaseException:
            lock.remove()
            with contextlib.suppress(OSError):  # a journal that could not be brought in stays
                folder.rmdir()
            raise
        self._begin(rest)

    def _begin(self, rest: Array) -> None:
        kind = RowType(self.content.plan.row)
        definition = {"name": ROWS, **kind.describe(), "content": self.content.describe()}
        self._stream = StreamWriter(ROWS, STREAM, kind, self, self._full)
        try:
            self._journal.define(STREAM, definition)
            if len(rest):
                self._stream.put(rest)
        except BaseException:
            self._journal.close(keep=False)
            raise
        self._row = np.zeros((), kind.dtype)
        self._thread = threading.Thread(target=self._sync_now_and_then, daemon=True)
        self._thread.name = "holdfast-zarr"
        self._thread.start()
        _writers.add(self)

    @property
    def rows(self) -> int:
        """How many fields have been accepted."""
        return self._stream.length

    def append(self, values: Array, time: float) -> None:
        """Add a field, which is kept when this returns; a full shard is committed.

        Raises
        ------
        OSError
            If the disk is full; the field is not there.
        StateError
            In a forked child, or when the store was moved or deleted.
        """
        with self._lock:
            self._row[TIME], self._row[DATA] = time, values
            self._stream.append(self._row)
            if self._stream.length - self._full >= self.content.plan.shard:
                self._commit_quietly()

    def _commit_quietly(self) -> None:
        """Commit; a disk that is full leaves the fields in the journal, where they are kept."""
        try:
            self.commit(final=False)
        except OSError as error:
            log.warning("%s: %s; its fields are kept in the journal", self.path, error)

    def commit(self, *, final: bool) -> None:
        """Bring fields into the store: those of full shards, or all.

        Raises
        ------
        OSError
            If the disk is full; nothing is lost, and a later call does it all.
        StateError
            If the journal was moved or deleted.
        """
        with self._lock:
            if not self._journal.lock.is_current():
                raise StateError(
                    f"{self.path}: its journal was moved or deleted while this process wrote; open "
                    "the store again, where it is now"
                )
            if self._full and identity_of(self.path) != self.content.identity:
                raise StateError(
                    f"{self.path} was moved, deleted or replaced while this process wrote; its "
                    f"fields from number {self._full} on are in {self._journal.folder}"
                )
            shard, length = self.content.plan.shard, self._stream.length
            stop = length if final else length // shard * shard
            rows = range(self._full, stop)
            commit(self._store, self.content, rows, self._read, replaces=self._replaces)
            self._replaces = False
            if not final:
                self._give_up(stop)

    def _read(self, start: int, stop: int) -> Array:
        return np.frombuffer(self._stream.read(start, stop), self._stream.kind.dtype)

    def _give_up(self, full: int) -> None:
        """Give the space of rows back that are in full shards."""
        self._full = full
        number = self._journal.rotate()
        self._stream.turn()
        self._stream.carry(full, self._carried)
        self._journal.sync()
        self._journal.discard(number)

    def _carried(self, stream: StreamWriter, first: int, rows: int) -> Block:
        return self._journal.add_block(stream.id, first, stream.kind.nbytes, rows=rows)

    # What the stream asks

    def new_block(self, stream: StreamWriter, rows: int) -> Block:
        """Return the stream's next block."""
        previous = stream.blocks[-1] if stream.blocks else None
        first = previous.first + previous.count if previous else stream.start
        return self._journal.add_block(
            stream.id, first, stream.kind.nbytes, previous=previous, rows=rows
        )

    def wait_for_room(self) -> None:
        """Return; a shard is committed as soon as it is full."""

    def publish(self, block: Block, count: int) -> None:
        """Publish fields, after they have reached the disk if every call is to."""
        if self.every_call:
            self._journal.publish_durably(block, count)
        else:
            block.publish(count)

    def _sync_now_and_then(self) -> None:
        while not self._stop.wait(SYNC_INTERVAL):
            with self._lock:
                if self._stop.is_set():
                    return
                try:
                    self._journal.sync()
                except (OSError, StateError) as error:
                    log.warning("%s: %s; fields may not survive a power loss", self.path, error)

    # The end

    def close(self) -> None:
        """Bring all fields into the store and end the journal; does nothing the second time.

        Raises
        ------
        OSError
            If the disk is full. Nothing is lost, call again.
        """
        with self._lock:
            if self._closed:
                return
            if not self._settled:
                self._settle()
            self._end()

    def _settle(self) -> None:
        """Bring all fields into the store, and take no more."""
        self._stream.pause()
        try:
            self.commit(final=True)
        except BaseException:
            self._stream.resume()
            raise
        self._settled = True

    def discard(self) -> None:
        """End the journal and forget what is in it."""
        with self._lock:
            if not self._closed:
                self._stream.pause()
                self._settled = True
                self._end()

    def _end(self) -> None:
        """End the journal; the call may be repeated where the disk fails."""
        self._journal.close(keep=False)
        fsync_path(self.path.parent)
        self._stream.end()
        self._closed = True
        self._stop.set()

    def forked(self) -> None:
        """Refuse fields in a forked child."""
        self._lock = threading.RLock()
        self._stream.forked()


_writers: "weakref.WeakSet[ZarrWriter]" = weakref.WeakSet()


def _after_fork() -> None:
    for writer in list(_writers):
        writer.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _tail(path: Path, content: Content) -> tuple[int, Array]:
    """Return how many rows are in full shards, and the rows behind them; a new store has none."""
    empty = np.empty(0, content.plan.row)
    found = Snapshot.take(path)
    if found is None or found.identity != content.identity:
        return 0, empty
    full = found.rows // content.plan.shard * content.plan.shard
    return full, _rows_of(found, full, found.rows)


def _rows_of(found: Snapshot, start: int, stop: int) -> Array:
    rows = np.empty(stop - start, found.plan.row)
    rows[TIME], rows[DATA] = found.times(start, stop), found.data(start, stop)
    return rows


def recover_store(path: Path) -> tuple[dict[str, int], list[str]]:
    """Bring what a killed writer left in a journal into its Zarr store.

    Parameters
    ----------
    path : Path
        The store's folder.

    Returns
    -------
    dict
        How many fields were brought in, under ``data``; empty if none.
    list of str
        Damage that was left out.

    Raises
    ------
    MissingFileError
        If there is neither a store nor a journal.
    LockedError
        If its writer lives.
    IntegrityError
        If fields between the store and the journal are missing; both are left as they are.
    OSError
        If the disk is full; call again.
    """
    folder = Path(journal_folder(str(path)))
    if not folder.is_dir():
        if not path.is_dir():
            raise MissingFileError(f"there is no store {path}, nor a journal of it; check the path")
        return {}, []
    lock = WriterLock(folder)
    try:
        rows, problems = recover_locked(path, folder)
    except BaseException:
        lock.release()  # its file stays with the journal
        raise
    lock.remove()
    with contextlib.suppress(OSError):  # what was damaged has been put aside in it
        folder.rmdir()
    return {DATA: rows} if rows else {}, problems


def recover_locked(path: Path, folder: Path) -> tuple[int, list[str]]:
    """Recover as the one writer; the journal's generations are gone afterwards."""
    found = Snapshot.take(path, live=False)
    brought = 0
    if found is not None and found.content:
        content = Content.parse(found.content)
        shard = content.plan.shard
        rows = range(found.committed // shard * shard, found.rows)
        read = partial(_rows_of, found)
        commit(Store(path), content, rows, read, replaces=found.replaces)
        brought = found.rows - found.committed
    problems = found.problems if found is not None else []
    for problem in problems:
        log.warning("%s", problem)
    _tidy(folder, damaged=bool(problems))
    return brought, problems


def _tidy(folder: Path, *, damaged: bool) -> None:
    for name in sorted(os.listdir(folder)):  # generations go in order
        if not name.endswith(".journal"):
            continue
        if damaged:
            os.rename(folder / name, folder / f"{name}.damaged")
        else:
            (folder / name).unlink()


def leave_nothing(path: Path) -> None:
    """Delete a store and what a killed writer left of its journal.

    Raises
    ------
    LockedError
        If another process writes it.
    """
    folder = Path(journal_folder(str(path)))
    lock = WriterLock(folder)
    try:
        for name in sorted(os.listdir(folder), reverse=True):
            if name.endswith(".journal"):
                (folder / name).unlink()
        Store(path).empty()
    finally:
        lock.remove()
        with contextlib.suppress(OSError):
            folder.rmdir()
