"""Holdfast's own logger, silent unless a program gives it a handler.

It stands in a module of its own because importing `logging` takes longer than all of
``import holdfast``.
"""

import atexit
import logging
import os
import threading
import traceback
from queue import SimpleQueue

log = logging.getLogger("holdfast")
log.addHandler(logging.NullHandler())


def warn_soon(message: str, *values: object, error: BaseException | None = None) -> None:
    """Log a warning from a thread that others wait for, without waiting for any handler.

    A handler may append to the very file whose thread warns, or wait for a lock that such a call
    is made under; so handlers are called on a thread that nobody waits for.

    Parameters
    ----------
    message : str
        The message, with ``%s`` for values.
    *values
        The values; made text at once, on the calling thread.
    error : BaseException, optional
        What to log with its traceback.
    """
    _messages.add((message % values, error))


class _Messages:
    """Warnings on their way to the handlers."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew, as a forked child must: it has the parent's messages but not its thread."""
        self._queue: SimpleQueue[tuple[str, BaseException | None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, message: tuple[str, BaseException | None]) -> None:
        self._queue.put(message)
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="holdfast-log", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # no thread to be had (a limit, or at exit): `finish` does it
                    return
                self._thread = thread

    def finish(self) -> None:
        """Hand on what is left; called at exit, before `logging` closes the handlers."""
        self._queue.put(None)
        if self._thread is None:
            self._run()
        else:
            self._thread.join()

    def _run(self) -> None:
        while (message := self._queue.get()) is not None:
            text, error = message
            try:
                log.warning("%s", text, exc_info=error)
            except Exception:  # noqa: BLE001 - a handler's error must not end the thread
                traceback.print_exc()


_messages = _Messages()
atexit.register(_messages.finish)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_messages.reset)
