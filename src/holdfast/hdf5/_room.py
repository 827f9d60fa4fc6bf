"""`Room`: the bound on a journal: when it is given up, and how long appending waits for that."""

import copy
import errno
import math
import time
from collections.abc import Callable

from holdfast.errors import HoldfastError

EARLY_BYTES = 32 << 20
EARLY_SECONDS = 0.5
"""From this size on a journal is given up at a quarter of its bound, so long after the last one.
The disk has work from early on, and commits stay rare."""

LONGEST_PAUSE = 0.05
"""Seconds that one call waits at most before the journal is at twice its bound."""

RETRY_SECONDS = 0.5
"""Seconds after a checkpoint that failed before appending asks for another."""

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
        self._failure: Exception | None = None
        self._failed = -math.inf

    @property
    def failing(self) -> bool:
        """Whether the last checkpoint has failed."""
        return self._failure is not None

    def ask(self) -> bool:
        """Whether the caller is to start a checkpoint now, since the journal has grown large."""
        if self.wanted or (self.failing and time.monotonic() - self._failed < RETRY_SECONDS):
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
        try:
            give_up(scarce)
        except Exception as error:
            # Without its traceback, whose frames hold what has failed.
            self._failure, self._failed = copy.copy(error), time.monotonic()
            raise
        self._failure = None
        if scarce:
            self._pace = (time.monotonic() - self._began) / size

    def wait(self, may_wait: Callable[[], bool]) -> None:
        """Wait for the checkpoint that was asked for, the longer the nearer the bound is.

        A row pays for what has come since the last: from a quarter over the bound on, rows come
        no faster than checkpoints take them. So appending goes on evenly, and hardly ever meets
        twice the bound, where it has to wait until there is room.

        Raises
        ------
        OSError, HoldfastError
            If there is no room since the checkpoint has failed: what it has met.
        """
        if not (self.wanted or self.failing):
            return
        size = self._size()
        if self.wanted:
            grown, self._seen = size - self._seen, size
            if size >= self.bound and may_wait():
                self._wait(size, max(grown, 0))
        failure = self._failure
        if failure is not None and self._size() >= 2 * self.bound:
            raise _refused(failure, self.bound)

    def _wait(self, size: int, grown: int) -> None:
        share = min(4 * (size / self.bound - 1), 1.5)
        time.sleep(min(grown * self._pace * share, LONGEST_PAUSE))
        while self._size() >= 2 * self.bound and self.wanted:
            time.sleep(_INTERVAL)


def _refused(failure: Exception, bound: int) -> Exception:
    """Return an error for one call, of the kind of a checkpoint's; threads must not share one."""
    what = f"the row was not taken: the journal is at twice its bound of {bound} bytes"
    if isinstance(failure, HoldfastError) or not isinstance(failure, OSError):
        again = copy.copy(failure)
        again.args = (f"{failure}; {what}",)
        return again
    text = (
        f"{failure.strerror or failure} in a checkpoint; {what}. Append it again when there is room"
    )
    return OSError(failure.errno or errno.EIO, text, failure.filename)
