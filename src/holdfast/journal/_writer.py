"""`JournalWriter`: the generations of one journal, their catalogue, and rotation."""

import contextlib
import json
import os
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from holdfast._sync import fsync_path
from holdfast.errors import StateError
from holdfast.journal._block import Block
from holdfast.journal._format import CATALOGUE, generation_number, pack_line
from holdfast.journal._generation import LARGEST_BLOCK, SMALLEST_BLOCK, Generation, can_map
from holdfast.journal._lock import WriterLock, remove_empty

CATALOGUE_BLOCK = SMALLEST_BLOCK


def is_held(lock: Any) -> bool:
    """Whether the calling thread holds an ``RLock``; a `threading.Condition` asks it likewise."""
    return bool(lock._is_owned())  # noqa: SLF001 - there is no other way


class JournalWriter:
    """Writes the journal of one data file.

    Parameters
    ----------
    folder : Path
        The journal's folder.
    lock : WriterLock
        The lock on it, which ends with the journal.

    Raises
    ------
    OSError
        If the folder cannot be written, or the disk is full.

    Attributes
    ----------
    ending : bool
        Whether `close` has begun, after which the folder may be gone.

    Notes
    -----
    Blocks are filled by their streams without asking the writer; it is asked for new blocks, for
    lines of the catalogue, to sync, and to give generations up. All of this may come from any
    thread, but not from a signal handler or a finaliser in the middle of a call of the same thread:
    the locks would let it in, and two blocks would get one place. That is a ``StateError``.
    """

    def __init__(self, folder: Path, lock: WriterLock) -> None:
        self.folder = folder
        self.lock = lock
        self._mutex = threading.RLock()
        self._sync_lock = threading.RLock()
        self._busy = self._syncing = False
        self.ending = False
        self._mapped = can_map(folder)
        self._definitions: dict[int, dict[str, Any]] = {}
        self._catalogue: Block | None = None
        self._old: list[Generation] = []
        self._current = Generation(folder, self._next_number(), mapped=self._mapped)

    def _next_number(self) -> int:
        numbers = [generation_number(name) or 0 for name in os.listdir(self.folder)]
        return max(numbers, default=0) + 1

    @property
    def size(self) -> int:
        """Bytes that the journal's blocks take since it was given up last.

        What was carried over is not counted, nor as much again, nor the smallest block of each
        stream: else hundreds of streams, each with rows that do not fill a chunk yet, would be
        given up and copied for every new block.
        """
        with self._mutex:
            grown = sum(g.size - 2 * g.carried for g in [*self._old, self._current])
            return max(grown - SMALLEST_BLOCK * len(self._definitions), 0)

    @property
    def generation(self) -> int:
        """Number of the generation that is being written."""
        return self._current.number

    @property
    def held(self) -> bool:
        """Whether the calling thread is within a call, which others wait for."""
        return is_held(self._mutex) or is_held(self._sync_lock)

    def define(self, stream: int, definition: Mapping[str, Any]) -> None:
        """Add a stream to the catalogue, of this generation and of all to come.

        Parameters
        ----------
        stream : int
            Its id, from 1.
        definition : mapping
            What describes it, as plain data.

        Raises
        ------
        OSError
            If the disk is full; the stream is then not defined.
        """
        with self._mutex:
            self.note({"define": stream, **definition})
            self._definitions[stream] = dict(definition)

    def note(self, event: Mapping[str, Any]) -> None:
        """Add a line to the catalogue of the current generation.

        Raises
        ------
        OSError
            If the disk is full; the line is then not there.
        """
        with self._mutex:
            self._enter()
            self._busy = True
            try:
                self._add_line(event)
            finally:
                self._busy = False

    def _enter(self) -> None:
        if self.ending:
            raise StateError(f"{self.folder} has ended; open the file again")
        if self._busy:
            raise StateError(
                f"{self.folder} was in use when a signal handler or a finaliser wrote to it; "
                "set a flag there and append in the program's own course"
            )

    def _add_line(self, event: Mapping[str, Any]) -> None:
        line = pack_line(json.dumps(event).encode())
        block = self._catalogue
        if block is None or block.count + len(line) > block.capacity:
            first = 0 if block is None else block.first + block.count
            rows = max(len(line), CATALOGUE_BLOCK // 2)
            block = self._catalogue = self._current.add_block(CATALOGUE, first, 1, rows)
        block.write(block.count, line)
        block.publish(block.count + len(line))

    def add_block(
        self,
        stream: int,
        first: int,
        row_bytes: int,
        *,
        previous: Block | None = None,
        rows: int = 1,
        most: int = LARGEST_BLOCK,
        carried: bool = False,
    ) -> Block:
        """Add a block to a stream in the current generation.

        Parameters
        ----------
        stream : int
            Stream id.
        first : int
            Absolute number of the block's first row.
        row_bytes : int
            Bytes a row.
        previous : Block, optional
            The stream's block before; the new one is four times as large, up to 1 MiB.
        rows : int
            How many rows it must hold at least.
        most : int
            Bytes that it has at most, unless `rows` need more.
        carried : bool
            Whether it is for rows of a generation that is given up.

        Raises
        ------
        OSError
            If the disk is full.
        """
        larger = rows
        if row_bytes:
            before = previous.capacity * row_bytes if previous is not None else 0
            larger = (min(4 * before, LARGEST_BLOCK, most) - SMALLEST_BLOCK // 2) // row_bytes
        with self._mutex:
            self._enter()
            self._busy = True
            before = self._current.size
            try:
                return self._add_block(stream, first, row_bytes, rows, larger)
            finally:
                self._current.carried += self._current.size - before if carried else 0
                self._busy = False

    def _add_block(self, stream: int, first: int, row_bytes: int, rows: int, larger: int) -> Block:
        if larger > rows:
            with contextlib.suppress(OSError):  # the disk is nearly full: as much as is needed
                return self._current.add_block(stream, first, row_bytes, larger)
        return self._current.add_block(stream, first, row_bytes, rows)

    def rotate(self) -> int:
        """Begin a new generation; return the number of the one before it.

        The caller sees to it that streams ask for new blocks.

        Raises
        ------
        OSError
            If the disk is full; the generation then stays the current one.
        """
        with self._mutex:
            self._enter()
            self._busy = True
            try:
                return self._begin_generation()
            finally:
                self._busy = False

    def _begin_generation(self) -> int:
        fresh = Generation(self.folder, self._current.number + 1, mapped=self._mapped)
        before, self._current = self._current, fresh
        catalogue, self._catalogue = self._catalogue, None
        try:
            for stream, definition in self._definitions.items():
                self._add_line({"define": stream, **definition})
            fresh.carried = fresh.size
            self._old.append(before)
        except BaseException:
            self._current, self._catalogue = before, catalogue
            fresh.remove()
            raise
        return before.number

    def discard(self, up_to: int) -> None:
        """Unlink the generations up to a number, whose rows are safe elsewhere.

        They go in order, on the disk too, and before the next sync: were one of them to come back
        after a power loss, rows that it had not synced would seem missing in the middle.
        """
        with self._sync_lock:
            for generation in [g for g in self._old if g.number <= up_to]:
                generation.remove()  # without the mutex: new blocks must not wait for the disk
                with self._mutex:
                    self._old.remove(generation)
                fsync_path(self.folder)

    def sync(self) -> None:
        """Bring everything published to the disk.

        Raises
        ------
        OSError
            If the disk fails.
        """
        self._sync_alone(None)

    def publish_durably(self, block: Block, count: int) -> None:
        """Bring stored rows to the disk, with everything published, and then publish them.

        Parameters
        ----------
        block : Block
            Where they are.
        count : int
            How many rows it has with them.

        Raises
        ------
        OSError
            If the disk fails; the rows are not published, and others can be stored in their place.
        """
        self._sync_alone((block, count))

    def _sync_alone(self, ahead: tuple[Block, int] | None) -> None:
        with self._sync_lock:  # not the mutex: a new block must not wait for the disk
            if self._syncing:
                raise StateError(
                    f"{self.folder} was being synced when a signal handler or a finaliser did so; "
                    "set a flag there and append in the program's own course"
                )
            self._syncing = True
            try:
                self._sync(ahead)
            finally:
                self._syncing = False

    def _sync(self, ahead: tuple[Block, int] | None) -> None:
        with self._mutex:
            generations = [*self._old, self._current]
        try:
            for generation in generations:
                generation.sync(ahead)
            fsync_path(self.folder)
            if ahead is not None:
                block, count = ahead
                block.publish(count)
        except BaseException:
            if ahead is not None:
                with contextlib.suppress(OSError):  # storing the next row tries again
                    ahead[0].take_back()
            raise

    def close(self, *, keep: bool, others: Iterable[str] = ()) -> None:
        """End the journal; where that fails, call again.

        Parameters
        ----------
        keep : bool
            Whether its files stay, because they hold rows that are nowhere else.
        others : iterable of str
            Names of further files in the folder that go with it.

        Raises
        ------
        OSError
            If the disk fails.
        """
        with self._sync_lock, self._mutex:
            if self.ending and not (self.lock.held and self.lock.is_current()):
                self.lock.release()  # an interrupted call gave the folder up: it may be another's
                remove_empty(self.folder)
                return
            self.ending = True
            for generation in [*self._old, self._current]:
                generation.close() if keep else generation.remove()
            self._old.clear()
            if keep:
                self.lock.release()
                return
            for name in others:
                (self.folder / name).unlink(missing_ok=True)
            self.lock.remove()
            remove_empty(self.folder)  # it stays where somebody else has begun to write
