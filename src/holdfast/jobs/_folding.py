"""When tracker files are brought up to date: in the background, and at the exit of a process."""

import atexit
import os
import sys
import threading
import time

from holdfast._logging import log
from holdfast.errors import HoldfastError
from holdfast.jobs._file import TrackerFile
from holdfast.jobs._index import Header
from holdfast.jobs._pace import Gently, Pace, at_once

INTERVAL_SECONDS = 1.0
"""How old the tracker file may get while a process of the pipeline lives, at least."""

SHARE = 20
"""A fold may take one part in so many of a process's time."""

JOB_SECONDS = 1e-5
"""What one job adds to a fold, at least."""

CHEAP_SECONDS = 0.05
"""A fold that took no longer than this is made at every exit."""


def delay(header: Header, now: float) -> float:
    """Return in how many seconds the tracker file should be brought up to date."""
    if not header.open_jobs:
        return 0.0
    interval = max(INTERVAL_SECONDS, SHARE * _cost(header))
    return min(max(0.0, header.folded_at + interval - now), interval)


def _cost(header: Header) -> float:
    """Return how long a fold takes, at least about; the first of a tracker had nothing to do."""
    return max(header.fold_seconds, sum(header.counts) * JOB_SECONDS)


class _Folder:
    """The thread that folds, and what it has to fold."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew, as a forked child must: what is pending is its parent's work."""
        self._wake = threading.Condition()
        self._pending: dict[TrackerFile, tuple[float, bool]] = {}
        self._thread: threading.Thread | None = None
        self._hooked = False

    def after(self, file: TrackerFile, header: Header) -> None:
        due = time.monotonic() + delay(header, time.time())
        at_exit = not header.open_jobs or _cost(header) < CHEAP_SECONDS
        with self._wake:
            self._pending[file] = due, at_exit
            self._hook()
            if self._thread is None:
                self._start()
            self._wake.notify()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="holdfast-fold", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # no thread to be had: the exit folds
            self._thread = None

    def _hook(self) -> None:
        # The workers of multiprocessing leave without the calls of atexit.
        util = sys.modules.get("multiprocessing.util")
        if util is not None and not self._hooked:
            util.Finalize(None, self.finish, exitpriority=1)
        self._hooked = True

    def _run(self) -> None:
        while True:
            with self._wake:
                now = time.monotonic()
                due = [file for file, (at, _) in self._pending.items() if at <= now]
                if not due:
                    at = min((at for at, _ in self._pending.values()), default=now + 3600)
                    self._wake.wait(at - now)
                    continue
                for file in due:
                    del self._pending[file]
            for file in due:
                _fold(file, Gently())

    def finish(self) -> None:
        """Fold what is due or costs little."""
        with self._wake:
            pending, self._pending = self._pending, {}
        now = time.monotonic()
        for file, (at, at_exit) in pending.items():
            if at_exit or at <= now:
                _fold(file)


def _fold(file: TrackerFile, pace: Pace = at_once) -> None:
    try:
        file.fold(pace)
    except (HoldfastError, OSError) as error:
        # The journal has everything; the next transition of any process brings the next fold.
        log.warning("%s could not be brought up to date: %s", file.path, error)


_folder = _Folder()
atexit.register(_folder.finish)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_folder.reset)

after = _folder.after
"""Call after a transition, with the header it left."""
