"""The values: what a job is, its status, and its id."""

from dataclasses import dataclass
from enum import IntEnum

import xxhash


class ProcessingStatus(IntEnum):
    """How far a job is."""

    SCHEDULED = 0
    """Waits to be executed."""
    RUNNING = 1
    """Is being executed."""
    SUCCEEDED = 2
    """Was completed."""
    FAILED = 3
    """Met an error."""


@dataclass(slots=True)
class JobState:
    """One job and how far it is.

    Attributes
    ----------
    job_name, specifier : str
        What tells it from others.
    status : ProcessingStatus
        How far it is.
    executor_id : str or None
        Who runs or ran it: ``slurm:<job>``, ``pid:<process>``, or what the caller says.
    error_message : str or None
        Why it failed.
    started_at, completed_at : int or None
        When it was started and when it succeeded or failed, in microseconds since 1970 (UTC).
    """

    job_name: str
    specifier: str = ""
    status: ProcessingStatus = ProcessingStatus.SCHEDULED
    executor_id: str | None = None
    error_message: str | None = None
    started_at: int | None = None
    completed_at: int | None = None


@dataclass(frozen=True, slots=True)
class TrackerSummary:
    """How far a pipeline is: how many jobs there are of each status.

    `stale` are those of the running ones whose process is known to be dead.
    """

    total: int
    scheduled: int
    running: int
    succeeded: int
    failed: int
    stale: int

    @property
    def complete(self) -> bool:
        """Whether there are jobs and all have succeeded."""
        return self.total > 0 and self.succeeded == self.total

    @property
    def encountered_error(self) -> bool:
        """Whether a job has failed."""
        return self.failed > 0

    def __str__(self) -> str:
        words = ("succeeded", "running", "scheduled", "failed", "stale")
        counts = ", ".join(f"{getattr(self, w)} {w}" for w in words if getattr(self, w))
        return f"{self.total} jobs" + (f": {counts}" if counts else "")


def job_id(job_name: str, specifier: str = "") -> str:
    """Return the id of a job: the xxHash64 of ``name:specifier``, or of the name alone."""
    text = f"{job_name}:{specifier}" if specifier else job_name
    return xxhash.xxh64_hexdigest(text.encode("utf-8", "backslashreplace"))
