"""Work on chunks by helper threads: compression and its undoing leave the interpreter alone."""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from holdfast._workers import usable_cores
from holdfast.hdf5._thread import Call

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_THREADS = 8
MOST_BYTES = 64 << 20
"""Bytes of chunks that are in memory at once, as long as more than one is."""

_WORTH = 128 << 10
"""Bytes of chunks from which on it takes longer to handle them than to start threads."""

Calls = SimpleQueue[Call[Any] | None]


def in_order(
    call: Callable[[Item], Result], items: Iterable[Item], *, size: int, count: int
) -> Generator[Result, None, None]:
    """Yield what a call returns for each item, computed ahead by helper threads.

    It is to be closed: an error's traceback would keep it, and its threads, as long as the error.

    Parameters
    ----------
    call : callable
        What is called; from several threads.
    items : iterable
        The items, which the calling thread takes as they are needed.
    size : int
        Bytes that an item takes, of its own and in its result.
    count : int
        How many there are.
    """
    most = min(usable_cores(), MOST_THREADS, count, MOST_BYTES // max(2 * size, 1))
    if most < 2 or size * count < _WORTH:
        yield from map(call, items)
        return
    calls: Calls = SimpleQueue()
    helpers: list[threading.Thread] = []
    try:
        _start(helpers, most, calls)
        yield from _results(call, items, calls, ahead=2 * most if helpers else 0)
    finally:
        _end(helpers, calls)


def _results(
    call: Callable[[Item], Result], items: Iterable[Item], calls: Calls, *, ahead: int
) -> Iterator[Result]:
    begun: deque[Call[Result]] = deque()
    for item in items:
        if not ahead:
            yield call(item)
            continue
        work = Call(partial(call, item))
        begun.append(work)
        calls.put(work)
        if len(begun) > ahead:
            yield begun.popleft().result()
    while begun:
        yield begun.popleft().result()


def _start(helpers: list[threading.Thread], count: int, calls: Calls) -> None:
    """Start threads: none where the system, or an exit, allows none."""
    for _ in range(count):
        helper = threading.Thread(target=_work, args=(calls,), name="holdfast-chunks", daemon=True)
        try:
            helper.start()
        except RuntimeError:
            return
        helpers.append(helper)


def _work(calls: Calls) -> None:
    while (work := calls.get()) is not None:
        work.run()
        del work
    calls.put(None)  # for the next: an interrupt may have come before all were known


def _end(helpers: list[threading.Thread], calls: Calls) -> None:
    """End the threads; what nobody waits for any more is not begun."""
    try:
        with suppress(Empty):
            while True:
                calls.get_nowait()
    finally:
        calls.put(None)
    for helper in helpers:
        helper.join()
