"""Blocks made ahead of need: how large they get, and the thread that makes them."""

import os
import queue
import threading
import weakref
from typing import TYPE_CHECKING

from holdfast.acquisition._format import PAGE, SEALED_AT, WORD
from holdfast.acquisition._lane import Lane

if TYPE_CHECKING:
    from holdfast.acquisition._block import Block
    from holdfast.acquisition._supply import Supply

SMALLEST_BLOCK, LARGEST_BLOCK = 1 << 16, 1 << 24


def larger(lane: Lane) -> int:
    """Return the bytes of the block after a lane's present one."""
    before = lane.block.header.length if lane.block is not None else SMALLEST_BLOCK // 4
    return min(max(4 * before, SMALLEST_BLOCK), LARGEST_BLOCK)


def pages(length: int) -> int:
    """Return a length as whole pages."""
    return -(-length // PAGE) * PAGE


def is_sealed(path: str) -> bool:
    """Whether a block is on the disk, or assembled."""
    try:
        with open(path, "rb") as file:
            return any(os.pread(file.fileno(), WORD, SEALED_AT))
    except FileNotFoundError:  # assembled, so that an archive has it on the disk
        return True


class Preparer:
    """Makes blocks ahead, on a thread of its own."""

    def __init__(self, supply: "weakref.ref[Supply]") -> None:
        self.requests: queue.SimpleQueue[tuple[Lane, int, int] | None] = queue.SimpleQueue()
        self._supply = supply
        thread = threading.Thread(target=self._run, name="holdfast-blocks", daemon=True)
        thread.start()

    def _run(self) -> None:
        while (request := self.requests.get()) is not None:
            supply = self._supply()
            if supply is not None:
                supply.hand_over(request[0], self._made(supply, *request))
            del supply

    def _made(self, supply: "Supply", lane: Lane, length: int, mean: int) -> "Block | None":
        if lane.closed:
            return None
        try:
            block = supply.make(lane, length, mean)
        except OSError:  # the put that needs it meets the full disk, and says so
            return None
        block.populate()
        return block
