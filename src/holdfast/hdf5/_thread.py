"""`Hdf5Thread`: the one thread of ours on which a file's HDF5 calls run."""

import contextlib
import gc
import threading
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from holdfast._logging import warn_soon
from holdfast.errors import StateError

T = TypeVar("T")


class Call(Generic[T]):
    """A call on the thread, and what became of it.

    A `concurrent.futures.Future` is not for programs with signals: an interrupt within its
    condition leaves that locked, and the thread waits for it for ever when it sets the result.
    """

    __slots__ = ("_call", "_done", "_error", "_value")

    def __init__(self, call: "Callable[[], T]") -> None:
        self._call: Callable[[], T] | None = call
        self._done = threading.Lock()
        self._done.acquire()
        self._value: T
        self._error: BaseException | None = None

    def run(self) -> None:
        """Do it, on the thread."""
        if self._call is None:
            raise AssertionError
        try:
            self._value = self._call()
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
            self._error = error
        self._call = None
        self._done.release()

    def result(self) -> T:
        """Wait, and return what it returned or raise what it raised; to be asked for once."""
        self._done.acquire()
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return self._value


class Hdf5Thread:
    """Runs calls in order, and one of its own accord whenever it was idle for an interval.

    Parameters
    ----------
    tick : callable
        What to do after an idle interval.
    interval : float
        Seconds.

    Raises
    ------
    StateError
        If the system starts no more threads.

    Notes
    -----
    A daemon, so that it does not keep the process; whoever owns it joins it in ``atexit``, since an
    HDF5 call that runs while the interpreter goes down crashes.
    """

    def __init__(self, tick: Callable[[], object], interval: float) -> None:
        self._tick, self.interval = tick, interval
        self._ended = False
        self._calls: SimpleQueue[Call[Any] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="holdfast-hdf5", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            raise StateError(
                f"no thread can be started to write an HDF5 file ({error}); end other threads or "
                "processes, or raise their limit (ulimit -u)"
            ) from None

    def submit(self, call: "Callable[[], T]") -> "Call[T]":
        """Run a call soon.

        Raises
        ------
        StateError
            If the thread has ended.
        """
        work = Call(call)
        self._calls.put(work)
        if self._ended:  # asked last: a signal handler may have ended it meanwhile
            raise StateError("the file was closed meanwhile; open it again")
        return work

    def join(self) -> None:
        """Run what was submitted, then end."""
        self._ended = True
        self._calls.put(None)
        self._thread.join()

    @property
    def is_current(self) -> bool:
        """Whether the caller is on this thread."""
        return threading.current_thread() is self._thread

    def _run(self) -> None:
        while True:
            try:
                work = self._calls.get(timeout=self.interval)
            except Empty:
                self._idle()
                continue
            if work is None:
                return
            work.run()
            del work

    def _idle(self) -> None:
        try:
            self._tick()
        except Exception as error:  # noqa: BLE001 - the thread must live on: `close` waits for it
            warn_soon("an unexpected error in the background of a file", error=error)


@contextlib.contextmanager
def collector_off() -> Iterator[None]:
    """Keep the garbage collector from running within HDF5 calls.

    It would run finalisers of anything on this thread, h5py's objects among them, in the middle of
    a callback.
    """
    with _collector.lock:
        if not _collector.users:
            _collector.enabled = gc.isenabled()
            gc.disable()
        _collector.users += 1
    try:
        yield
    finally:
        with _collector.lock:
            _collector.users -= 1
            if not _collector.users and _collector.enabled:
                gc.enable()


class _Collector:
    """How many threads of ours are within HDF5, and whether the collector was on before."""

    def __init__(self) -> None:
        self.lock, self.users, self.enabled = threading.Lock(), 0, True


_collector = _Collector()
