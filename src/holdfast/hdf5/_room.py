"""`Room`: the bound on a journal: when it is given up, and how long appending waits for that."""

import math
import time
from collections.abc import Callable

EARLY_BYTES = 32 << 20
EARLY_SECONDS = 0.5
"""From this size on a journal is given up at a quarter of its bound, so long after the last one.
The disk has work from early on, and commits stay rare."""

LONGEST_PAUSE = 0.05
"""Seconds that one call waits at most before the journal is at twice its bound."""

_INTERVAL = 0.002
_FIRST_PACE = 2e-9
"""Seconds a byte, as long as no checkpoint has shown how fast they are."""


class Room:
    """Keeps a journal within its bound.

    Parameters
    ----------
    size : callable
        Tells the bytes that the journal takes.
    bound : int
        The size at which it is given up at once; at twice this size appending waits.

    Attributes
    ----------
    early : int
        The size at which it is given up some time after the last one.
    wanted : bool
        Whether a checkpoint has been asked for that has not ended yet.
    """

    def __init__(self, size: Callable[[], int], bound: int) -> None:
        self._size, self.bound = size, bound
        self.early = max(bound // 4, min(bound, EARLY_BYTES))
        self.wanted = False
        self._began = -math.inf
        self._pace, self._seen = _FIRST_PACE, 0

    def ask(self) -> bool:
        """Whether the caller is to start a checkpoint now, since the journal has grown large."""
        if self.wanted:
            return False
        size = self._size()
        rested = time.monotonic() - self._began >= EARLY_SECONDS
        self.wanted = size >= self.bound or (rested and size >= self.early)
        return self.wanted

    def checkpoint(self, give_up: Callable[[bool], object]) -> None:
        """Do a checkpoint, which is told whether to give the journal up, and learn how fast."""
        size = self._size()
        scarce = size >= self.early
        self._began = time.monotonic()
        give_up(scarce)
        if scarce:
            self._pace = (time.monotonic() - self._began) / size

    def wait(self, may_wait: Callable[[], bool]) -> None:
        """Wait for the checkpoint that was asked for, the longer the nearer the bound is.

        A row pays for what has come since the last: from a quarter over the bound on, rows come
        no faster than checkpoints take them. So appending goes on evenly, and hardly ever meets
        twice the bound, where it has to wait until there is room or the checkpoint has failed.
        """
        if not self.wanted:
            return
        size = self._size()
        grown, self._seen = size - self._seen, size
        if size < self.bound or not may_wait():
            return
        share = min(4 * (size / self.bound - 1), 1.5)
        time.sleep(min(max(grown, 0) * self._pace * share, LONGEST_PAUSE))
        while self._size() >= 2 * self.bound and self.wanted:
            time.sleep(_INTERVAL)
