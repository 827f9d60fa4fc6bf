"""`Producer`: puts messages into blocks of its own; picklable, for other processes."""

import itertools
import json
import os
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast._atomic import make_folder
from holdfast._process import boot_id
from holdfast._sync import Durability
from holdfast.acquisition._ahead import Preparer, is_sealed, larger, pages
from holdfast.acquisition._block import Block
from holdfast.acquisition._format import (
    DEFINE,
    FIRST_NAMED,
    LOGGER,
    PAGE,
    PRODUCER,
    SHIFT,
    SUFFIX,
    WORD,
)
from holdfast.acquisition._input import as_bytes, checked_time, source_number
from holdfast.acquisition._lane import Lane
from holdfast.errors import InvalidInputError, StateError
from holdfast.journal import WriterLock, writer_lives

if TYPE_CHECKING:
    import numpy.typing as npt

_WAIT = 0.002

Put = Callable[[Any, Any, Any], None]


class Producer:
    """Puts messages into the folder of a `DataLogger`, from any thread of any process.

    Pickle it to hand it to another process; a forked child may use it as it is. Each process writes
    files of its own, so that producers never wait for each other.

    Parameters
    ----------
    folder : Path
        The logger's output directory.
    recording : int
        Which recording the messages belong to.
    max_unsynced : int, optional
        Bytes that a thread may be ahead of the disk before `put` waits.

    Attributes
    ----------
    put : callable
        ``put(source_id, time, payload)``; see `DataLogger.put`.
    """

    def __init__(self, folder: Path, recording: int, max_unsynced: int | None = None) -> None:
        self._folder, self._recording, self._max_unsynced = folder, recording, max_unsynced
        self._local = threading.local()
        self._reset()
        self.put: Put = _putting(self)
        _producers.add(self)

    def _reset(self) -> None:
        self._lock = threading.RLock()
        self._locks: list[WriterLock] = []
        self._home: Path | None = None
        self._numbers = itertools.count(1)
        self._lane_numbers = itertools.count(1)
        self._lanes: list[Lane] = []
        self._idle: list[Lane] = []
        self._preparer: Preparer | None = None
        self._failures: list[OSError] = []
        self._stopped = False

    def __reduce__(self) -> tuple[Any, ...]:
        return Producer, (self._folder, self._recording, self._max_unsynced)

    def __repr__(self) -> str:
        return f"Producer({str(self._folder)!r})"

    def put_many(self, source: int | str, times: "npt.ArrayLike", payloads: Any) -> None:
        """Put many messages of one source at once; see `DataLogger.put_many`."""
        from holdfast.acquisition._many import put_many

        put_many(self, source, times, payloads)

    # What lanes need of it

    def lane(self) -> Lane:
        """Return the calling thread's lane, begun by its first put."""
        try:
            found: Lane = self._local.lane
        except AttributeError:
            with self._lock:
                found = self._idle.pop() if self._idle else self._new_lane()
            self._local.ticket = _Ticket(self, found)
            self._local.lane = found
        return found

    def _new_lane(self) -> Lane:
        lane = Lane(next(self._lane_numbers))
        self._lanes.append(lane)
        return lane

    def inner(self, lane: Lane) -> Lane:
        """Return the lane for a put in the middle of a put, or after one that was torn."""
        while lane.busy:
            following = lane.inner
            if following is None:
                following = lane.inner = self._new_lane()
            lane = following
        return lane

    def put_slowly(self, lane: Lane, source: Any, when: Any, payload: Any) -> None:
        """Put a message that did not fit, or that something is wrong with; `lane` is busy.

        Raises
        ------
        InvalidInputError, OSError, StateError
            As `put`; nothing is put then.
        """
        try:
            self.check()
            number = source_number(source)
            stamp, content = checked_time(when), as_bytes(payload)
            self.make_room(lane, len(content), 1)
            tag = lane.tags.get(source)
            if tag is None:
                tag = self.define(lane, source, number)
                if not fits(lane, len(content)):  # the definition took the last place
                    self.make_room(lane, len(content), 1)
                    tag = self.define(lane, source, number)
            lane.store(tag, stamp, content)
        finally:
            lane.mend()

    def check(self) -> None:
        """Raise what went wrong elsewhere since the last put, or that there is no more to put.

        Raises
        ------
        OSError, StateError
            See `put`.
        """
        if self._stopped:
            raise StateError(
                f"the logger of {self._folder} was stopped, and takes no more messages; start() it "
                "again, or put before stop()"
            )
        if self._failures:
            raise self._failures.pop()

    def define(self, lane: Lane, source: int | str, number: int | None) -> int:
        """Make a source known to a lane's block, and return its tag."""
        if number is None:
            slot = FIRST_NAMED + sum(1 for known in lane.tags if isinstance(known, str))
            line = memoryview(json.dumps({"slot": slot, "name": source}).encode())
            if not fits(lane, len(line)):
                self.make_room(lane, len(line), 2)
                slot = FIRST_NAMED
                line = memoryview(json.dumps({"slot": slot, "name": source}).encode())
            lane.store((DEFINE + 1) << SHIFT, 0, line)
        else:
            slot = number
        tag = lane.tags[source] = (slot + 1) << SHIFT
        return tag

    def make_room(self, lane: Lane, size: int, messages: int) -> None:
        """Give a lane another block if the one it has cannot take so much.

        Raises
        ------
        OSError
            If the disk is full; the lane has what it had, and the next put tries again.
        """
        if fits(lane, size):
            if lane.block is not None:
                lane.limit = lane.block.room
            return
        self._wait_for_disk(lane)
        block = self._next_block(lane, size, messages)
        before = lane.block
        if before is not None and lane.count:
            lane.previous.append((str(before.path), before.header.length))
        lane.leave()
        lane.begin(block)
        if before is not None:
            self._prepare(lane, block)

    def _next_block(self, lane: Lane, size: int, messages: int) -> Block:
        with self._lock:
            block, lane.following = lane.following, None
        if block is not None:
            if block.room >= size and block.header.capacity >= messages:
                return block
            block.remove()
        least = pages(PAGE + (size + 2 * WORD) * (messages + 1) + PAGE)
        wanted = max(larger(lane), least)
        while True:
            try:
                return self.new_block(lane, wanted, max(lane.mean, size))
            except OSError:
                if wanted <= least:
                    raise
                wanted = max(pages(wanted // 8), least)

    def new_block(self, lane: Lane, length: int, mean: int) -> Block:
        """Make a block for a lane.

        Raises
        ------
        OSError
            If the disk is full.
        """
        identity = int.from_bytes(os.urandom(WORD), "little")
        header = (identity, self._recording, lane.number, boot_id() or "")
        while True:
            home = self._home or self._make_home()
            path = home / f"{next(self._numbers):08d}{SUFFIX}"
            try:
                return Block(path, length, mean, header)
            except FileNotFoundError:
                if home.is_dir() or not self._folder.is_dir():
                    raise
                self._home = None  # somebody deleted the folder, and thereby what was in it

    def _make_home(self) -> Path:
        with self._lock:
            if self._home is None:
                make_folder(self._folder, _DURABILITY)
                home = self._folder / f"{PRODUCER}{os.urandom(8).hex()}"
                self._locks.append(WriterLock(home))
                self._home = home
            return self._home

    def _prepare(self, lane: Lane, block: Block) -> None:
        with self._lock:
            if self._preparer is None:
                self._preparer = Preparer(weakref.ref(self))
                weakref.finalize(self, self._preparer.requests.put, None)
            preparer = self._preparer
        mean = max(block.header.room // block.header.capacity, 1)
        preparer.requests.put((lane, larger(lane), mean))

    def hand_over(self, lane: Lane, block: Block) -> None:
        """Take a block that was prepared for a lane."""
        with self._lock:
            if lane.closed or lane.following is not None:
                block.remove()
            else:
                lane.following = block

    def _wait_for_disk(self, lane: Lane) -> None:
        """Wait until what the lane has put is near enough to the disk, if that is asked for."""
        if self._max_unsynced is None:
            return
        while lane.previous:
            lane.previous = [(p, size) for p, size in lane.previous if not is_sealed(p)]
            ahead = sum(size for _, size in lane.previous)
            if ahead <= self._max_unsynced or not writer_lives(self._folder / LOGGER):
                return
            self.check()
            time.sleep(_WAIT)

    # What its logger needs of it

    def fail(self, error: OSError) -> None:
        """Let the next put raise what the logger process met."""
        with self._lock:
            self._failures[:] = [error]
            for lane in self._lanes:
                lane.limit = -1

    def stop(self) -> None:
        """Take no more messages, and finish all blocks; a put at work in another thread ends first.

        A put that a signal or an exception tore is not waited for: its block ends where its
        messages do.
        """
        with self._lock:
            self._stopped = True
            lanes = list(self._lanes)
            for lane in lanes:
                lane.limit = -1
        for lane in lanes:
            deadline = time.monotonic() + 1.0
            while lane.busy and time.monotonic() < deadline:
                time.sleep(_WAIT)
        for lane in lanes:
            self._end_lane(lane)
        with self._lock:
            for lock in self._locks:
                lock.release()
            self._locks.clear()
            self._home = None

    def _end_lane(self, lane: Lane) -> None:
        lane.closed = True
        if not lane.busy:
            lane.leave()
        with self._lock:
            following, lane.following = lane.following, None
        if following is not None:
            following.remove()

    def resume(self) -> None:
        """Take messages again."""
        with self._lock:
            for lane in self._lanes:
                lane.closed = False
            self._stopped = False

    def forget(self) -> None:
        """Begin anew in a forked child, whose parent owns the blocks."""
        self._local.__dict__.clear()
        self._reset()


def fits(lane: Lane, size: int) -> bool:
    """Whether a lane's block takes one more message of `size` bytes."""
    block = lane.block
    return (
        block is not None and lane.count < block.header.capacity and lane.end + size <= block.room
    )


def _putting(producer: Producer) -> Put:
    local, enter, inner, slowly = (
        producer._local,  # noqa: SLF001 - the producer's own function, apart for its closure
        producer.lane,
        producer.inner,
        producer.put_slowly,
    )

    def put(source: Any, time: Any, payload: Any) -> None:
        # Written out rather than called step by step: this is all that a put costs.
        try:
            lane = local.lane
        except AttributeError:
            lane = enter()
        if lane.busy:
            lane = inner(lane)
        lane.busy = True
        try:
            start = lane.end
            end = start + len(payload)
            if end > lane.limit:
                slowly(lane, source, time, payload)
                return
            number = lane.count
            lane.times[number] = time
            lane.payload[start:end] = payload
            lane.words[number] = lane.tags[source] | end  # publishes
            lane.end = end
            lane.count = number + 1
        except (IndexError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, InvalidInputError):
                raise
            slowly(lane, source, time, payload)
        except BaseException:
            lane.mend()
            raise
        lane.busy = False

    return put


class _Ticket:
    """Goes with a thread, and gives its lane to the next one."""

    __slots__ = ("_lane", "_producer")

    def __init__(self, producer: Producer, lane: Lane) -> None:
        self._producer, self._lane = weakref.ref(producer), lane

    def __del__(self) -> None:
        producer = self._producer()
        if producer is not None and not self._lane.closed:
            producer._idle.append(self._lane)  # noqa: SLF001 - its own ticket


_DURABILITY = Durability()
_producers: "weakref.WeakSet[Producer]" = weakref.WeakSet()


def _forget_in_child() -> None:
    for producer in list(_producers):
        producer.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
