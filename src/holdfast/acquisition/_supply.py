"""`Supply`: a producer's folder, and the blocks that its lanes get from it."""

import itertools
import os
import threading
import time
import weakref
from pathlib import Path

from holdfast._atomic import make_folder
from holdfast._process import boot_id
from holdfast._sync import Durability
from holdfast.acquisition._ahead import Preparer, is_sealed, larger, pages
from holdfast.acquisition._block import Block
from holdfast.acquisition._format import LOGGER, PAGE, PRODUCER, SUFFIX, WORD
from holdfast.acquisition._lane import Lane
from holdfast.journal import WriterLock, writer_lives

WAIT = 0.002
"""Seconds between two looks at what is waited for."""

_AWAITED = 2.0
"""Seconds that a put on a full disk waits for the block that is being prepared for it."""


class Supply:
    """Makes blocks in a folder of its own, on demand and ahead of it.

    Parameters
    ----------
    folder : Path
        The logger's output directory.
    recording : int
        Which recording the messages belong to.
    max_unsynced : int, optional
        Bytes that a lane may be ahead of the disk before it gets no block.
    """

    def __init__(self, folder: Path, recording: int, max_unsynced: int | None) -> None:
        self._folder, self._recording, self._max_unsynced = folder, recording, max_unsynced
        self._boot = boot_id() or ""  # now: what a put imports, a handler's put finds half imported
        self._lock = threading.RLock()
        self._locks: list[WriterLock] = []
        weakref.finalize(self, _let_go, self._locks).atexit = False  # threads may put until the end
        self._home: Path | None = None
        self._numbers = itertools.count(1)
        self._preparer: Preparer | None = None

    def next(self, lane: Lane, size: int, messages: int) -> Block:
        """Return a block that takes `messages` messages, and one of `size` bytes.

        Raises
        ------
        OSError
            If the disk is full.
        """
        block = self._prepared(lane, size, messages)
        least = pages(PAGE + (size + 2 * WORD) * (messages + 1) + PAGE)
        wanted = max(larger(lane), least)
        while block is None:
            try:
                block = self.make(lane, wanted, max(lane.mean, size))
            except OSError:
                if self._awaited(lane):  # it has what is left of the disk, or has given it back
                    block = self._prepared(lane, size, messages)
                elif wanted <= least:
                    raise
                else:
                    wanted = max(pages(wanted // 8), least)
        return block

    def _prepared(self, lane: Lane, size: int, messages: int) -> Block | None:
        with self._lock:
            block, lane.following = lane.following, None
        if block is None or (block.room >= size and block.header.capacity >= messages):
            return block
        block.remove()
        return None

    def _awaited(self, lane: Lane) -> bool:
        """Whether a block was in the making for the lane, and is no more."""
        was = pending = lane.awaits
        deadline = time.monotonic() + _AWAITED
        while pending and time.monotonic() < deadline:
            time.sleep(WAIT)
            pending = lane.awaits
        return was and not pending

    def make(self, lane: Lane, length: int, mean: int) -> Block:
        """Make a block for a lane.

        Raises
        ------
        OSError
            If the disk is full.
        """
        identity = int.from_bytes(os.urandom(WORD), "little")
        header = (identity, self._recording, lane.number, self._boot)
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
                # By time: what a thread puts after a restart follows what it has put before.
                name = f"{PRODUCER}{time.time_ns():016x}-{os.urandom(4).hex()}"
                home = self._folder / name
                self._locks.append(WriterLock(home))
                self._home = home
            return self._home

    def prepare(self, lane: Lane, block: Block) -> None:
        """Have the block after `block` made, which the lane has just begun."""
        with self._lock:
            if lane.awaits:
                return
            if self._preparer is None:
                self._preparer = Preparer(weakref.ref(self))
                weakref.finalize(self, self._preparer.requests.put, None)
            lane.awaits = True
        mean = max(block.header.room // block.header.capacity, 1)
        self._preparer.requests.put((lane, larger(lane), mean))

    def hand_over(self, lane: Lane, block: Block | None) -> None:
        """Take a block that was prepared for a lane; None if there could be none."""
        with self._lock:
            lane.awaits = False
            if block is None:
                return
            # Another home: the logger was stopped meanwhile, and may take this one's for dead.
            if lane.closed or lane.following is not None or block.path.parent != self._home:
                block.remove()
            else:
                lane.following = block

    def take_back(self, lane: Lane) -> None:
        """Delete the block that was prepared for a lane that ends."""
        with self._lock:
            following, lane.following = lane.following, None
        if following is not None:
            following.remove()

    def left(self, lane: Lane) -> None:
        """Remember the block that a lane leaves, if that has to come to the disk in time."""
        if self._max_unsynced is not None and lane.block is not None and lane.count:
            lane.previous.append((str(lane.block.path), lane.block.header.length))

    def is_too_far_ahead(self, lane: Lane) -> bool:
        """Whether a lane has to wait until more of what it has put is on the disk.

        It never has to where no logger process would bring it there.
        """
        if self._max_unsynced is None:
            return False
        lane.previous = [(path, size) for path, size in lane.previous if not is_sealed(path)]
        ahead = sum(size for _, size in lane.previous)
        return ahead > self._max_unsynced and writer_lives(self._folder / LOGGER)

    def close(self) -> None:
        """Let go of the folder: whoever looks after it may seal what is there."""
        with self._lock:
            _let_go(self._locks)
            self._home = None


def _let_go(locks: list[WriterLock]) -> None:
    while locks:
        locks.pop().release()


_DURABILITY = Durability()
