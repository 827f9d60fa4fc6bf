"""What a process holds for a run while it goes on: the log file, the heartbeat, two handlers.

A run has one session at a time. A newer logbook of the same run supersedes the older one's, in this
process at once, elsewhere by putting files of its own in the run directory.
"""

import contextlib
import os
import threading
import weakref
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Literal

from holdfast._process import ForkGuard, Identity
from holdfast._sync import Durability, heartbeat, stop_heartbeat
from holdfast.errors import FormatError, StateError
from holdfast.run._appends import Rows
from holdfast.run._create import create_run, replace_run, retry_run
from holdfast.run._failure import SigtermHandler
from holdfast.run._layout import LOG, METADATA
from holdfast.run._log import CaptureHandler, LogLine, LogWriter
from holdfast.run._metadata import read_metadata, writer_of
from holdfast.run._resume import resume_run

How = Literal["new", "retry", "resume"]
"""How a run begins in its folder: it is not there yet; over a failed one; where it stopped."""


class Session:
    """The right of one logbook, in one process, to write a run.

    Parameters
    ----------
    path : Path
        The run directory, with its first files in place.
    meta : dict
        The metadata it began with, by which it is known again.
    durability : Durability
        When the log reaches the disk.
    """

    def __init__(self, path: Path, meta: dict[str, Any], durability: Durability) -> None:
        self._path = path
        self._mark = _mark(meta)
        self._durability = durability
        self._guard = ForkGuard()
        self._superseded = False
        self.rows = Rows(path, durability)
        self._log = LogWriter(path / LOG)
        self._capture: CaptureHandler | None = None
        self._sigterm: SigtermHandler | None = None
        heartbeat(self._beat)

    @property
    def is_ours(self) -> bool:
        """Whether this is the process that began the session, not a forked child of it."""
        return bool(self._guard)

    def check(self) -> None:
        """Refuse to write as `check_owner` does, or after what was written did not reach the disk.

        Raises
        ------
        StateError
            As `check_owner` does.
        OSError
            What a sync in the background met, once.
        """
        self.check_owner()
        self._durability.raise_failure()

    def check_owner(self) -> None:
        """Refuse to write for anybody else, or into a run that somebody else has begun anew.

        Raises
        ------
        StateError
            In a forked child, or if the run is no longer this session's.
        """
        self._guard.check(f"the logbook of run {self._path}")
        if not self._superseded and not self._log.in_place():
            self._look_again()
        if self._superseded:
            raise StateError(
                f"run {self._path} was replaced by a newer one of the same id, or its folder was "
                "moved away; nothing is written to it any more"
            )

    def _look_again(self) -> None:
        """Find out why ``log.txt`` is another file than the one that is open."""
        try:
            found = _mark(read_metadata(self._path))
        except FileNotFoundError:
            found = None
        except FormatError:
            found = self._mark  # damaged, but nobody else's
        if found != self._mark:
            self.supersede()
        else:
            self._log.reopen()  # somebody edited or removed the log

    def supersede(self) -> None:
        """Make every later `check` raise, and let go of everything."""
        self._superseded = True
        self.release()
        with contextlib.suppress(OSError):  # what is left stays in its journal
            self.rows.close()

    def write(self, line: LogLine) -> None:
        """Append a line to the log."""
        with self.hold():
            self._log.write(line)
            self._durability.changed(self._log.path)

    def capture_logging(self) -> None:
        """Write what the process's loggers let through into the log."""
        self._capture = CaptureHandler(self._write_captured)
        self._capture.install()

    def _write_captured(self, line: LogLine) -> None:
        if self._guard:  # a forked child inherits the handler, but the log is its parent's
            self.write(line)

    def handle_sigterm(self, callback: Callable[[], None]) -> None:
        """Call back on SIGTERM; see `SigtermHandler`."""
        self._sigterm = SigtermHandler(callback)

    def hold(self) -> AbstractContextManager[None]:
        """Let a SIGTERM that comes within the block wait for its end."""
        return self._sigterm.hold() if self._sigterm else nullcontext()

    def release(self) -> None:
        """Let go of the file, the handlers and the heartbeat; lines may still be written."""
        stop_heartbeat(self._beat)
        capture, self._capture = self._capture, None
        if capture is not None:
            capture.remove()
        sigterm, self._sigterm = self._sigterm, None
        if sigterm is not None:
            sigterm.restore()
        self._log.close()

    def _beat(self) -> None:
        if self._log.in_place():  # the folder may hold another run by now, maybe a dead one
            os.utime(self._log.path)


def _mark(meta: dict[str, Any]) -> tuple[Any, Any, Identity | None]:
    return meta.get("attempt"), meta.get("start_time"), writer_of(meta)


class _Sessions:
    """The sessions of this process by run directory."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew, as a forked child must: its parent may have held the lock."""
        self.lock = threading.RLock()
        self._open: weakref.WeakValueDictionary[str, Session] = weakref.WeakValueDictionary()

    def supersede(self, path: Path) -> None:
        older = self._open.get(os.path.realpath(path))
        if older is not None:
            older.supersede()

    def enter(self, path: Path, session: Session) -> None:
        self.supersede(path)
        self._open[os.path.realpath(path)] = session


_sessions = _Sessions()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_sessions.reset)


def begin(
    path: Path,
    first_files: Callable[[int], Mapping[str, bytes]],
    durability: Durability,
    *,
    overwrite: bool,
    retry: bool,
) -> Session:
    """Make the directory of a run and take the session of it, one thread at a time.

    Parameters
    ----------
    path : Path
        The run directory.
    first_files : callable
        Given the number of the attempt, returns what the run begins with.
    durability : Durability
        When all of it reaches the disk.
    overwrite, retry : bool
        What to do with an earlier run; see `Logbook`.
    """
    with _sessions.lock:
        if retry and (path / METADATA).exists():
            retry_run(path, first_files, durability, lambda: _sessions.supersede(path))
        elif overwrite:
            _sessions.supersede(path)  # its rows must not end up in the new run's files
            replace_run(path, first_files(1), durability)
        else:
            create_run(path, first_files(1), durability)
        session = Session(path, read_metadata(path), durability)
        _sessions.enter(path, session)
        return session


def resume(
    path: Path, fields: Mapping[str, Any], durability: Durability
) -> tuple[Session, dict[str, Any]]:
    """Take the session of an interrupted run, to go on with the files it left.

    Returns
    -------
    Session
        The session.
    dict
        The metadata the run now has.
    """
    with _sessions.lock:
        meta = resume_run(path, fields, durability, lambda: _sessions.supersede(path))
        session = Session(path, meta, durability)
        _sessions.enter(path, session)
        return session, meta
