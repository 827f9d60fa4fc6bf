"""`ProcessingTracker`, the pipeline as all its processes see it."""

import dataclasses
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from holdfast._atomic import replace_bytes
from holdfast._sync import Durability
from holdfast.errors import InvalidInputError, MissingFileError, StateError
from holdfast.jobs import _folding
from holdfast.jobs._executor import executor_id as this_executor
from holdfast.jobs._executor import process
from holdfast.jobs._file import TrackerFile
from holdfast.jobs._journal import Replayed
from holdfast.jobs._queries import Queries, stale
from holdfast.jobs._render import parse, render
from holdfast.jobs._state import JobState, ProcessingStatus, job_id

_SUFFIXES = (".yaml", ".yml")


class ProcessingTracker(Queries):
    """How far the jobs of a pipeline are, in a file that its processes share, on any host.

    A transition is kept when its call has returned, whatever is killed afterwards, and costs the
    same for a few jobs and for a hundred thousand. It is appended to ``<file>.journal``; the YAML
    file, for people and other tools, follows within a second (with very many jobs: within twenty
    times what writing it takes) while a process of the pipeline lives, and at once when no job is
    left. The properties and methods here always see the present state. Those that only look take no
    lock and make no file.

    Parameters
    ----------
    file_path : Path
        The tracker file, ``.yaml`` or ``.yml``.
    jobs : dict of str to JobState, optional
        Jobs by id, for a tracker that is saved with `to_yaml`; an existing file has its own.

    Raises
    ------
    InvalidInputError
        If `file_path` has another suffix.

    Examples
    --------
    >>> from pathlib import Path
    >>> tracker = ProcessingTracker(Path("tracker.yaml"))
    >>> first, second = tracker.initialize_jobs([("convert", "a"), ("convert", "b")])
    >>> with tracker.run_job(first):
    ...     pass
    >>> print(tracker.summarize())
    2 jobs: 1 succeeded, 1 scheduled
    """

    def __init__(self, file_path: Path, jobs: dict[str, JobState] | None = None) -> None:
        self.file_path = Path(file_path)
        if self.file_path.suffix not in _SUFFIXES:
            raise InvalidInputError(f"{file_path} does not end in .yaml or .yml; rename it")
        self._given = jobs or {}
        self._file = TrackerFile(self.file_path)

    @property
    def lock_path(self) -> str:
        """The file whose lock every change takes."""
        return str(self._file.lock_path)

    @staticmethod
    def generate_job_id(job_name: str, specifier: str = "") -> str:
        """Return the id of a job: the xxHash64 of ``name:specifier`` in 16 hexadecimal digits."""
        return job_id(job_name, specifier)

    def initialize_jobs(self, jobs: Iterable[tuple[str, str]]) -> list[str]:
        """Add jobs that are not there yet; those that are there keep their state.

        Parameters
        ----------
        jobs : iterable of (str, str)
            Names and specifiers; an empty specifier for a job that needs none.

        Returns
        -------
        list of str
            The id of each.

        Raises
        ------
        InvalidInputError
            If a name is empty or holds a colon, which parts it from the specifier.
        LockedError
            If the lock cannot be had in ten seconds.
        OSError
            If the disk is full.
        """
        ids, header = self._file.add([_checked(job) for job in jobs])
        _folding.after(self._file, header)
        return ids

    def start_job(self, job_id: str, executor_id: str | None = None) -> None:
        """Mark a job as running; what an earlier attempt left is cleared.

        Parameters
        ----------
        job_id : str
            The job.
        executor_id : str, optional
            Who runs it; by default ``slurm:<job>`` within SLURM, ``pid:<process>`` elsewhere.

        Raises
        ------
        LockedError
            If the lock cannot be had in ten seconds.
        InvalidInputError
            If there is no such job.
        OSError
            If the disk is full; the job keeps its state.
        """
        executor = this_executor() if executor_id is None else _text(executor_id)
        # The process of a caller's own name may be anywhere: it is no sign of who is alive.
        who = process() if executor_id is None else None
        self._change(job_id, "start", executor=executor, at=_now(), process=who)

    def complete_job(self, job_id: str) -> None:
        """Mark a job as succeeded.

        Raises
        ------
        LockedError, InvalidInputError, OSError
            As `start_job` does.
        """
        self._change(job_id, "succeed", at=_now())

    def fail_job(self, job_id: str, error_message: str | None = None) -> None:
        """Mark a job as failed.

        Parameters
        ----------
        job_id : str
            The job.
        error_message : str, optional
            Why; of any length.

        Raises
        ------
        LockedError, InvalidInputError, OSError
            As `start_job` does.
        """
        error = None if error_message is None else _text(error_message)
        self._change(job_id, "fail", at=_now(), error=error)

    @contextmanager
    def run_job(self, job_id: str, executor_id: str | None = None) -> Iterator[None]:
        """Run the block as a job: started before it, then succeeded, or failed with its traceback.

        Raises
        ------
        BaseException
            Whatever the block raises, an interrupt included, after the job was marked.
        LockedError, InvalidInputError, OSError
            As `start_job` does.
        """
        self.start_job(job_id, executor_id)
        try:
            yield
        except BaseException:
            self.fail_job(job_id, traceback.format_exc())
            raise
        self.complete_job(job_id)

    def reset_stale_jobs(self) -> list[str]:
        """Set the jobs back to scheduled whose process is known to be dead, and return their ids.

        Raises
        ------
        LockedError, OSError
            As `start_job` does.
        """
        return self._choose(stale)

    def retry_failed_jobs(self) -> list[str]:
        """Set all failed jobs back to scheduled, without their messages, and return their ids.

        Raises
        ------
        LockedError, OSError
            As `start_job` does.
        """
        return self._choose(_failed)

    def reset_jobs(self, job_ids: Iterable[str]) -> list[str]:
        """Set these jobs back to scheduled.

        Raises
        ------
        InvalidInputError
            If one of them is not there; none is then changed.
        LockedError, OSError
            As `start_job` does.
        """
        wanted = list(job_ids)

        def choose(state: Replayed) -> list[str]:
            for identity in wanted:
                if identity not in state.jobs:
                    raise self._file.unknown(identity)
            return wanted

        return self._choose(choose)

    def reset(self) -> None:
        """Leave the tracker without jobs.

        Raises
        ------
        LockedError, OSError
            As `start_job` does.
        """
        self._file.clear()

    def fold(self) -> None:
        """Bring the YAML file up to date now, which otherwise happens in the background.

        Raises
        ------
        LockedError, OSError
            If it cannot be written; nothing is lost.
        """
        self._file.fold()

    def to_dict(self) -> dict[str, Any]:
        """Return the tracker file as plain data."""
        jobs = {
            identity: {**dataclasses.asdict(job), "status": int(job.status)}
            for identity, job in self.jobs.items()
        }
        return {"file_path": ".", "jobs": jobs, "lock_path": ""}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:  # noqa: ARG003 - refused
        """Not for trackers, which belong to a file: use `from_yaml`.

        Raises
        ------
        StateError
            Always.
        """
        raise StateError(f"a {cls.__name__} belongs to a file; use from_yaml()")

    def to_yaml(self, file_path: Path, *, comments: bool = False) -> None:
        """Write the present state as a tracker file of its own, or bring its own up to date.

        Parameters
        ----------
        file_path : Path
            The file, ``.yaml`` or ``.yml``.
        comments : bool
            A tracker file has none; false.

        Raises
        ------
        InvalidInputError
            If the suffix is another one, or comments are asked for.
        """
        path = Path(file_path)
        if path.suffix not in _SUFFIXES or comments:
            raise InvalidInputError(f"{path}: a tracker file ends in .yaml and has no comments")
        if path.absolute() != self.file_path.absolute():
            replace_bytes(path, render(self.jobs), Durability())
        elif self.file_path.exists():
            self.fold()
        else:
            self._file.replace(Replayed(dict(self._given)))

    @classmethod
    def from_yaml(cls, file_path: Path) -> Self:
        """Return the tracker of a file, this one's or the original's.

        Raises
        ------
        MissingFileError
            If there is no such file.
        InvalidInputError
            If the suffix is not ``.yaml`` or ``.yml``.
        FormatError
            If it is no tracker file.
        """
        tracker = cls(file_path)
        if not tracker.file_path.exists():
            raise MissingFileError(f"{file_path} does not exist; initialize_jobs() makes one")
        parse(tracker.file_path.read_bytes(), str(file_path))
        return tracker

    def _change(self, identity: str, operation: str, **fields: Any) -> None:
        header = self._file.change(identity, operation, **fields)
        _folding.after(self._file, header)

    def _choose(self, choose: Callable[[Replayed], list[str]]) -> list[str]:
        ids, header = self._file.choose(choose)
        if ids and header is not None:
            _folding.after(self._file, header)
        return ids

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.file_path, self._given)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.file_path)!r})"


def _now() -> int:
    return time.time_ns() // 1000


def _text(value: str) -> str:
    """Return text that UTF-8 can hold."""
    return str(value).encode("utf-8", "backslashreplace").decode()


def _checked(job: Any) -> tuple[str, str]:
    parts = tuple(job) if isinstance(job, tuple | list) else ()
    if len(parts) not in (1, 2) or not all(isinstance(part, str) for part in parts):
        raise InvalidInputError(f"a job is (name, specifier), both text: {job!r}")
    job_name, specifier = (*parts, "")[:2]
    if not job_name or ":" in job_name:
        raise InvalidInputError(
            f"the job name {job_name!r} {'holds a colon' if job_name else 'is empty'}; choose "
            "another, and put what varies into the specifier"
        )
    return _text(job_name), _text(specifier)


def _failed(state: Replayed) -> list[str]:
    return [i for i, job in state.jobs.items() if job.status is ProcessingStatus.FAILED]
