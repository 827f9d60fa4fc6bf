"""What a failed run says of its failure, and the signal that ends a run from outside."""

import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from holdfast._process import ForkGuard
from holdfast.errors import StateError

SIGTERM_REASON = "SIGTERM: the process was asked to terminate"


def reason_of(error: BaseException) -> str:
    """Return the message of an exception, or its type where it has none or the type matters."""
    try:
        text = str(error)
    except Exception as second:  # noqa: BLE001 - an exception class of the user's may raise anything
        text = f"{type(error).__name__}: its message cannot be shown ({type(second).__name__})"
    if isinstance(error, SystemExit | KeyboardInterrupt | GeneratorExit):
        return type(error).__name__ + (f": {text}" if text else "")
    return text or f"{type(error).__name__}: no message"


def traceback_of(error: BaseException | None) -> str | None:
    """Return the traceback of an exception as Python prints it."""
    return None if error is None else "".join(traceback.format_exception(error)).rstrip()


def require_main_thread() -> None:
    """Refuse to handle signals outside the main thread, the only one that may set handlers.

    Raises
    ------
    StateError
        If this is another thread.
    """
    if threading.current_thread() is not threading.main_thread():
        raise StateError(
            "handle_sigterm=True works in the main thread only; open the logbook there, or "
            "leave handle_sigterm out"
        )


class SigtermHandler:
    """Calls back on SIGTERM, then does what the process did on SIGTERM before.

    Parameters
    ----------
    callback : callable
        Called in the main thread, and never within a `hold` block; not at all in a forked child,
        which inherits the handler, or where SIGTERM was ignored before.

    Raises
    ------
    StateError
        If this is not the main thread.
    """

    def __init__(self, callback: Callable[[], None]) -> None:
        require_main_thread()
        self._callback = callback
        self._guard = ForkGuard()
        self._held = 0
        self._waiting = False
        self.over = False
        self._previous: Any = signal.signal(signal.SIGTERM, self._handle)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Let a signal that comes within the block of the main thread wait for its end."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            if self._waiting and not self._held:
                self._waiting = False
                self._handle(signal.SIGTERM, None)

    def restore(self) -> None:
        """Put the previous handler back, unless somebody has set another since."""
        self.over = True
        if threading.current_thread() is not threading.main_thread():
            return  # only the main thread may; there the handler finds the run ended and chains
        if signal.getsignal(signal.SIGTERM) == self._handle:
            signal.signal(signal.SIGTERM, self.before())

    def before(self) -> Any:
        """Return the handler to chain to, those of ended runs left out for good.

        Runs may end in another order than they began; without this each would keep all before it.
        """
        previous = self._previous
        while isinstance(owner := getattr(previous, "__self__", None), SigtermHandler):
            before = owner.before()
            if not owner.over:
                break
            previous = before
        # None stands for a handler that C code had set, which cannot be called from here.
        self._previous = signal.SIG_DFL if previous is None else previous
        return self._previous

    def ignored(self) -> bool:
        """Whether the process ignored SIGTERM before any run handled it."""
        previous = self.before()
        owner = getattr(previous, "__self__", None)
        if isinstance(owner, SigtermHandler):
            return owner.ignored()
        return bool(previous is signal.SIG_IGN)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._held and self._guard:
            self._waiting = True
            return
        try:
            if self._guard and not self.ignored():
                self._callback()
        finally:
            self._pass_on(number, frame)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        previous = self.before()
        if callable(previous):
            previous(number, frame)
        elif previous is not signal.SIG_IGN:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.raise_signal(signal.SIGTERM)
