"""A crash, or a full disk, at each call that changes a tracker's files: what was accepted stays."""

import contextlib
import errno
import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.jobs import ProcessingStatus, ProcessingTracker
from holdfast.jobs import _file as tracker_file
from holdfast.testing.faults import Call, Faults, injected

STATUS = ProcessingStatus


def work(folder: Path, accepted: Callable[[dict[str, str]], None]) -> None:
    """Bring jobs forward, fold, shorten the journal, and say what was accepted."""
    tracker = ProcessingTracker(folder / "t.yaml")
    known: dict[str, str] = {}
    ids = tracker.initialize_jobs([("a", ""), ("b", "1")])
    accepted(known | dict.fromkeys(ids, "SCHEDULED"))
    known = dict.fromkeys(ids, "SCHEDULED")
    steps: list[tuple[Callable[[str], None], str]] = [
        (tracker.start_job, "RUNNING"),
        (tracker.fail_job, "FAILED"),
        (tracker.start_job, "RUNNING"),
        (tracker.complete_job, "SUCCEEDED"),
    ]
    for step, status in steps:
        for job in ids:
            step(job)
            known = known | {job: status}
            accepted(known)
            tracker.fold()
    tracker.reset_jobs(ids[:1])
    accepted(known | {ids[0]: "SCHEDULED"})


def found(folder: Path) -> dict[str, str]:
    jobs = ProcessingTracker(folder / "t.yaml").jobs
    return {identity: job.status.name for identity, job in jobs.items()}


@pytest.fixture(autouse=True)
def _short_journals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracker_file, "_MANY_LINES", 8)


def test_a_crash_before_any_call_loses_nothing_that_was_accepted(tmp_path: Path) -> None:
    live = tmp_path / "live"
    live.mkdir()
    states: list[dict[str, str]] = [{}]
    copies: list[tuple[int, Path]] = []

    def before(_: Call) -> None:
        copy = tmp_path / f"crash{len(copies)}"
        shutil.copytree(live, copy)
        copies.append((len(states), copy))

    with injected(Faults(before=before), below=live):
        work(live, states.append)
    assert len(copies) > 60
    for number, copy in copies:
        # What had been accepted, or that and the step that was under way.
        assert found(copy) in states[number - 1 : number + 1], copy
        tracker = ProcessingTracker(copy / "t.yaml")
        (job,) = tracker.initialize_jobs([("later", "")])
        tracker.complete_job(job)
        tracker.fold()
        after = found(copy)
        assert after.pop(job) == "SUCCEEDED"
        assert after in states[number - 1 : number + 1]


def failing(folder: Path, number: int, states: list[dict[str, str]]) -> bool:
    """Work with a disk that is full at one call, and return whether there was such a call."""
    faults = Faults(at=number, error=errno.ENOSPC)
    with injected(faults, below=folder), contextlib.suppress(OSError):
        work(folder, states.append)
    return len(faults.calls) > number


def test_a_disk_that_is_full_at_any_call_loses_nothing_that_was_accepted(tmp_path: Path) -> None:
    expected: list[dict[str, str]] = [{}]
    (tmp_path / "whole").mkdir()
    work(tmp_path / "whole", expected.append)
    for number in itertools.count(0, 3):
        folder = tmp_path / f"full{number}"
        folder.mkdir()
        states: list[dict[str, str]] = [{}]
        if not failing(folder, number, states):
            break
        # Of the call that failed, all or nothing is there.
        assert found(folder) in expected[len(states) - 1 : len(states) + 1], number
        work(folder, states.append)
        assert found(folder) == expected[-1], number
