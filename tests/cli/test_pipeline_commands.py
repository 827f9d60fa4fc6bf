import contextlib
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

from commands import holdfast
from helpers import HANG
from holdfast import ProcessingTracker


def test_jobs_shows_how_far_each_is() -> None:
    tracker = ProcessingTracker(Path("t.yaml"))
    first, _ = tracker.initialize_jobs([("convert", "a"), ("plot", "")])
    tracker.fail_job(first, "Traceback\nValueError: no ink")
    shown = holdfast("jobs", "t.yaml")
    assert shown.returncode == 0, shown.stderr
    assert "ValueError: no ink" in shown.stdout
    assert "2 jobs: 1 scheduled, 1 failed" in shown.stdout
    found = json.loads(holdfast("jobs", "t.yaml", "--json", "--status", "failed").stdout)
    assert found["counts"]["FAILED"] == 1
    assert [job["id"] for job in found["jobs"]] == [first]
    assert holdfast("jobs", "absent.yaml").returncode == 3
    assert holdfast("jobs", "t.yaml", "--status", "lost").returncode == 2


def test_seal_verify_and_copy() -> None:
    Path("data").mkdir()
    Path("data/a").write_text("x")
    assert holdfast("verify", "data").returncode == 3
    assert holdfast("seal", "data").returncode == 0
    assert json.loads(holdfast("verify", "data", "--json").stdout)["ok"]
    assert "2" in holdfast("copy", "data", "there").stdout
    assert holdfast("verify", "there").returncode == 0
    Path("there/a").write_text("y")
    rotten = holdfast("verify", "there")
    assert (rotten.returncode, "changed    a" in rotten.stdout) == (4, True)
    assert json.loads(holdfast("copy", "data", "there", "--json").stdout)["copied"] == 1
    assert holdfast("copy", "absent", "there").returncode == 3


def test_jobs_follows_on_a_terminal_until_no_job_is_left() -> None:
    tracker = ProcessingTracker(Path("t.yaml"))
    (job,) = tracker.initialize_jobs([("convert", "a")])
    tracker.start_job(job)
    ours, theirs = pty.openpty()
    program = "from holdfast.cli import main; main()"
    command = [sys.executable, "-c", program, "jobs", "t.yaml", "--follow", "--interval", "0.1"]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while b"running" not in shown:
        shown += os.read(ours, 4096)
    tracker.complete_job(job)
    with contextlib.suppress(OSError):  # how a terminal whose program has ended says so
        while part := os.read(ours, 4096):
            shown += part
    os.close(ours)
    assert process.wait(HANG) == 0
    assert b"1 jobs: 1 succeeded" in shown
