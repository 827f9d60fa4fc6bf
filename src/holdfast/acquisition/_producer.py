"""`Producer`: puts messages into blocks of its own; picklable, for other processes."""

import itertools
import json
import os
import threading
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.acquisition._format import DEFINE, FIRST_NAMED, SHIFT
from holdfast.acquisition._hearing import Hearing
from holdfast.acquisition._input import as_bytes, checked_time, source_number
from holdfast.acquisition._lane import Lane
from holdfast.acquisition._many import put_many
from holdfast.acquisition._notice import Notice
from holdfast.acquisition._put import Put, putting
from holdfast.acquisition._supply import WAIT, Supply
from holdfast.errors import StateError

if TYPE_CHECKING:
    import numpy.typing as npt


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
    token : str, optional
        Names the notice by which its logger tells other processes of its end and its problems.
    stopped : bool
        Whether the logger was stopped when the handle was made.

    Attributes
    ----------
    put : callable
        ``put(source_id, time, payload)``; see `DataLogger.put`.
    notice : Notice
        What its logger tells.
    stopped : bool
        Whether it takes no more messages.
    problem : OSError or None
        What the logger process met last.
    """

    def __init__(
        self,
        folder: Path,
        recording: int,
        max_unsynced: int | None = None,
        token: str | None = None,
        *,
        stopped: bool = False,
    ) -> None:
        self._folder, self._recording, self._max_unsynced = folder, recording, max_unsynced
        self.notice = Notice(folder, token or os.urandom(8).hex())
        self.stopped = stopped
        self._local = threading.local()
        self._reset()
        self.put: Put = putting(self, self._local)
        _producers.add(self)

    def _reset(self) -> None:
        self._lock = threading.RLock()
        self._supply = Supply(self._folder, self._recording, self._max_unsynced)
        self._lane_numbers = itertools.count(1)
        self._lanes: list[Lane] = []
        self._idle: list[Lane] = []
        self._failures: list[OSError] = []
        self.problem: OSError | None = None
        self._hearing = Hearing(self, self.notice)

    def __reduce__(self) -> tuple[Any, ...]:
        self.notice.share()
        return _producer_of, (self._options, self.stopped)

    @property
    def _options(self) -> "_Options":
        return self._folder, self._recording, self._max_unsynced, self.notice.token

    def __repr__(self) -> str:
        return f"Producer({str(self._folder)!r})"

    def put_many(self, source: int | str, times: "npt.ArrayLike", payloads: Any) -> None:
        """Put many messages of one source at once; see `DataLogger.put_many`."""
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
        self.attend()
        if self.stopped:
            raise StateError(
                f"the logger of {self._folder} was stopped, and takes no more messages; start() it "
                "again, or put before stop()"
            )
        if self._failures:
            raise self._failures.pop()

    def attend(self) -> None:
        """Learn what became of the logger, where that is another process's."""
        self._hearing.attend()

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
        while self._supply.is_too_far_ahead(lane):
            self.check()
            time.sleep(WAIT)
        block = self._supply.next(lane, size, messages)
        first = lane.block is None
        self._supply.left(lane)
        lane.leave()
        lane.begin(block)
        if not first:
            self._supply.prepare(lane, block)

    # What its logger needs of it

    def fail(self, error: OSError) -> None:
        """Let the next put raise what the logger process met."""
        with self._lock:
            self.problem = error
            self._failures[:] = [error]
            self._send_the_slow_way()

    def take_problem(self) -> OSError | None:
        """Return what the logger process met, which no put needs to raise then."""
        with self._lock:
            problem, self.problem = self.problem, None
            self._failures.clear()
        return problem

    def _send_the_slow_way(self) -> list[Lane]:
        for lane in self._lanes:
            lane.limit = -1
        return list(self._lanes)

    def refuse(self) -> list[Lane]:
        """Take no more messages, and return the lanes that may have blocks."""
        with self._lock:
            self.stopped = True
            return self._send_the_slow_way()

    def stop(self) -> None:
        """Take no more messages, and finish all blocks; a put at work in another thread ends first.

        A put that does not end, such as the one that this call's own signal handler interrupted, is
        not waited for. It may store its message yet, so that the folder stays this process's.
        """
        lanes = self.refuse()
        deadline = time.monotonic() + 1.0
        while any(lane.busy for lane in lanes) and time.monotonic() < deadline:
            time.sleep(WAIT)
        for lane in lanes:
            self._end_lane(lane)
        if not any(lane.busy for lane in lanes):
            self._supply.close()

    def _end_lane(self, lane: Lane) -> None:
        lane.closed = True
        if not lane.busy:
            lane.leave()
        self._supply.take_back(lane)

    def resume(self) -> None:
        """Take messages again."""
        with self._lock:
            for lane in self._lanes:
                lane.closed = False
            self.stopped = False

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


class _Ticket:
    """Goes with a thread, and gives its lane to the next one."""

    __slots__ = ("_lane", "_producer")

    def __init__(self, producer: Producer, lane: Lane) -> None:
        self._producer, self._lane = weakref.ref(producer), lane

    def __del__(self) -> None:
        producer = self._producer()
        if producer is not None and not self._lane.closed:
            producer._idle.append(self._lane)  # noqa: SLF001 - its own ticket


_producers: "weakref.WeakSet[Producer]" = weakref.WeakSet()

_Options = tuple[Path, int, int | None, str]


def _producer_of(options: _Options, stopped: bool) -> Producer:  # noqa: FBT001 - of a pickle
    """Return this process's producer: one that is unpickled for each task must not be new each."""
    for known in list(_producers):
        if known._options == options:  # noqa: SLF001 - its own module
            return known
    return Producer(*options, stopped=stopped)


def _share_with_child() -> None:
    for producer in list(_producers):
        producer.notice.share()


def _forget_in_child() -> None:
    for producer in list(_producers):
        producer.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_share_with_child, after_in_child=_forget_in_child)
