"""Work on many files by several threads, of which the caller's is one."""

import operator
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from holdfast.errors import InvalidInputError
from holdfast.integrity._progress import bar

T = TypeVar("T")
R = TypeVar("R")


def thread_count(wanted: int | None) -> int:
    """Return how many threads to use; None or less than one stands for every processor.

    Raises
    ------
    InvalidInputError
        If it is no whole number.
    """
    try:
        count = 0 if wanted is None else operator.index(wanted)
    except TypeError:
        raise InvalidInputError(
            f"the number of threads must be a whole number, not {wanted!r}"
        ) from None
    if count >= 1:
        return count
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def each(
    work: Callable[[T], R],
    items: Sequence[T],
    threads: int | None,
    what: str = "",
    *,
    shown: bool = False,
) -> list[R]:
    """Do the work on all items, and return what it gave, in their order.

    At the first failure no further item is begun; the failure is raised when all threads are done.

    Parameters
    ----------
    work : callable
        Takes an item.
    items : sequence
        What to work on.
    threads : int, optional
        How many threads, the calling one among them; as `thread_count` takes it.
    what, shown : str, bool
        What a progress bar is to say, and whether there is one.
    """
    if not items:
        return []
    with bar(what, len(items), shown=shown) as advance:
        crew = _Crew(work, items)
        helpers = min(thread_count(threads), len(items)) - 1
        return crew.run(helpers, advance)


class _Crew(Generic[T, R]):
    # An executor would wake the caller for each result, and that takes longer than a small file.

    def __init__(self, work: Callable[[T], R], items: Sequence[T]) -> None:
        self._work, self._items = work, items
        self._results: list[Any] = [None] * len(items)
        self._failures: list[BaseException] = []
        self._lock = threading.Lock()
        self._next = 0

    def run(self, helpers: int, advance: Callable[[int], None]) -> list[R]:
        threads = []
        try:
            for number in range(helpers):
                threads.append(threading.Thread(target=self._help, name=f"holdfast-files-{number}"))
                threads[-1].start()
        except RuntimeError:  # no more threads to be had: those that are there do it
            threads.pop()
        try:
            self._labour(advance)
        except BaseException as error:  # noqa: BLE001 - raised when the others have stopped
            self._failures.append(error)
        for thread in threads:
            thread.join()
        if self._failures:
            raise self._failures[0]
        advance(len(self._items))
        return self._results

    def _help(self) -> None:
        try:
            self._labour(lambda _: None)
        except BaseException as error:  # noqa: BLE001 - raised by the calling thread
            self._failures.append(error)

    def _labour(self, advance: Callable[[int], None]) -> None:
        while not self._failures:
            with self._lock:
                number = self._next
                self._next += 1
            if number >= len(self._items):
                return
            self._results[number] = self._work(self._items[number])
            advance(number)
