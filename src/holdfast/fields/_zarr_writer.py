"""`ZarrWriter`: fields gathered in a journal, and committed to a Zarr store a shard at a time."""

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from holdfast._atomic import make_folder
from holdfast._logging import warn_soon
from holdfast._sync import Durability, SyncMode, fsync_path
from holdfast.errors import StateError
from holdfast.fields._forms import Array
from holdfast.fields._zarr_commit import Content, Store, commit
from holdfast.fields._zarr_format import DATA, TIME
from holdfast.fields._zarr_reader import ROWS, STREAM, Snapshot, identity_of
from holdfast.fields._zarr_recover import definition, let_go, lock_recovered, rows_of
from holdfast.hdf5 import StreamWriter
from holdfast.journal import Block, JournalWriter

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
        self._closed = self._settled = self._placed = self._busy = False
        self._store = Store(path)
        make_folder(path.parent, Durability("always"))
        lock, _, _ = lock_recovered(path)
        try:
            self._store.check_free()
            self._full, rest = _tail(path, content)
            self._committed = self._full + len(rest)
            self._journal = JournalWriter(lock.path.parent, lock)
        except BaseException:
            let_go(lock)
            raise
        self._begin(rest)

    def _begin(self, rest: Array) -> None:
        kind, described = definition(self.content)
        self._stream = StreamWriter(ROWS, STREAM, kind, self, self._full)
        try:
            self._journal.define(STREAM, described)
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

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let neither a thread nor what interrupts this one come in between."""
        with self._lock:
            if self._busy:
                raise StateError(
                    f"{self.path} was in use when a signal handler or a finaliser used it; set a "
                    "flag there, and append and close in the program's own course"
                )
            self._busy = True
            try:
                yield
            finally:
                self._busy = False

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
        with self._alone():
            self._row[TIME], self._row[DATA] = time, values
            self._stream.append(self._row)
            if self._stream.length - self._full >= self.content.plan.shard:
                self._commit_full_shards()

    def _commit_full_shards(self) -> None:
        """Commit; a disk that is full leaves the fields in the journal, where they are kept."""
        shard = self.content.plan.shard
        full = self._stream.length // shard * shard
        try:
            self._commit(full)
            self._give_up(full)
        except OSError as error:
            warn_soon("%s: %s; its fields are kept in the journal", self.path, error)

    def checkpoint(self) -> None:
        """Bring all fields into the store.

        Raises
        ------
        OSError
            If the disk is full; nothing is lost, and a later call does it all.
        StateError
            If the journal was moved or deleted.
        """
        with self._alone():
            self._commit(self._stream.length)

    def _commit(self, stop: int) -> None:
        self._check_place()
        if self._replaces:
            self.sync()  # what is there goes now: a power loss must not take both
        rows = range(self._full, stop)
        commit(
            self._store,
            self.content,
            rows,
            self._read,
            committed=self._committed,
            replaces=self._replaces,
        )
        self._replaces, self._committed = False, stop

    def _check_place(self) -> None:
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
            self._place()
            self._journal.publish_durably(block, count)
        else:
            block.publish(count)

    def sync(self) -> None:
        """Bring all fields to the disk.

        Raises
        ------
        OSError
            If the disk fails.
        """
        self._place()
        self._journal.sync()

    def _place(self) -> None:
        """Bring the entry of the journal's folder, which may be new, to the disk."""
        if not self._placed:
            fsync_path(self.path.parent)
            self._placed = True

    def _sync_now_and_then(self) -> None:
        while not self._stop.wait(SYNC_INTERVAL):
            try:
                self.sync()
            except (OSError, StateError) as error:
                if not self._stop.is_set():
                    warn_soon("%s: %s; fields may not survive a power loss", self.path, error)

    # The end

    def close(self) -> None:
        """Bring all fields into the store and end the journal; does nothing the second time.

        Raises
        ------
        OSError
            If the disk is full. Nothing is lost, call again.
        """
        with self._alone():
            if self._closed:
                return
            if not self._settled:
                self._settle()
            self._end()

    def _settle(self) -> None:
        """Bring all fields into the store, and take no more."""
        self._stream.pause()
        try:
            self._commit(self._stream.length)
        except BaseException:
            self._stream.resume()
            raise
        self._settled = True

    def discard(self) -> None:
        """End the journal and forget what is in it."""
        with self._alone():
            if not self._closed:
                self._stream.pause()
                self._settled = True
                self._end()

    def _end(self) -> None:
        """End the journal; the call may be repeated where the disk fails."""
        self._stop.set()
        self._journal.close(keep=False)
        fsync_path(self.path.parent)
        self._stream.end()
        self._closed = True

    def forked(self) -> None:
        """Refuse fields in a forked child."""
        self._lock, self._busy = threading.RLock(), False
        self._stream.forked()


_writers: "weakref.WeakSet[ZarrWriter]" = weakref.WeakSet()


def _after_fork() -> None:
    for writer in list(_writers):
        writer.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _tail(path: Path, content: Content) -> tuple[int, Array]:
    """Return how many rows are in full shards, and the rows behind them; a new store has none."""
    found = Snapshot.take(path)
    if found is None or found.identity != content.identity:
        return 0, np.empty(0, content.plan.row)
    full = found.rows // content.plan.shard * content.plan.shard
    return full, rows_of(found, full, found.rows)
