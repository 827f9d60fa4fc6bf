"""Several workers for `apply`: processes or threads that get values and give results, in order."""

import os
import pickle
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from holdfast._workers import pool, usable_cores
from holdfast.errors import InvalidInputError, StateError
from holdfast.fields._forms import Array, Form

WORTH = 3.0
"""Seconds of work from which on ``"auto"`` starts processes, which import everything anew."""

AHEAD = 4
"""Fields that are on their way to each worker."""

Frames = Iterator[tuple[float, Array]]
Results = Iterator[tuple[float, Any]]
Waiting = deque[tuple[float, Future[Any]]]


@dataclass(frozen=True, slots=True)
class Task:
    """What is done with each field."""

    form: Form
    func: Callable[..., Any]
    positions: int
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, time: float, values: Array) -> Any:
        """Do it with one."""
        return self.func(*(self.form.restore(values), time)[: self.positions], **self.kwargs)

    @property
    def can_travel(self) -> bool:
        """Whether other processes can be given it."""
        try:
            pickle.dumps(self)
        except (pickle.PicklingError, AttributeError, TypeError):
            return False
        return True


def results(task: Task, frames: Frames, total: int, parallel: Any) -> Results:
    """Yield times and results in order, by as many workers as `parallel` says.

    Raises
    ------
    InvalidInputError
        If it says nothing that can be done.
    """
    if parallel == "auto":
        return _measured(task, frames, total)
    share, workers = _with_processes, usable_cores()
    if parallel is None or parallel is False:
        workers = 1
    elif parallel == "threads":
        share = _with_threads
    elif isinstance(parallel, int | np.integer) and parallel > 0:
        share = _with_processes if task.can_travel else _with_threads
        workers = workers if parallel is True else int(parallel)
    elif parallel != "processes":
        raise InvalidInputError(
            f"parallel is 'auto', True, False, 'processes', 'threads' or a number of workers, not "
            f"{parallel!r}"
        )
    elif not task.can_travel:
        raise InvalidInputError(
            "the function cannot be sent to other processes; define it at the top of a module, or "
            "use parallel='threads'"
        )
    return _serially(task, frames) if workers == 1 else share(task, frames, workers)


def _serially(task: Task, frames: Iterable[tuple[float, Array]]) -> Results:
    for moment, values in frames:
        yield moment, task(moment, values)


def _measured(task: Task, frames: Frames, total: int) -> Results:
    """Work alone until it shows that processes pay, if the function can be sent to them.

    Not where it returns nothing: then it is called for what else it does, which would stay there.
    """
    begun = time.perf_counter()
    for done, (moment, values) in enumerate(frames, 1):
        result = task(moment, values)
        yield moment, result
        left = (time.perf_counter() - begun) / done * (total - done)
        if left > WORTH and _is_pure(task, result):
            yield from _with_processes(task, frames, usable_cores())
            return


def _is_pure(task: Task, result: Any) -> bool:
    """Whether a function returns something, and comes from a module that workers can import."""
    module = getattr(task.func, "__module__", "__main__")
    return result is not None and module != "__main__" and usable_cores() > 1 and task.can_travel


def _with_threads(task: Task, frames: Frames, workers: int) -> Results:
    """Let threads do it; a few fields for each are on their way at a time."""
    waiting: Waiting = deque()
    executor = ThreadPoolExecutor(workers, "holdfast-apply")
    try:
        for moment, values in frames:
            waiting.append((moment, executor.submit(task, moment, values)))
            if len(waiting) > AHEAD * workers:
                yield _next(waiting)
        while waiting:
            yield _next(waiting)
    finally:
        executor.shutdown(cancel_futures=True)


def _with_processes(task: Task, frames: Frames, workers: int) -> Results:
    """Share the work with processes, of which this is one.

    They import NumPy and the function's module first, which takes long: this one begins alone, and
    goes on meanwhile. Later it does itself what comes while the others have enough.
    """
    others = workers - 1
    executor = pool(others, _prepare, task)
    waiting: Waiting = deque()
    try:
        started = [executor.submit(os.getpid) for _ in range(others)]
        for moment, values in frames:
            busy = sum(not future.done() for _, future in waiting)
            if busy < AHEAD * others and any(future.done() for future in started):
                waiting.append((moment, executor.submit(_work, moment, values)))
            else:
                waiting.append((moment, _done(task(moment, values))))
            while waiting and (waiting[0][1].done() or len(waiting) > 2 * AHEAD * workers):
                yield _next(waiting)
        while waiting:
            yield _next(waiting)
    except BrokenExecutor as error:
        raise StateError(
            "a worker process ended before its work was done; a program that shares work runs it "
            'under `if __name__ == "__main__":`, or takes parallel="threads"'
        ) from error
    finally:
        # Not waited for: workers that have not even begun end by themselves.
        executor.shutdown(wait=False, cancel_futures=True)


def _next(waiting: Waiting) -> tuple[float, Any]:
    moment, result = waiting.popleft()
    return moment, result.result()


def _done(result: Any) -> "Future[Any]":
    future: Future[Any] = Future()
    future.set_result(result)
    return future


_task: list[Task] = []


def _prepare(task: Task) -> None:
    """Take the task, once."""
    _task[:] = [task]


def _work(moment: float, values: Array) -> Any:
    return _task[0](moment, values)
