"""Long work in the background that leaves the interpreter to the program."""

import time
from collections.abc import Callable

Pace = Callable[[], None]
"""Called before each piece of work."""

_WORK_SECONDS, _REST_SECONDS = 0.0002, 0.001


def at_once() -> None:
    """Go on without a pause."""


class Gently:
    """Rest after every moment of work.

    A thread that computes keeps the interpreter's lock for five milliseconds at a time, and a
    transition asks for that lock a dozen times.
    """

    def __init__(self) -> None:
        self._until = 0.0

    def __call__(self) -> None:
        now = time.perf_counter()
        if now >= self._until:
            time.sleep(_REST_SECONDS)
            self._until = time.perf_counter() + _WORK_SECONDS
