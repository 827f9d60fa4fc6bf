"""Sixteen processes on one tracker, killed by SIGKILL at random instants: nothing is lost."""

import random
import subprocess
import sys
import time
import warnings
from pathlib import Path

import yaml

from holdfast import HoldfastWarning, ProcessingTracker
from holdfast.jobs import ProcessingStatus

PROGRAM = Path(__file__).parent / "hammering.py"
WORKERS = 16


def test_no_transition_that_returned_is_lost_when_its_process_is_killed(kills: int) -> None:
    chance = random.Random(7)  # noqa: S311 - a test to be repeated
    workers: dict[int, subprocess.Popen[bytes]] = {}
    for round_ in range(kills // 8 + WORKERS):
        number = round_ % WORKERS
        if number in workers:
            kill(workers[number])
            check_one(number)
        command = [sys.executable, str(PROGRAM), str(number), str(round_)]
        workers[number] = subprocess.Popen(command)
        time.sleep(chance.uniform(0.05, 0.3))
    for number, worker in workers.items():
        kill(worker)
        check_one(number)
    check_all()


def kill(worker: "subprocess.Popen[bytes]") -> None:
    assert worker.poll() is None  # it met no error of its own
    worker.kill()
    worker.wait()


def check_one(number: int) -> None:
    """The job of a dead process is where its last note says, or at the step it had begun."""
    notes = Path(f"notes-{number}")
    lines = notes.read_text().splitlines() if notes.exists() else []
    begun = [line[6:] for line in lines if line.startswith("begin")]
    ended = [line[4:] for line in lines if line.startswith("end")]
    if not ended:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HoldfastWarning)  # a torn line was never accepted
        tracker = ProcessingTracker(Path("tracker.yaml"))
        job = tracker.get_job_info(tracker.generate_job_id(f"job{number}"))
        known = tracker.jobs
    tag = job.error_message if job.status is ProcessingStatus.FAILED else job.executor_id
    assert tag in (ended[-1], begun[-1])
    assert {line[6:] for line in lines if line.startswith("added")} <= known.keys()


def check_all() -> None:
    tracker = ProcessingTracker(Path("tracker.yaml"))
    tracker.reset_stale_jobs()
    tracker.initialize_jobs([("last", "")])
    tracker.fold()
    written = yaml.safe_load(Path("tracker.yaml").read_text())["jobs"]
    found = tracker.jobs
    assert written.keys() == found.keys()
    for identity, job in found.items():
        assert written[identity]["error_message"] == job.error_message
        assert written[identity]["status"] == job.status
