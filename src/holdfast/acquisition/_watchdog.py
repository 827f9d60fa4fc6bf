"""`LoggerProcess`: the logger process as its parent sees it, started again when it dies."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path

from holdfast._process import ForkGuard
from holdfast.acquisition._format import LOGGER
from holdfast.acquisition._notice import problem
from holdfast.journal import writer_lives

_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1])['path']; "
    "from holdfast.acquisition._service import main; main()"
)
_STARTS, _WITHIN = 5, 10.0
"""How often it is started again within how many seconds, before that counts as a failure."""


class LoggerProcess:
    """A running logger process and the thread that watches it.

    Parameters
    ----------
    folder : Path
        The logger's output directory.
    poll_seconds : float
        How often it looks around.
    report : callable
        Called with each problem it has, from the watching thread.

    Raises
    ------
    OSError
        If no process can be started.

    Notes
    -----
    It is a program of its own, not a ``multiprocessing`` child, so that scripts need no
    ``if __name__ == "__main__"`` and it inherits no open files, locks or threads.
    """

    def __init__(
        self, folder: Path, poll_seconds: float, report: Callable[[OSError], None]
    ) -> None:
        self._folder, self._poll_seconds, self._report = folder, poll_seconds, report
        self._guard = ForkGuard()
        self._stopping = False
        self._started: list[float] = []
        self._process = self._start()
        self._watcher = threading.Thread(target=self._watch, name="holdfast-watchdog", daemon=True)
        self._watcher.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        if not self._guard:  # only a parent can ask for its child itself
            return writer_lives(self._folder / LOGGER)
        return self._process.poll() is None

    def _start(self) -> "subprocess.Popen[str]":
        self._started = [*self._started[-_STARTS:], time.monotonic()]
        given = {
            "folder": str(self._folder),
            "poll_seconds": self._poll_seconds,
            "parent": os.getpid(),
            "path": sys.path,
        }
        return subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, json.dumps(given)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            process_group=0,  # a Ctrl-C at the terminal is not for it
        )

    def _watch(self) -> None:
        while True:
            process = self._process
            if process.stdout is not None:
                for line in process.stdout:
                    self._report(_error_of(line))
            code = process.wait()
            if self._stopping or not self._again(code):
                return

    def _again(self, code: int) -> bool:
        recent = [t for t in self._started if time.monotonic() - t < _WITHIN]
        try:
            if len(recent) <= _STARTS:
                process = self._start()
                _close_pipes(self._process)
                self._process = process
                if self._stopping:
                    self._tell()
                return True
            met = f"the logger process died again and again, last with code {code}"
        except OSError as error:
            met = f"the logger process died and cannot be started again: {error.strerror}"
        self._report(OSError(f"{met}; messages are kept, but not brought to the disk itself"))
        return False

    def stop(self) -> None:
        """Let it do its last round, and wait for its end."""
        if not self._guard:
            return  # a forked child of its parent
        self._stopping = True
        self._tell()
        self._watcher.join()
        self._process.wait()
        _close_pipes(self._process)

    def _tell(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # it is dead already
            if self._process.stdin is not None:
                self._process.stdin.write("stop\n")
                self._process.stdin.flush()


def _close_pipes(process: "subprocess.Popen[str]") -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def _error_of(line: str) -> OSError:
    try:
        found = json.loads(line)
        text = f"{found['text']}; what was put is kept, but may not survive a power loss"
        return problem(found["errno"], text, found["file"])
    except (ValueError, KeyError, TypeError):
        return OSError(f"the logger process said {line.strip()[:200]!r}")


def stopped_at_exit(owner: object, process: LoggerProcess) -> "weakref.finalize[..., object]":
    """Stop the process when its owner goes, at the end of the program at the latest."""
    return weakref.finalize(owner, process.stop)
