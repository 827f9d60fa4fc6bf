"""Work on chunks by helper threads: compression and its undoing leave the interpreter alone."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

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
) -> Iterator[Result]:
    """Yield what a call returns for each item, computed ahead by helper threads.

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
    most = min(_cores(), MOST_THREADS, count, MOST_BYTES // max(2 * size, 1))
    if most < 2 or size * count < _WORTH:
        yield from map(call, items)
        return
    calls: Calls = SimpleQueue()
    helpers = _started(most, calls)
    try:
        yield from _results(call, items, calls, ahead=2 * most if helpers else 0)
    finally:
        _end(calls, helpers)


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


def _started(count: int, calls: Calls) -> list[threading.Thread]:
    """Return threads that were started: none where the system, or an exit, allows none."""
    helpers = []
    for _ in range(count):
        helper = threading.Thread(target=_work, args=(calls,), name="holdfast-chunks", daemon=True)
        try:
            helper.start()
        except RuntimeError:
            break
        helpers.append(helper)
    return helpers


def _work(calls: Calls) -> None:
    while (work := calls.get()) is not None:
        work.run()
        del work


def _end(calls: Calls, helpers: list[threading.Thread]) -> None:
    """End the threads; what nobody waits for any more is not begun."""
    try:
        while True:
            calls.get_nowait()
    except Empty:
        pass
    for _ in helpers:
        calls.put(None)
    for helper in helpers:
        helper.join()


@cache
def _cores() -> int:
    from holdfast._workers import usable_cores  # brings multiprocessing along

    return usable_cores()
