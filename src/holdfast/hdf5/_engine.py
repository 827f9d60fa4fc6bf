"""`Engine`: the journal, the checkpoints and the end of one append file."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from holdfast._logging import warn_soon
from holdfast._process import ForkGuard
from holdfast._sync import fsync_path
from holdfast.errors import HoldfastError, StateError
from holdfast.hdf5._checkpoint import Checkpointer
from holdfast.hdf5._commit import CONTROL, REDO, SPARE
from holdfast.hdf5._names import Names
from holdfast.hdf5._recover import recover_locked
from holdfast.hdf5._room import Room
from holdfast.hdf5._session import FRESH
from holdfast.hdf5._stream import StreamWriter
from holdfast.hdf5._thread import Hdf5Thread
from holdfast.journal import Block, JournalWriter, WriterLock, is_held, journal_folder, remove_empty

T = TypeVar("T")

SYNC_INTERVAL = 1.0
"""Seconds after which rows are brought to the disk, while power lasts."""

_OTHERS = (CONTROL, REDO, SPARE, FRESH)


class Engine:
    """Keeps what streams store, and brings it into the HDF5 file when it is time.

    Parameters
    ----------
    path : Path
        The file.
    names : Names
        Takes in what the file holds.
    every_call : bool
        Whether rows reach the disk before each call returns.
    interval : float
        Seconds between two checkpoints.
    journal_bytes : int
        Size of the journal at which it is given up.
    delete : bool
        Whether to delete the file first.

    Attributes
    ----------
    journal : JournalWriter
        Where rows go.
    room : Room
        The bound on it.
    checkpointer : Checkpointer
        What brings them into the file.
    ended : bool
        Whether rows are refused for good.
    lost : bool
        Whether the journal's folder was found moved or deleted: another writer may be at its path.
    """

    def __init__(
        self,
        path: Path,
        names: Names,
        *,
        every_call: bool,
        interval: float,
        journal_bytes: int,
        delete: bool,
    ) -> None:
        self.path, self.every_call = path, every_call
        self._interval = interval
        self.guard = ForkGuard()
        self.ended = self.lost = False
        self._closed = self._placed = self._ready = False
        self._closing = threading.RLock()
        self._within_close = False
        self._missing: dict[str, int] = {}
        self._checked = time.monotonic()
        folder = Path(journal_folder(str(path)))
        lock = WriterLock(folder)
        journal: JournalWriter | None = None
        try:
            self._thread = Hdf5Thread(self._tick, min(SYNC_INTERVAL, interval))
            if delete:
                _delete(path, folder)
            self.run(lambda: recover_locked(path, folder))
            journal = JournalWriter(folder, lock)
            self.journal, self.room = journal, Room(lambda: self.journal.size, journal_bytes)
            self.checkpointer = Checkpointer(path, journal, names, self._check_place)
            if path.exists():
                self.run(self.checkpointer.open)
        except BaseException:
            if hasattr(self, "_thread"):
                self._thread.join()
            _undo(folder, lock, journal)
            raise
        self._ready = True

    @property
    def interval(self) -> float:
        """Seconds between two checkpoints; may be set at any time."""
        return self._interval

    @interval.setter
    def interval(self, seconds: float) -> None:
        self._interval = seconds
        self._thread.interval = min(SYNC_INTERVAL, seconds)

    def run(self, call: "Callable[[], T]") -> T:
        """Run a call on the HDF5 thread and return what it does.

        Raises
        ------
        StateError
            In a signal handler or a finaliser that has interrupted what the call waits for.
        """
        if self._ready:
            self._check_may_wait()
        return self._thread.submit(call).result()

    def check(self) -> None:
        """Raise a `StateError` in a forked child, and when the file is closed or being closed.

        Being closed: a signal handler is let in by the locks, and a stream that it begins then
        would have rows after everything was brought into the file.
        """
        self.guard.check(f"file {self.path}")
        self.check_thread()
        if self.ended or self._within_close:
            raise StateError(f"{self.path} is closed; open it again to append")
        if self.lost:
            raise StateError(self._what_happened)

    def check_thread(self) -> None:
        """Raise a `StateError` on the HDF5 thread, on which the interpreter may run a finaliser.

        It would wait for whoever waits for the thread, or come into the middle of a checkpoint.
        """
        if self._thread.is_current:
            raise StateError(
                f"{self.path} was in use when a finaliser or a handler used it on the same thread; "
                "append and close in the program's own course"
            )

    @property
    def _what_happened(self) -> str:
        return (
            f"{self.path}: {self.journal.folder} was moved or deleted while this process appended "
            "to it, so that no more rows are taken; rows that are not in the file yet are in the "
            "journal, which `holdfast recover` brings in where it was moved to. Open the file again"
        )

    def _check_place(self) -> None:
        """Raise a `StateError` where the journal's folder is not at its path any more.

        Whatever is done by path would be done to another writer's files. Called on the HDF5 thread.
        """
        if self.journal.ending:
            return  # a close that was interrupted has removed it
        if not self.lost and not self.journal.lock.is_current():
            self.lost = True
            for stored in list(self.checkpointer.streams.values()):
                stored.stream.turn()  # the next row needs a new block, and is refused
            warn_soon("%s", self._what_happened)
        if self.lost:
            raise StateError(self._what_happened)

    # The disk

    def checkpoint(self) -> None:
        """Move all rows into the file; raises an ``OSError`` if the disk is full or fails."""
        self.run(lambda: self._checkpoint(final=False))

    def sync(self) -> None:
        """Bring all rows to the disk; raises an ``OSError`` if it fails."""
        self._place()
        self.journal.sync()

    def _place(self) -> None:
        """Bring the entry of the journal's folder, which may be new, to the disk."""
        if not self._placed:
            fsync_path(self.path.parent)
            self._placed = True

    def _checkpoint(self, *, final: bool) -> None:
        self._checked = time.monotonic()
        self.room.checkpoint(lambda scarce: self.checkpointer.run(final=final, give_up=scarce))

    def _checkpoint_quietly(self) -> None:
        try:
            self._checkpoint(final=False)
        except (OSError, HoldfastError) as error:
            if self.lost:
                return  # it has been said
            warn_soon("%s: %s; its rows are kept in the journal", self.path, error)

    def _make_room(self) -> None:
        try:
            self._checkpoint_quietly()
        finally:
            self.room.wanted = False

    def _tick(self) -> None:
        """Sync and checkpoint when it is time; called on the HDF5 thread when nothing else is."""
        if self.ended or self.lost or not self._ready:
            return
        try:
            self._check_place()
            self.sync()
        except StateError:
            return
        except OSError as error:
            warn_soon("%s: %s; its rows may not survive a power loss", self.path, error)
        due = time.monotonic() - self._checked >= self._interval
        if due and self.checkpointer.has_news():
            self._checkpoint_quietly()

    # What streams ask

    def new_block(self, stream: StreamWriter, rows: int) -> Block:
        """Return the next block of a stream; start a checkpoint if the journal has grown large."""
        self.check()
        self._ask_for_room()
        previous = stream.blocks[-1] if stream.blocks else None
        first = previous.first + previous.count if previous else stream.start
        # So that the journal is mostly rows when it is given up, however many streams there are.
        share = self.room.early // max(len(self.checkpointer.streams), 1)
        return self.journal.add_block(
            stream.id, first, stream.kind.nbytes, previous=previous, rows=rows, most=share
        )

    def _ask_for_room(self) -> None:
        if self.room.ask():
            self._thread.submit(self._make_room)

    def wait_for_room(self) -> None:
        """Let a checkpoint catch up when the journal is beyond its bound.

        Raises
        ------
        OSError, HoldfastError
            If it is at twice its bound since checkpoints fail.
        """
        self.guard.check(f"file {self.path}")  # a forked child has no thread to wait for
        if self.room.failing:
            self._ask_for_room()  # nobody comes to `new_block`, who would
        self.room.wait(self._may_wait)

    def _check_may_wait(self) -> None:
        if not self._may_wait():
            raise StateError(
                f"{self.path} was in use when a signal handler or a finaliser wanted it closed or "
                "checkpointed; set a flag there and do so in the program's own course"
            )

    def _may_wait(self) -> bool:
        """Whether the HDF5 thread does not wait for the calling one.

        It does where a finaliser is run by it, and where a signal handler or a finaliser comes in
        the middle of a call that a checkpoint must wait for.
        """
        streams = [stored.stream for stored in list(self.checkpointer.streams.values())]
        held = self.journal.held or any(is_held(stream.lock) for stream in streams)
        return not (held or self._thread.is_current)

    def publish(self, block: Block, count: int) -> None:
        """Publish rows of a block, after they have reached the disk if every call is to."""
        if not self.every_call:
            block.publish(count)
            return
        try:
            self._place()
            self.journal.publish_durably(block, count)
        except OSError as error:
            what = f"{error.strerror} while a row was brought to the disk; it was not taken"
            raise OSError(error.errno, what, str(self.path)) from error

    def noted(self) -> None:
        """Bring a line of the catalogue to the disk if every call is to."""
        if self.every_call:
            self.sync()

    # The end

    def close(self, streams: Iterable[StreamWriter]) -> None:
        """Move all rows into the file and end the journal; does nothing the second time.

        Raises
        ------
        OSError
            If the disk is full or fails; nothing is lost, call again.
        StateError
            If the journal's folder was moved or deleted; it is left alone.
        """
        with self._closing:
            if self._within_close:
                raise StateError(
                    f"{self.path} was being closed when a signal handler or a finaliser closed it"
                )
            self._within_close = True
            try:
                if not self._closed:
                    self._check_may_wait()  # else one waits for a lock of ours, and we for its end
                    self._close(streams)
            finally:
                self._within_close = False

    def _close(self, streams: Iterable[StreamWriter]) -> None:
        if not self.ended:
            self._end(list(streams))
        with contextlib.suppress(StateError):
            self.run(self._check_place)
        self.run(self.checkpointer.close)
        if self.lost:
            self._leave()
            raise StateError(f"{self._what_happened}. Not in the file: {_counted(self._missing)}")
        self.journal.close(keep=False, others=_OTHERS)
        # Were the folder to come back after a power loss, its last redo record would undo what
        # other programs have done to the file since.
        fsync_path(self.path.parent)
        self._closed = True
        self._thread.join()

    def _leave(self) -> None:
        """Let go of a journal that was moved or deleted, for `recover` to find."""
        with contextlib.suppress(OSError):  # its folder is not where it was; its files are synced
            self.journal.sync()
        self.journal.close(keep=True)
        self._closed = True
        self._thread.join()

    def _end(self, streams: list[StreamWriter]) -> None:
        """Bring everything into the file, with no rows coming in between."""
        try:
            for stream in streams:
                stream.pause()
            self._bring_in()
        except BaseException:
            for stream in streams:
                stream.resume()
            raise
        self._missing = self.checkpointer.missing()
        self.ended = True
        for stream in streams:
            stream.end()

    def _bring_in(self) -> None:
        try:
            self.run(lambda: self._checkpoint(final=True))
        except StateError:
            if not self.lost:
                raise


