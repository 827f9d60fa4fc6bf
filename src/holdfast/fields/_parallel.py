"""Several workers for `apply`: processes or threads that get values and give results, in order."""

import multiprocessing
import os
import pickle
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

from holdfast.errors import InvalidInputError
from holdfast.fields._forms import Array, Form

WORTH = 3.0
"""Seconds of work from which on ``"auto"`` starts processes, which import everything anew."""

Frames = Iterator[tuple[float, Array]]
Kind = Literal["processes", "threads"]


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


def results(task: Task, frames: Frames, total: int, parallel: Any) -> Iterator[tuple[float, Any]]:
    """Yield times and results in order, by as many workers as `parallel` says.

    Raises
    ------
    InvalidInputError
        If it says nothing that can be done.
    """
    if parallel == "auto":
        return _measured(task, frames, total)
    workers = _cores()
    kind: Kind | None = None
    if isinstance(parallel, bool) or parallel is None:
        kind = ("processes" if task.can_travel else "threads") if parallel else None
    elif isinstance(parallel, int) and parallel > 0:
        kind, workers = ("processes" if task.can_travel else "threads"), parallel
    elif parallel in ("processes", "threads"):
        kind = parallel
    else:
        raise InvalidInputError(
            f"parallel is 'auto', True, False, 'processes', 'threads' or a number of workers, not "
            f"{parallel!r}"
        )
    if kind == "processes" and not task.can_travel:
        raise InvalidInputError(
            "the function cannot be sent to other processes; define it at the top of a module, or "
            "use parallel='threads'"
        )
    return _serially(task, frames) if kind is None else _shared(task, frames, kind, workers)


def _serially(task: Task, frames: Iterable[tuple[float, Array]]) -> Iterator[tuple[float, Any]]:
    for moment, values in frames:
        yield moment, task(moment, values)


def _measured(task: Task, frames: Frames, total: int) -> Iterator[tuple[float, Any]]:
    """Work alone until it shows that processes pay, if the function can be sent to them.

    Not where it returns nothing: then it is called for what else it does, which would stay there.
    """
    begun = time.perf_counter()
    for done, (moment, values) in enumerate(frames, 1):
        result = task(moment, values)
        yield moment, result
        left = (time.perf_counter() - begun) / done * (total - done)
        if left > WORTH * _cores() / max(_cores() - 1, 1) and _is_pure(task, result):
            yield from _shared(task, frames, "processes", _cores())
            return


def _is_pure(task: Task, result: Any) -> bool:
    """Whether a function returns something, and comes from a module that workers can import."""
    module = getattr(task.func, "__module__", "__main__")
    return result is not None and module != "__main__" and _cores() > 1 and task.can_travel


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _shared(task: Task, frames: Frames, kind: Kind, workers: int) -> Iterator[tuple[float, Any]]:
    """Let workers do it; a few fields for each are on their way at a time."""
    waiting: deque[tuple[float, Future[Any]]] = deque()
    with _pool(task, kind, workers) as pool:
        try:
            for moment, values in frames:
                call = task if kind == "threads" else _work
                waiting.append((moment, pool.submit(call, moment, values)))
                if len(waiting) > 3 * workers:
                    yield _next(waiting)
            while waiting:
                yield _next(waiting)
        finally:
            pool.shutdown(cancel_futures=True)


def _next(waiting: "deque[tuple[float, Future[Any]]]") -> tuple[float, Any]:
    moment, result = waiting.popleft()
    return moment, result.result()


def _pool(task: Task, kind: Kind, workers: int) -> Executor:
    if kind == "threads":
        return ThreadPoolExecutor(workers, "holdfast-apply")
    # Spawned, since forking a process that has threads can deadlock the child.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, context, initializer=_prepare, initargs=(task,))


_task: list[Task] = []


def _prepare(task: Task) -> None:
    """Take the task, once; and end with the process that asked, which may be killed."""
    _task[:] = [task]
    threading.Thread(target=_end_with_parent, name="holdfast-parent", daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(moment: float, values: Array) -> Any:
    return _task[0](moment, values)
