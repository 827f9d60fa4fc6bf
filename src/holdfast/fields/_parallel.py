"""How `apply` shares its work: this process alone, its threads, or worker processes."""

import math
import time
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from holdfast._workers import usable_cores
from holdfast.errors import HoldfastWarning, InvalidInputError, MissingDependencyError, StateError
from holdfast.fields import _loky
from holdfast.fields._forms import Array, Form
from holdfast.fields._outside import may_change_outside

if TYPE_CHECKING:
    from holdfast.fields._hooks import Hooks

COLD, WARM = 1.5, 0.1
"""Seconds of work left from which on ``"auto"`` asks workers that have to start, or have."""

BYTES_PER_SECOND = 300e6
"""About how fast values travel between processes; work that is faster stays."""

BATCH_SECONDS, BATCH_BYTES = 0.05, 8 << 20
"""About how long a worker is at a batch, and how large one is at most."""

AHEAD = 4
"""Batches on their way for each worker process; fields for each thread."""

KINDS = ("auto", "processes", "threads")

UNABLE = (MissingDependencyError, InvalidInputError, StateError)

Results = Generator[tuple[float, Any], None, None]


@dataclass(frozen=True, slots=True)
class Task:
    """What is done with each field, and where the fields are; a process may get only values.

    The function takes as many of field and time as `positions` says, and `kwargs`.
    """

    form: Form
    func: Callable[..., Any]
    positions: int
    kwargs: Mapping[str, Any]
    times: list[float]
    storage: "Hooks | None"

    def __call__(self, row: int, values: Array) -> Any:
        """Do it with one field."""
        moment = self.times[row]
        try:
            return self.func(*(self.form.restore(values), moment)[: self.positions], **self.kwargs)
        except Exception as error:
            error.add_note(f"in field {row}, at time {moment:g}, of a storage's apply()")
            raise

    def frames(self, rows: range) -> Iterator[Array]:
        """Read values."""
        return iter(()) if self.storage is None else self.storage.frames(rows)

    def batch(self, rows: range, given: list[Array] | None) -> Iterator[Any]:
        """Do it with some, whose values are given or read here."""
        if given is None and (self.storage is None or len(self.storage) < rows.stop):
            raise StateError(f"{self.storage!r} has lost fields while apply() went through them")
        for row, values in zip(rows, self.frames(rows) if given is None else given, strict=True):
            yield self(row, values)


def results(task: Task, parallel: Any) -> Results:
    """Yield times and results in order, by as many workers as `parallel` says.

    Raises
    ------
    InvalidInputError
        If it says nothing that can be done.
    MissingDependencyError, StateError
        If it asks for processes, and there can be none.
    """
    workers = min(_number(parallel), len(task.times))
    if workers == 1 or _loky.is_worker():
        return _serially(task)
    if parallel == "auto":
        return _measured(task, workers)
    if parallel == "threads":
        return _with_threads(task, workers)
    try:
        return _with_processes(task, _loky.Workers(task, workers))
    except UNABLE as error:
        if parallel == "processes":
            raise
        warnings.warn(
            f"threads share the work, which do not help a function in plain Python: {error}",
            HoldfastWarning,
            stacklevel=4,
        )
    return _with_threads(task, workers)


def _number(parallel: Any) -> int:
    if parallel is None or parallel is False:
        return 1
    if parallel is True or (isinstance(parallel, str) and parallel in KINDS):
        return usable_cores()
    if isinstance(parallel, int | np.integer) and parallel > 0:
        return int(parallel)
    raise InvalidInputError(
        "parallel is 'auto', True, False, 'processes', 'threads' or a number of workers, not "
        f"{parallel!r}"
    )


def _serially(task: Task) -> Results:
    rows = range(len(task.times))
    for row, values in zip(rows, task.frames(rows), strict=False):
        yield task.times[row], task(row, values)


def _measured(task: Task, workers: int) -> Results:
    """Work alone until it shows that processes pay, if there can be any.

    Not where it returns nothing, or may change what is outside: that would stay there.
    """
    total = len(task.times)
    each, can_be = math.inf, not may_change_outside(task.func, task.kwargs)
    for row, values in zip(range(total), task.frames(range(total)), strict=False):
        begun = time.perf_counter()
        result = task(row, values)
        each = min(each, time.perf_counter() - begun)  # a first call may import or compile
        yield task.times[row], result
        left = each * (total - row - 1)
        if not (can_be and row and left > (WARM if _loky.is_warm() else COLD)) or result is None:
            continue
        found = _worthwhile(task, workers, each, values, result)
        can_be = found is not None
        if found is not None:
            yield from _with_processes(task, found, row + 1, each)
            return


def _worthwhile(
    task: Task, count: int, each: float, values: Array, result: Any
) -> "_loky.Workers | None":
    """Return workers, if a field is longer at work than on its way, and all of it can go."""
    try:
        moved = values.nbytes + len(_loky.sendable(result))
        return _loky.Workers(task, count) if each > 2 * moved / BYTES_PER_SECOND else None
    except UNABLE:
        return None


def _with_threads(task: Task, workers: int) -> Results:
    """Let threads do it; a few fields for each are on their way at a time."""
    waiting: deque[tuple[int, Future[Any]]] = deque()
    executor = ThreadPoolExecutor(workers, "holdfast-apply")
    rows = range(len(task.times))
    try:
        for row, values in zip(rows, task.frames(rows), strict=False):
            waiting.append((row, executor.submit(task, row, values)))
            if len(waiting) > AHEAD * workers:
                yield _next(task, waiting)
        while waiting:
            yield _next(task, waiting)
    finally:
        executor.shutdown(cancel_futures=True)


def _next(task: Task, waiting: deque[tuple[int, Future[Any]]]) -> tuple[float, Any]:
    row, result = waiting.popleft()
    return task.times[row], result.result()


def _with_processes(
    task: Task, workers: "_loky.Workers", first: int = 0, each: float = 0.0
) -> Results:
    """Let processes do it; a few batches for each are on their way at a time."""
    waiting: deque[tuple[range, Future[tuple[list[Any], float]]]] = deque()
    todo = range(first, len(task.times))
    try:
        while todo or waiting:
            while todo and len(waiting) < AHEAD * workers.count:
                rows = todo[: _batch_size(task, workers, len(todo), each)]
                given = None if workers.reads else list(task.frames(rows))
                waiting.append((rows, workers.submit(rows, given)))
                todo = todo[len(rows) :]
            done, seconds = waiting[0][1].result()
            rows, _ = waiting.popleft()
            each = seconds / len(rows)
            yield from zip(task.times[rows.start : rows.stop], done, strict=True)
    except BrokenExecutor as error:
        why = " ".join(str(error).split())
        raise StateError(
            f"worker processes ended before field {todo.start} was done: {why} If memory was "
            "short, take less workers, or parallel=False"
        ) from error
    finally:
        if waiting:  # what they do is of no use any more, and may take long
            workers.end()


def _batch_size(task: Task, workers: "_loky.Workers", left: int, each: float) -> int:
    """Return how many fields to send: for about a time, of not too many bytes, some for all.

    The task goes with each batch: a large one makes longer batches.
    """
    seconds = max(BATCH_SECONDS, 10 * workers.size / BYTES_PER_SECOND)
    layout = task.storage.layout if task.storage is not None else None
    bytes_each = 0 if layout is None else math.prod(layout.shape) * layout.dtype.itemsize
    by_time = int(seconds / each) if each else 1
    return max(min(by_time, BATCH_BYTES // max(bytes_each, 1), left // (2 * workers.count)), 1)