def _counted(missing: dict[str, int]) -> str:
    parts = [f"{count} rows of {name!r}" for name, count in missing.items()]
    return ", ".join(parts[:5]) + (", and others" if len(parts) > 5 else "") or "nothing"


def _delete(path: Path, folder: Path) -> None:
    """Delete the file and what a crash left of its journal.

    Generations go from the newest down and before the file: what a kill in between leaves is the
    file with its first rows, never rows without the file that they go on from. Each step is on the
    disk before the next, since what came back after a power loss would be taken for the new file's.
    """
    names = sorted((name for name in os.listdir(folder) if name != "lock"), reverse=True)
    for name in [n for n in names if n.endswith(".journal")]:
        (folder / name).unlink(missing_ok=True)
        fsync_path(folder)
    if path.exists():
        path.unlink(missing_ok=True)
        fsync_path(path.parent)
    for name in names:
        (folder / name).unlink(missing_ok=True)
    if names:
        fsync_path(folder)


def _undo(folder: Path, lock: WriterLock, journal: JournalWriter | None) -> None:
    """Leave no trace of a beginning that failed, except where the disk refuses that, too."""
    try:
        if journal is not None:
            journal.close(keep=False, others=_OTHERS)
        else:
            lock.remove()
            remove_empty(folder)
    except OSError:
        lock.release()
