"""What can be asked of a tracker: no lock is taken for it, and no file made."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar, cast

from holdfast.config import YamlConfig
from holdfast.errors import InvalidInputError
from holdfast.jobs._executor import is_dead
from holdfast.jobs._file import TrackerFile
from holdfast.jobs._index import count
from holdfast.jobs._journal import Replayed
from holdfast.jobs._state import JobState, ProcessingStatus, TrackerSummary

P = ParamSpec("P")
R = TypeVar("R")


def _looking(
    method: "Callable[Concatenate[Queries, P], R]",
) -> "Callable[Concatenate[Queries, P], R]":
    """Keep other threads from bringing the jobs up to date while a method looks at them."""

    @functools.wraps(method)
    def guarded(self: "Queries", *args: P.args, **kwargs: P.kwargs) -> R:
        with self._file.guard:
            return method(self, *args, **kwargs)

    return cast("Callable[Concatenate[Queries, P], R]", guarded)


class Queries(YamlConfig):
    """The part of a tracker that only looks."""

    file_path: Path
    _file: TrackerFile
    _given: dict[str, JobState]

    @property
    @_looking
    def jobs(self) -> dict[str, JobState]:
        """The jobs by id, as of now; changing them changes nothing in the file."""
        found = self._state().jobs if self.file_path.exists() else self._given
        return {identity: dataclasses.replace(job) for identity, job in found.items()}

    @property
    @_looking
    def complete(self) -> bool:
        """Whether there are jobs and all have succeeded."""
        jobs = self._state().jobs
        return bool(jobs) and count(jobs.values())[ProcessingStatus.SUCCEEDED] == len(jobs)

    @property
    @_looking
    def encountered_error(self) -> bool:
        """Whether a job has failed."""
        return count(self._state().jobs.values())[ProcessingStatus.FAILED] > 0

    @_looking
    def get_job_info(self, job_id: str) -> JobState:
        """Return everything that is known of a job.

        Raises
        ------
        InvalidInputError
            If there is no such job.
        """
        job = self._state().jobs.get(job_id)
        if job is None:
            raise self._file.unknown(job_id)
        return dataclasses.replace(job)

    def get_job_status(self, job_id: str) -> ProcessingStatus:
        """Return the status of a job.

        Raises
        ------
        InvalidInputError
            If there is no such job.
        """
        return self.get_job_info(job_id).status

    @_looking
    def get_jobs_by_status(self, status: ProcessingStatus | str) -> list[str]:
        """Return the ids of the jobs with a status, named in either case: ``"failed"``.

        Raises
        ------
        InvalidInputError
            If there is no such status.
        """
        wanted = _status(status)
        return [identity for identity, job in self._state().jobs.items() if job.status is wanted]

    @_looking
    def get_summary(self) -> dict[ProcessingStatus, int]:
        """Return how many jobs there are of each status."""
        counts = count(self._state().jobs.values())
        return {status: counts[status] for status in ProcessingStatus}

    @_looking
    def summarize(self) -> TrackerSummary:
        """Return how far the pipeline is, in numbers, with the running jobs that are stale."""
        jobs = self._state().jobs
        return TrackerSummary(len(jobs), *count(jobs.values()), stale=len(self.stale_jobs()))

    @_looking
    def find_jobs(
        self, job_name: str | None = None, specifier: str | None = None
    ) -> dict[str, tuple[str, str]]:
        """Return names and specifiers, by id, of the jobs whose name and specifier contain these.

        Raises
        ------
        InvalidInputError
            If neither is given.
        """
        if job_name is None and specifier is None:
            raise InvalidInputError("pass a part of the job_name, of the specifier, or of both")
        return {
            identity: (job.job_name, job.specifier)
            for identity, job in self._state().jobs.items()
            if (job_name or "") in job.job_name and (specifier or "") in job.specifier
        }

    @_looking
    def stale_jobs(self) -> list[str]:
        """Return the ids of running jobs whose process is known to be dead.

        That is known of this host's processes, and of SLURM's jobs where ``squeue`` can be asked. A
        job whose executor was named by the caller is never taken for stale, other than by SLURM.
        """
        return stale(self._state())

    def _state(self) -> Replayed:
        return self._file.read()


def _status(status: ProcessingStatus | str | int) -> ProcessingStatus:
    try:
        if isinstance(status, str):
            return ProcessingStatus[status.upper()]
        return ProcessingStatus(status)
    except (KeyError, ValueError):
        names = ", ".join(found.name for found in ProcessingStatus)
        raise InvalidInputError(f"there is no status {status!r}; choose one of {names}") from None


def stale(state: Replayed) -> list[str]:
    """Return the ids of the running jobs whose process is known to be dead."""
    return [
        identity
        for identity, job in state.jobs.items()
        if job.status is ProcessingStatus.RUNNING
        and is_dead(job.executor_id, state.processes.get(identity))
    ]
