"""Worker processes of `apply`, which stay for the next call and end with this process.

They are no processes of `multiprocessing`, because those run the program's main file again, which
costs its imports, and repeats a program that does not guard its main part; here only a task that
needs it does so.
"""

import atexit
import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from multiprocessing import Pipe, spawn
from typing import Any

from holdfast.errors import StateError
from holdfast.fields._worker import FAILED, IDLE_SECONDS, READY, REFUSED

PATIENCE = 5.0
"""Seconds that a worker has to end by itself."""

_INSTALLED = tuple({sys.prefix, sys.base_prefix, sys.exec_prefix, os.path.dirname(os.__file__)})

_idle: "list[Worker]" = []
_lock = threading.Lock()


class Worker:
    """A worker process, as its parent sees it.

    Attributes
    ----------
    connection : Connection
        Readable when there is an answer, or the process has ended.
    ready : bool
        Whether it has loaded its task.
    waiting : list of slice
        Which fields it has been given.
    """

    def __init__(self) -> None:
        ours, theirs = Pipe()
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; from holdfast.fields._worker import main; "
            f"main({theirs.fileno()}, {os.getpid()})"
        )
        # A group of its own: Ctrl-C is for this process, which ends its workers.
        self._process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            process_group=0,
        )
        theirs.close()
        self.connection, self.ready = ours, False
        self.waiting: list[range] = []
        self.parent, self.idle_since, self._reused = os.getpid(), time.monotonic(), False
        self._loading, self._refused, self._sources = 0, False, _sources()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    @property
    def died_idle(self) -> bool:
        """Whether it has ended since an earlier call, before it could begin with this one."""
        return self._reused and not self.ready and not self.is_alive

    @property
    def is_fit(self) -> bool:
        """Whether it can be given another task: it runs what the program would run now."""
        return (
            self.is_alive
            and not self.waiting
            and not self._refused
            and time.monotonic() - self.idle_since < IDLE_SECONDS / 2
            and self._sources.items() <= _sources().items()
        )

    def prepare(self, task: bytes, *, needs_main: bool) -> None:
        """Let it load a task."""
        prefix = ("sys_", "init_main") if needs_main else "sys_"
        found = spawn.get_preparation_data("holdfast-apply").items()
        preparation = {k: v for k, v in found if k.startswith(prefix)} | {"dir": os.getcwd()}
        self.ready = False
        self._loading += 1
        self._sources |= _sources()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the next answer tells
            self._send(((preparation, task), None))

    def give(self, rows: range, batch: Any) -> None:
        """Give it a batch."""
        self.waiting.append(rows)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._send((None, batch))

    def _send(self, content: Any) -> None:
        self.connection.send_bytes(pickle.dumps(content, protocol=5))

    def answer(self) -> tuple[range, list[Any]] | None:
        """Take an answer: results and their numbers, or None if it has got ready.

        Raises
        ------
        StateError
            If it has ended, or cannot do the task.
        Exception
            What the function raised.
        """
        try:
            kind, content = pickle.loads(self.connection.recv_bytes())  # noqa: S301 - a child's
        except (EOFError, OSError):
            raise self._ended() from None
        if kind in (READY, REFUSED):
            self._loading -= 1  # of an earlier call, if another is to come
            self.ready = kind == READY and not self._loading
        if kind == READY or (kind == REFUSED and self._loading):
            return None
        if kind == REFUSED:
            self._refused = True
            raise StateError(
                f"a worker process cannot load the function ({content}); a program that shares "
                'work has it run under `if __name__ == "__main__":`, or takes parallel="threads"'
            )
        if kind == FAILED:
            if isinstance(content, BaseException):
                raise content
            raise StateError(f"the function failed in a worker process:\n{content}")
        return self.waiting.pop(0), content

    def _ended(self) -> StateError:
        code = self._process.wait()
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        rows = self.waiting[0] if self.waiting else range(0)
        where = f"in field {rows.start} to {rows.stop - 1}" if rows else "before it could begin"
        return StateError(
            f"a worker process was ended {how} {where}; if memory was short, take less workers, "
            "or parallel=False"
        )

    def kept(self) -> None:
        """Note that it is kept for another call."""
        self.idle_since, self.ready, self._reused = time.monotonic(), False, True

    def end(self) -> None:
        """End it now."""
        self.connection.close()
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Let it end."""
        self.connection.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.end()


def idle() -> list[Worker]:
    """Return the workers that wait for a task."""
    with _lock:
        return [worker for worker in _own() if worker.is_fit]


def borrowed(count: int) -> list[Worker]:
    """Return workers, those that wait first."""
    with _lock:
        own = _own()
        fit = [worker for worker in own if worker.is_fit]
        _idle[:] = fit[count:]
    for worker in own:
        if worker not in fit:
            worker.end()
    return [*fit[:count], *(Worker() for _ in range(count - len(fit)))]


def given_back(workers: list[Worker]) -> None:
    """Keep workers for the next call; those that are at work are of no use to it, and end."""
    for worker in workers:
        if worker.is_fit:
            worker.kept()
            with _lock:
                _idle.append(worker)
        else:
            worker.end()


def _own() -> list[Worker]:
    """Return the workers that wait; in a forked child none, they are its parent's."""
    return [worker for worker in _idle if worker.parent == os.getpid()]


def _sources() -> dict[str, int]:
    """Return when the modules of the user were changed, not those of installed packages.

    A worker that has imported another state of one would go on with that.
    """
    found = {}
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str) and not path.startswith(_INSTALLED):
            with contextlib.suppress(OSError):
                found[path] = os.stat(path).st_mtime_ns
    return found


@atexit.register
def end_all() -> None:
    """End the workers that wait for a task."""
    with _lock:
        ending = _own()
        _idle.clear()
    for worker in ending:
        worker.connection.close()
    for worker in ending:
        worker.close()
