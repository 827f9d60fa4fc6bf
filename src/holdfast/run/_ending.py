"""The end of a run: marked by hand, by the end of a block, or by a signal."""

import contextlib
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from holdfast._sync import Durability
from holdfast.errors import StateError
from holdfast.run._environment import packages
from holdfast.run._failure import SIGTERM_REASON, reason_of, traceback_of
from holdfast.run._log import LogLine, make_line
from holdfast.run._metadata import Status, now
from holdfast.run._session import Session


class Endings(ABC):
    """How a logbook ends its run, given its session and its metadata."""

    run_id: str
    _session: Session
    _meta: dict[str, Any]
    _lock: threading.RLock
    _began: float
    _terminating: bool
    _durability: Durability
    _callback: Callable[[Any], object] | None

    @abstractmethod
    def _save_meta(self, meta: dict[str, Any], line: LogLine | None = None) -> None:
        """Write the metadata, and a line into the log with them."""

    def mark_complete(self) -> None:
        """Mark the run complete.

        Raises
        ------
        OSError
            If the disk is full; the run is then unmarked, and the call can be repeated.
        """
        self._mark("complete", "run complete", {})

    def mark_failed(self, reason: str = "") -> None:
        """Mark the run failed, with the traceback of the exception that is being handled, if any.

        Parameters
        ----------
        reason : str
            What ``failure_reason`` will say.
        """
        self._fail(str(reason), traceback_of(sys.exception()))

    def _fail(self, reason: str, trace: str | None) -> None:
        fields = {"failure_reason": reason} | ({"failure_traceback": trace} if trace else {})
        self._mark("failed", f"run failed: {reason}" + (f"\n{trace}" if trace else ""), fields)

    def _mark(self, status: Status, message: str, fields: dict[str, Any]) -> None:
        self._session.check_owner()
        with self._lock, self._session.hold():
            unclosed = self._close_rows(status)
            earlier = ("failure_reason", "failure_traceback")
            kept = {k: v for k, v in self._meta.items() if k not in earlier}
            ended = {
                "status": status,
                "end_time": now(),
                "runtime_sec": time.monotonic() - self._began,
                "environment": kept["environment"] | {"packages": packages()},
            }
            level = "INFO" if status == "complete" else "ERROR"
            self._save_meta(kept | ended | fields, make_line(message, level))
            self._session.release()
        if self._callback is not None:
            self._callback(self)
        if unclosed is not None:
            raise unclosed
        self._durability.raise_failure()  # last, so that the run is marked in any case

    def _close_rows(self, status: Status) -> OSError | None:
        """Bring streams and records into their files; a failed run is marked even if that fails."""
        if self._terminating:
            # The signal may have come within an append, whose lock closing would wait for. The rows
            # are in the journal, where readers and the next writer find them.
            return None
        try:
            self._session.rows.close(final=status != "complete")
        except OSError as error:
            if status == "complete":
                raise
            return error
        return None

    def _terminate(self) -> None:
        self._terminating = True
        if self._meta["status"] == "initialized":
            with contextlib.suppress(OSError, StateError):  # what follows must happen in any case
                self.mark_failed(SIGTERM_REASON)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._session.is_ours:
            return  # a forked child leaves the block too; the run is its parent's
        try:
            if error is not None:
                self._fail(reason_of(error), traceback_of(error))
            elif self._meta["status"] == "initialized":
                self.mark_complete()
        except (OSError, StateError) as second:
            if error is None:
                raise
            error.add_note(f"While the run {self.run_id} was being marked failed: {second}")
        finally:
            self._session.release()
