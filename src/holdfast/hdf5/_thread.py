"""`Hdf5Thread`: the one thread of ours on which a file's HDF5 calls run."""

import contextlib
import gc
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from holdfast._logging import log

T = TypeVar("T")


class Hdf5Thread:
    """Runs calls in order, and one of its own accord whenever it was idle for an interval.

    Parameters
    ----------
    tick : callable
        What to do after an idle interval.
    interval : float
        Seconds.

    Notes
    -----
    A daemon, so that it does not keep the process; whoever owns it joins it in ``atexit``, since an
    HDF5 call that runs while the interpreter goes down crashes.
    """

    def __init__(self, tick: Callable[[], object], interval: float) -> None:
        self._tick, self.interval = tick, interval
        self._calls: SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="holdfast-hdf5", daemon=True)
        self._thread.start()

    def submit(self, call: "Callable[[], T]") -> "Future[T]":
        """Run a call soon; its result or its exception is in the future."""
        future: Future[T] = Future()
        self._calls.put((call, future))
        return future

    def join(self) -> None:
        """Run what was submitted, then end."""
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
            call, future = work
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001 - it is raised where the future is asked
                future.set_exception(error)
            else:
                future.set_result(result)
            del work, call, future

    def _idle(self) -> None:
        try:
            self._tick()
        except Exception:  # noqa: BLE001 - the thread must live on: `close` waits for it
            log.exception("an unexpected error in the background of a file")


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
