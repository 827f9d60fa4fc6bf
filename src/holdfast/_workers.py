"""Worker processes, which end when the process that started them has.

What starts them is imported when it is asked for: who only counts cores may do so late in the exit
of a process, when it cannot be imported any more.
"""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import Executor, ProcessPoolExecutor

LOOK_SECONDS = 1.0
"""How often a worker looks who its parent is."""


def usable_cores() -> int:
    """Return on how many cores this process may run."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def pool(
    workers: int, begin: Callable[..., object] | None = None, *given: Any
) -> "ProcessPoolExecutor":
    """Return an executor of spawned processes, none of which outlives this one.

    Parameters
    ----------
    workers : int
        How many there are.
    begin : callable, optional
        What each calls first, with `given`.
    """
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    # Spawned workers share neither locks nor threads nor open files with this process; forking a
    # process that has threads (ours, or those of a numerics library) can deadlock the child.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(begin, given))


def _begin(begin: Callable[..., object] | None, given: tuple[Any, ...]) -> None:
    end_with_parent()
    if begin is not None:
        begin(*given)


def watch_all(executor: "Executor") -> None:
    """Let an executor see the death of every worker, once all tasks are submitted to it.

    `ProcessPoolExecutor` starts a worker after it has begun to wait for those that it knows, so it
    would overlook the death of the last one until another finishes a task; a submission wakes it.
    """
    from concurrent.futures import BrokenExecutor, ProcessPoolExecutor

    if isinstance(executor, ProcessPoolExecutor):
        with suppress(BrokenExecutor):
            executor.submit(os.getpid)


def end_with_parent() -> None:
    """End this worker process within seconds when its parent is gone, whatever it does then.

    A worker waits for tasks from a pipe that it holds both ends of itself, so the death of a killed
    parent would never show there.
    """
    threading.Thread(target=_watch_parent, name="holdfast-parent", daemon=True).start()


def _watch_parent() -> None:
    import multiprocessing
    from multiprocessing.connection import wait

    parent = multiprocessing.parent_process()
    if parent is None or parent.pid is None:
        return
    # The sentinel is a pipe, which a process that the parent forked keeps open after its death;
    # whose child this is tells then.
    while not wait([parent.sentinel], LOOK_SECONDS) and _is_child_of(parent.pid):
        pass
    # At once, in the middle of a run: it is interrupted, and the next sweep makes it anew.
    os._exit(1)


def _is_child_of(pid: int) -> bool:
    return os.name != "posix" or os.getppid() == pid
