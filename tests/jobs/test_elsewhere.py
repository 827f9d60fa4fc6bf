"""Trackers with very many jobs, with another tool, on another host, and with a clock that steps."""

import dataclasses
import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from helpers import output
from holdfast.jobs import ProcessingStatus, ProcessingTracker

FILE = Path("tracker.yaml")

JOBS = [("process_data", ""), ("process_data", "batch_101"), ("plot", "a")]


@pytest.fixture
def tracker() -> ProcessingTracker:
    made = ProcessingTracker(FILE)
    made.initialize_jobs(JOBS)
    return made


def test_a_hundred_thousand_jobs_are_not_read_for_one_transition(
    tracker: ProcessingTracker,
) -> None:
    ids = tracker.initialize_jobs([("many", str(n)) for n in range(100_000)])
    read = output(
        """
        import sys
        from pathlib import Path
        from holdfast import ProcessingTracker
        tracker = ProcessingTracker(Path("tracker.yaml"))
        begun = int(Path("/proc/self/io").read_text().split()[1])
        tracker.start_job(sys.argv[1])
        print(int(Path("/proc/self/io").read_text().split()[1]) - begun)
        """,
        ids[77_777],
    )
    assert int(read) < 100_000  # the journal alone has ten million
    assert tracker.get_job_status(ids[77_777]) is ProcessingStatus.RUNNING
    assert tracker.get_summary()[ProcessingStatus.SCHEDULED] == 100_002


@dataclass
class TheirJob:
    """The original's, as its document has it."""

    job_name: str
    specifier: str = ""
    status: ProcessingStatus = ProcessingStatus.SCHEDULED
    executor_id: str | None = None
    error_message: str | None = None
    started_at: int | None = None
    completed_at: int | None = None


def test_the_file_loads_as_the_original_loads_its_own(tracker: ProcessingTracker) -> None:
    first, second, _ = tracker.initialize_jobs(JOBS)
    tracker.start_job(first, "123")
    tracker.fail_job(second, 'Traceback:\n  File "x": no\n')
    tracker.fold()
    loaded = yaml.safe_load(FILE.read_text())
    assert list(loaded) == ["file_path", "jobs", "lock_path"]
    assert all(type(identity) is str for identity in loaded["jobs"])
    theirs = {identity: TheirJob(**fields) for identity, fields in loaded["jobs"].items()}
    for job in theirs.values():
        assert ProcessingStatus(job.status) == job.status
    assert {i: dataclasses.asdict(job) for i, job in theirs.items()} == {
        i: dataclasses.asdict(job) for i, job in tracker.jobs.items()
    }


def test_a_job_of_another_host_is_not_taken_for_dead(tracker: ProcessingTracker) -> None:
    first, second, _ = tracker.initialize_jobs(JOBS)
    program = """
        import os, sys, signal
        from pathlib import Path
        from holdfast import ProcessingTracker
        ProcessingTracker(Path("tracker.yaml")).start_job(sys.argv[1])
        os.kill(os.getpid(), signal.SIGKILL)
        """
    elsewhere = ["unshare", "--pid", "--uts", "--fork", "sh", "-c", 'hostname other; "$@"', "sh"]
    done = subprocess.run(
        [*elsewhere, sys.executable, "-c", textwrap.dedent(program), first],
        capture_output=True,
        text=True,
        check=False,
    )
    if "Operation not permitted" in done.stderr or tracker.get_job_status(first) == 0:
        pytest.skip(f"namespaces are not permitted here: {done.stderr}")
    tracker.start_job(second)
    assert tracker.stale_jobs() == []
    tracker.complete_job(first)
    assert tracker.get_job_status(first) is ProcessingStatus.SUCCEEDED


def test_a_clock_that_steps_back_changes_no_order(tracker: ProcessingTracker) -> None:
    job = tracker.initialize_jobs(JOBS)[0]
    tracker.complete_job(job)
    tracker.fold()
    os.utime(FILE, (1, 1))  # as after a step of a file server's clock
    tracker.start_job(job)
    assert ProcessingTracker(FILE).get_job_status(job) is ProcessingStatus.RUNNING
