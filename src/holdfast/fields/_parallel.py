"""How `apply` shares its work: this process alone, its threads, or worker processes beside it."""

import time
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

import numpy as np

from holdfast._workers import usable_cores
from holdfast.errors import HoldfastWarning, InvalidInputError, StateError
from holdfast.fields import _pool, _worker
from holdfast.fields._forms import Array, Form
from holdfast.fields._travel import Packed, packed, travelling

if TYPE_CHECKING:
    from holdfast.fields._hooks import Hooks

COLD, WARM = 2.0, 0.1
"""Seconds of work left from which on ``"auto"`` asks workers that have to start, or have."""

BYTES_PER_SECOND = 300e6
"""About how fast values travel between processes; work that is faster stays."""

BATCH_SECONDS, BATCH_BYTES = 0.05, 8 << 20
"""About how long a worker is at a batch, and how large one is at most."""

AHEAD = 2
"""Batches that a worker has been given; fields that each thread has."""

Results = Generator[tuple[float, Any], None, None]


@dataclass(frozen=True, slots=True)
class Task:
    """What is done with each field, and where the fields are.

    Attributes
    ----------
    form : Form
        What makes fields of values.
    func : callable
        What is done.
    positions : int
        How many of field and time it takes.
    kwargs : mapping
        What else it takes.
    times : list of float
        Times of the fields.
    storage : StorageBase or None
        Where they are read; None in a process that gets their values.
    """

    form: Form
    func: Callable[..., Any]
    positions: int
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)
    storage: "Hooks | None" = None

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

    def batch(self, batch: tuple[range, list[Array] | None]) -> Iterator[Any]:
        """Do it with some, whose values are given or read here."""
        rows, given = batch
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
    StateError
        If a program that is run again by a worker does not guard its main part.
    """
    if _worker.state["loading"]:
        raise StateError(
            "a worker process runs this program again to import the function; have the program "
            'run its work under `if __name__ == "__main__":`'
        )
    if parallel == "auto":
        return _measured(task)
    workers = usable_cores()
    if parallel is None or parallel is False:
        workers = 1
    elif isinstance(parallel, int | np.integer) and parallel > 0:
        workers = workers if parallel is True else int(parallel)
    elif parallel not in ("processes", "threads"):
        raise InvalidInputError(
            f"parallel is 'auto', True, False, 'processes', 'threads' or a number of workers, not "
            f"{parallel!r}"
        )
    if workers == 1 or _worker.state["is_worker"]:
        return _serially(task)
    if parallel == "threads":
        return _with_threads(task, workers)
    sent = travelling(task)
    if isinstance(sent, Packed):
        return _Shared(task, sent, workers - 1).results()
    if parallel == "processes":
        raise InvalidInputError(
            f"the function cannot be sent to other processes ({sent}); define it at the top of a "
            "module, install cloudpickle, or use parallel='threads'"
        )
    warnings.warn(
        f"the function cannot be sent to other processes ({sent}), so threads share the work; they "
        "do not help a function in plain Python. Define it at the top of a module, install "
        "cloudpickle, or say parallel='threads'",
        HoldfastWarning,
        stacklevel=4,
    )
    return _with_threads(task, workers)


def _serially(task: Task) -> Results:
    rows = range(len(task.times))
    for row, values in zip(rows, task.frames(rows), strict=False):
        yield task.times[row], task(row, values)


def _measured(task: Task) -> Results:
    """Work alone until it shows that processes pay, if the function can be sent to them.

    Not where it returns nothing: then it is called for what else it does, which would stay there.
    """
    total = len(task.times)
    rows = range(total)
    can_be = _is_elsewhere(task.func) and usable_cores() > 1
    spent, worth = 0.0, WARM if can_be and _pool.idle() else COLD
    for row, values in zip(rows, task.frames(rows), strict=False):
        begun = time.perf_counter()
        result = task(row, values)
        spent += time.perf_counter() - begun
        yield task.times[row], result
        each, left = spent / (row + 1), total - row - 1
        if not can_be or result is None or each * left < worth:
            continue
        sent = packed(task) if each > 2 * _moved(values, result) / BYTES_PER_SECOND else None
        can_be = sent is not None
        if sent is not None:
            yield from _Shared(task, sent, usable_cores() - 1).results(row + 1, each)
            return


def _is_elsewhere(func: Any) -> bool:
    """Whether a function is of a module that workers can import without running the program."""
    return not _worker.state["is_worker"] and getattr(func, "__module__", "__main__") != "__main__"


def _moved(values: Array, result: Any) -> int:
    """Return about how many bytes travel for a field."""
    found = getattr(getattr(result, "data", result), "nbytes", 0)
    return values.nbytes + (found if isinstance(found, int) else 0)


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


class _Shared:
    """Work that is shared by this process and others.

    They have to start and to import first: this one begins alone. Later it gives them batches
    before it does a field itself, so that they are never without.
    """

    def __init__(self, task: Task, sent: Packed, others: int) -> None:
        self._task, self._sent = task, sent
        self._others = others
        self._done: dict[int, Any] = {}
        self._todo = range(0)

    def results(self, first: int = 0, each: float = 0.0) -> Results:
        """Yield times and results, of the fields from a number on."""
        times = self._task.times
        self._todo, self._each = range(first, len(times)), each
        workers: list[_pool.Worker] = []
        following = first
        try:
            workers = _pool.borrowed(min(self._others, max(len(self._todo) - 1, 0)))
            for worker in workers:
                self._prepare(worker)
            while following < len(times):
                self._exchange(workers, following)
                while following in self._done:
                    yield times[following], self._done.pop(following)
                    following += 1
        except KeyboardInterrupt:  # perhaps in the middle of a message: none is of use any more
            for worker in workers:
                worker.end()
            workers = []
            raise
        finally:
            _pool.given_back(workers)

    def _exchange(self, workers: "list[_pool.Worker]", following: int) -> None:
        """Take what workers have done, give them more, and do a field here."""
        busy = {worker.connection: worker for worker in workers}
        for worker in workers:
            while worker.ready and len(worker.waiting) < AHEAD and self._todo:
                self._give(worker, len(workers))
        # Not too far ahead of a batch that is still to come: its results are all kept.
        is_ahead = len(self._done) > 4 * self._batch_size(len(workers)) * (len(workers) + 1)
        alone = bool(self._todo) and not (is_ahead and following not in self._todo)
        for connection in wait(list(busy), 0 if alone else None):
            self._take(busy[connection], workers)  # type: ignore[index]
        if alone:
            self._do_one()

    def _prepare(self, worker: "_pool.Worker") -> None:
        worker.prepare(self._sent.content, needs_main=self._sent.needs_main)

    def _take(self, worker: "_pool.Worker", workers: "list[_pool.Worker]") -> None:
        try:
            answer = worker.answer()
        except StateError:
            if not worker.died_idle:
                raise
            worker.end()
            workers.remove(worker)
            workers.append(_pool.Worker())
            self._prepare(workers[-1])
            return
        if answer is not None:
            self._done.update(zip(*answer, strict=True))

    def _do_one(self) -> None:
        row, self._todo = self._todo[0], self._todo[1:]
        (values,) = self._task.frames(range(row, row + 1))
        begun = time.perf_counter()
        self._done[row] = self._task(row, values)
        spent = time.perf_counter() - begun
        self._each = (self._each + spent) / 2 if self._each else spent

    def _give(self, worker: "_pool.Worker", count: int) -> None:
        size = self._batch_size(count)
        rows, self._todo = self._todo[:size], self._todo[size:]
        given = None if self._sent.reads else list(self._task.frames(rows))
        worker.give(rows, (rows, given))

    def _batch_size(self, count: int) -> int:
        by_time = int(BATCH_SECONDS / self._each) if self._each else 1
        by_bytes = BATCH_BYTES // max(self._sent.bytes_each, 1)
        return max(min(by_time, by_bytes, len(self._todo) // (4 * (count + 1))), 1)
