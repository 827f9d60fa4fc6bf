"""Worker processes of `apply`: loky's, which stay for the next call and end with this process."""

import contextlib
import dataclasses
import itertools
import math
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from concurrent.futures import BrokenExecutor, Future
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from holdfast.errors import InvalidInputError, MissingDependencyError, StateError
from holdfast.fields._forms import Array

if TYPE_CHECKING:
    from holdfast.fields._parallel import Task

IDLE_SECONDS = 60.0
"""After how long without work a worker ends."""

LOOK_SECONDS = 1.0
"""How often a worker looks whether its parent is still there."""

OWN_BYTES = 1 << 20
"""A storage that is sent is a description; a larger one has its fields in it."""

_INSTALLED = tuple({sys.prefix, sys.base_prefix, sys.exec_prefix, os.path.dirname(os.__file__)})

_numbers = itertools.count()
_sources: dict[str, int] = {}
_state = {"is_worker": False, "changes": 0, "used": -math.inf}


def is_worker() -> bool:
    """Whether this process is a worker, ours or a pool's that may have no processes of its own."""
    return bool(_state["is_worker"]) or multiprocessing.current_process().daemon


def is_warm() -> bool:
    """Whether there are workers that have been at work not long ago."""
    return time.monotonic() - _state["used"] < IDLE_SECONDS / 2


def sendable(thing: Any) -> bytes:
    """Return a thing as it is sent to other processes.

    Raises
    ------
    InvalidInputError
        If it cannot be.
    MissingDependencyError
        Without loky.
    """
    try:
        import loky  # noqa: F401 - brings cloudpickle along
        from cloudpickle import dumps
    except ImportError:
        raise MissingDependencyError(
            "worker processes need loky; install it with: pip install 'holdfast[fields]'"
        ) from None
    try:
        content: bytes = dumps(thing, protocol=5)
        pickle.loads(content)  # noqa: S301 - made in the line above
    except Exception as error:
        raise _unsendable(f"{type(error).__name__}: {error}") from error
    return content


class Workers:
    """Worker processes that have loaded a task.

    Attributes
    ----------
    count : int
        How many there are.
    reads : bool
        Whether they read the fields by themselves.
    size : int
        Bytes that go to them with each batch besides its values.

    Raises
    ------
    MissingDependencyError
        Without loky.
    InvalidInputError
        If the function cannot be sent, or not be loaded there.
    StateError
        If there can be no such processes.
    """

    def __init__(self, task: "Task", count: int) -> None:
        self.count, self.reads = count, _opens_elsewhere(task.storage)
        if not self.reads:
            task = dataclasses.replace(task, storage=None)
        # With a number, as what is the same may be read from another file of that name.
        self._content = sendable((next(_numbers), task))
        self.size = len(self._content)
        try:
            self._executor, refusal = self._started()
        except (OSError, RuntimeError) as error:
            raise StateError(f"worker processes cannot be started here: {error}") from error
        if refusal:
            raise _unsendable(refusal)

    def _started(self) -> tuple[Any, str]:
        """Return an executor, and why its workers cannot do the task, if so."""
        with contextlib.suppress(BrokenExecutor):  # workers of the call before may have ended since
            return self._asked()
        return self._asked()

    def _asked(self) -> tuple[Any, str]:
        import loky

        executor = loky.get_reusable_executor(
            self.count, timeout=IDLE_SECONDS, initializer=_begin, initargs=_surroundings()
        )
        try:
            return executor, executor.submit(_refusal, self._content).result()
        except KeyboardInterrupt:
            executor.shutdown(kill_workers=True)
            raise

    def submit(self, rows: range, given: list[Array] | None) -> "Future[tuple[list[Any], float]]":
        """Have them do the task with some fields; return their results, and seconds it took."""
        _state["used"] = time.monotonic()
        future: Future[Any] = self._executor.submit(_work, self._content, rows, given)
        return future

    def end(self) -> None:
        """End them, whatever they do."""
        _state["used"] = -math.inf
        self._executor.shutdown(kill_workers=True)


def _opens_elsewhere(storage: Any) -> bool:
    """Whether another process can open a storage."""
    if not hasattr(getattr(storage, "storage", storage), "filename"):  # also of a view
        return False
    try:
        return len(sendable(storage)) < OWN_BYTES
    except InvalidInputError:
        return False


def _unsendable(why: str) -> InvalidInputError:
    return InvalidInputError(
        f"the function, or what it returns, cannot be sent to other processes ({why}); have it use "
        "what can be pickled, of modules that can be imported, or use parallel='threads'"
    )


def _surroundings() -> tuple[Any, ...]:
    """Return what workers start from; loky makes new ones when it is another.

    A file of the user's that has changed counts: workers may have imported the older one.
    """
    found = {}
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str) and not path.startswith(_INSTALLED):
            with contextlib.suppress(OSError):
                found[path] = os.stat(path).st_mtime_ns
    _state["changes"] += not _sources.items() <= (_sources | found).items()
    _sources.update(found)
    return os.getpid(), os.getcwd(), tuple(sys.path), _state["changes"]


def _begin(parent: int, *_: Any) -> None:
    """Begin as a worker; Ctrl-C is for the parent, which ends its workers."""
    _state["is_worker"] = True
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End when the parent was killed: loky's workers would wait for more, or finish what they do.

    Where a process keeps the number of a parent that is gone (Windows), they do so.
    """
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    os._exit(1)


@lru_cache(maxsize=1)
def _loaded(content: bytes) -> Any:
    return pickle.loads(content)[1]  # noqa: S301 - the parent's


def _refusal(content: bytes) -> str:
    """Load a task; say why not if it cannot be."""
    try:
        _loaded(content)
    except Exception as error:  # noqa: BLE001 - whatever an import may raise is told
        return f"{type(error).__name__}: {error}"
    return ""


def _work(content: bytes, rows: range, given: list[Array] | None) -> tuple[list[Any], float]:
    begun = time.perf_counter()
    try:
        results = list(_loaded(content).batch(rows, given))
    except Exception as error:
        try:
            sendable(error)  # another would end this process, or break the pool
        except InvalidInputError:
            told = "".join(traceback.format_exception(error)).rstrip()
            raise StateError(f"the function failed in a worker process:\n{told}") from None
        raise
    finally:
        sys.stdout.flush()  # what was printed is not to be lost with a process that is ended
    return results, time.perf_counter() - begun
