"""`Runs`, the run directories of one experiment: found by parameters, and what became of each."""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from holdfast.run import SIGTERM_REASON, LogReader, run_folder, state_of
from holdfast.sweeps._grid import Params, as_params
from holdfast.sweeps._ids import holds, run_id


class Ending(NamedTuple):
    """What became of a run, as it is at one moment.

    Attributes
    ----------
    began : str
        When its present attempt began.
    state : str
        running, interrupted, complete, failed, or unreadable if its metadata are damaged.
    reason : str or None
        Why it failed, or what is damaged.
    """

    began: str
    state: str
    reason: str | None = None

    @property
    def was_stopped(self) -> bool:
        """Whether Ctrl-C or SIGTERM ended the run: it says ``failed``, but nothing in it did."""
        kind = (self.reason or "").partition(":")[0]
        return self.state == "failed" and (
            self.reason == SIGTERM_REASON or kind == KeyboardInterrupt.__name__
        )

    def is_retried(self, states: Collection[str]) -> bool:
        """Whether the run is made anew by whoever retries `states`."""
        return self.state in states or (self.was_stopped and "interrupted" in states)


def ending_of(run: LogReader) -> Ending:
    """Return what became of a run.

    Raises
    ------
    FormatError, OSError
        If its metadata cannot be read.
    """
    meta = run.meta
    state = state_of(run.path, meta)
    if state == "failed" and meta["status"] != "failed":  # it was running when they were read
        meta = run.meta
    reason = str(meta.get("failure_reason", "")) if state == "failed" else None
    return Ending(str(meta.get("start_time")), state, reason)


@dataclass(frozen=True, slots=True)
class Runs:
    """The folder ``runs/`` of an experiment.

    Attributes
    ----------
    experiment : str
        The experiment's name, with which run ids begin.
    folder : Path
        The folder.
    """

    experiment: str
    folder: Path

    def find(self, plain: Params) -> tuple[str, LogReader | None]:
        """Return the run of parameters and its id; without such a run, an id that is free."""
        readable, hashed = (run_id(self.experiment, plain, hashed=h) for h in (False, True))
        taken = self._exists(readable)
        if taken and (readable == hashed or _is_of(self.at(readable), plain)):
            return readable, self.at(readable)
        if self._exists(hashed):
            return hashed, self.at(hashed)
        return (hashed if taken else readable), None

    def at(self, name: str) -> LogReader:
        """Return the run of an id."""
        return LogReader(self.folder / run_folder(name))

    def look(self, name: str) -> Ending | None:
        """Return what became of a run, None if there is none; damage is told, not raised."""
        if not self._exists(name):
            return None
        try:
            return ending_of(self.at(name))
        except (ValueError, OSError) as error:
            return Ending("", "unreadable", str(error))

    def in_the_way(self, name: str) -> str:
        """Say what stands where a run was to be made, and what can be done."""
        run = self.at(name)
        found = ending_of(run)
        skip = "pass skip_existing=True to go on without it"
        what = f"experiment {self.experiment!r} has run {name} already"
        if found.state == "running":
            return f"{what} (running{_where(run.meta)}); {skip}, or wait for its end"
        remedies = [state for state in ("failed", "interrupted") if found.is_retried([state])]
        again = f", or retry={remedies[-1]!r} to make it anew" if remedies else ""
        return f"{what} ({found.state}); {skip}{again}"

    def _exists(self, name: str) -> bool:
        return os.path.lexists(self.folder / run_folder(name))


def _is_of(run: LogReader, plain: Params) -> bool:
    stored = as_params(run.params)
    # A run that is being made anew has no parameters for a moment, or longer after a kill.
    return holds(stored, plain) or (not stored and (run.path / "attempts").is_dir())


def _where(meta: Mapping[str, Any]) -> str:
    environment = meta.get("environment")
    if not isinstance(environment, Mapping) or "pid" not in environment:
        return ""
    return f" in process {environment['pid']} on {environment.get('host', 'an unknown host')}"
