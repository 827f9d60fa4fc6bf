"""When tracker files are brought up to date: in the background, and at the exit of a process."""

import _thread
import atexit
import math
import os
import sys
import threading
import time
from pathlib import Path

from holdfast._logging import log
from holdfast._sync import Durability, drain
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

SYNC_SECONDS = 0.3
"""How long a journal waits until it is handed to the thread that syncs, which itself gathers."""

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


class _Background:
    """The thread that syncs journals and folds, and what it has to do."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew, as a forked child must: what is pending is its parent's work."""
        self._wake = threading.Condition()
        self._folds: dict[TrackerFile, tuple[float, bool]] = {}
        self._journals: set[Path] = set()
        self._sync_at = self._awake_at = math.inf
        self._running = self._hooked = False

    def after(self, file: TrackerFile, header: Header) -> None:
        now = time.monotonic()
        due = now + delay(header, time.time())
        at_exit = not header.open_jobs or _cost(header) < CHEAP_SECONDS
        with self._wake:
            self._folds[file] = due, at_exit
            self._journals.add(file.journal)
            self._sync_at = min(self._sync_at, now + SYNC_SECONDS)
            self._hook()
            if not self._running:
                self._start()
            elif min(due, self._sync_at) < self._awake_at:
                self._wake.notify()

    def _start(self) -> None:
        # Not a threading.Thread, whose start waits until the thread has run: a large part of what
        # the only transition of a process takes.
        try:
            _thread.start_new_thread(self._run, ())
            self._running = True
        except RuntimeError:  # no thread to be had: the exit does the work
            pass

    def _hook(self) -> None:
        # The workers of multiprocessing leave without the calls of atexit.
        util = sys.modules.get("multiprocessing.util")
        if util is not None and not self._hooked:
            util.Finalize(None, self._leave, exitpriority=1)
        self._hooked = True

    def _leave(self) -> None:
        self.finish()
        drain()

    def _run(self) -> None:
        while True:
            with self._wake:
                self._awake_at = min([self._sync_at, *(at for at, _ in self._folds.values())])
                now = time.monotonic()
                if self._awake_at > now:
                    self._wake.wait(min(self._awake_at - now, threading.TIMEOUT_MAX))
                    continue
                due = [file for file, (at, _) in self._folds.items() if at <= now]
                for file in due:
                    del self._folds[file]
                if self._sync_at <= now:
                    self._sync()
            for file in due:
                _fold(file, Gently())

    def _sync(self) -> None:
        durability = Durability()
        for journal in self._journals:
            durability.changed(journal)
        self._journals, self._sync_at = set(), math.inf

    def finish(self) -> None:
        """Fold what is due or costs little; the exit syncs."""
        with self._wake:
            pending, self._folds = self._folds, {}
            self._sync()
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


_background = _Background()
atexit.register(_background.finish)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_background.reset)

after = _background.after
"""Call after a transition, with the header it left."""
