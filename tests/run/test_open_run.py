"""Runs in folders that a store names: new, retried, resumed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import python
from holdfast import LogReader
from holdfast.errors import AlreadyExistsError, InvalidInputError, StateError
from holdfast.run import open_run

KILLED = """
import os, signal, sys
from pathlib import Path
from holdfast.run import open_run
log = open_run(Path("walk-1"), params={"x": 1}, fields={"task": {"name": "walk"}})
for step in range(5):
    log.append("x", float(step))
    log.record("steps", step=step)
log.array("half", [1, 2])
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(folder: Path) -> Path:
    assert python(KILLED, cwd=folder).returncode == -signal.SIGKILL
    return folder / "walk-1"


def test_a_run_in_a_folder_of_any_name_is_read_like_every_run(tmp_path: Path) -> None:
    with open_run(tmp_path / "walk-1", params={"x": 1}, fields={"task": {"name": "walk"}}) as log:
        assert not log.resumed
    run = LogReader(tmp_path / "walk-1")
    assert run.run_id == "walk-1"
    assert run.state == "complete"
    assert run.params == {"x": 1}
    assert run.meta["task"] == {"name": "walk"}
    with pytest.raises(AlreadyExistsError):
        open_run(tmp_path / "walk-1")


def test_the_fields_a_run_began_with_are_not_the_users_to_change(tmp_path: Path) -> None:
    log = open_run(tmp_path / "walk-1", fields={"task": {"name": "walk"}})
    with pytest.raises(InvalidInputError, match="'task'"):
        log.meta(task="mine")
    log.meta(other="mine")
    assert LogReader(log.path).meta["task"] == {"name": "walk"}


def test_an_interrupted_run_goes_on_with_all_its_files(tmp_path: Path) -> None:
    path = killed(tmp_path)
    before = LogReader(path).meta
    with open_run(path, "resume", fields={"task": {"name": "walk", "more": 1}}) as log:
        assert log.resumed
        assert log.params() == {"x": 1}
        for step in range(len(LogReader(path).stream("x")), 8):
            log.append("x", float(step))
            log.record("steps", step=step)

    run = LogReader(path)
    assert run.state == "complete"
    assert run.stream("x")[:].tolist() == [float(step) for step in range(8)]
    assert [row["step"] for row in run.records("steps")] == list(range(8))
    assert run.load_array("half").tolist() == [1, 2]
    assert run.meta["start_time"] == before["start_time"]
    assert run.meta["attempt"] == 1
    assert run.meta["environment"]["pid"] == os.getpid()
    assert run.meta["task"]["more"] == 1
    messages = [line.message for line in run.log_lines()]
    assert messages[0] == "run walk-1 started"
    assert "run walk-1 resumed" in messages
    assert not run.attempts


def test_a_log_whose_last_line_is_torn_is_ended_before_the_run_goes_on(tmp_path: Path) -> None:
    path = killed(tmp_path)
    with (path / "log.txt").open("ab") as file:
        file.write(b"[2024-01-01T00:00:00] INFO to")
    open_run(path, "resume").mark_complete()
    lines = (path / "log.txt").read_text().splitlines()
    assert any(line.endswith("INFO to") for line in lines)
    assert lines[-1].endswith("run complete")


@pytest.mark.parametrize("ending", ["mark_complete", "mark_failed"])
def test_a_run_that_has_ended_is_not_resumed(tmp_path: Path, ending: str) -> None:
    getattr(open_run(tmp_path / "walk-1"), ending)()
    with pytest.raises(StateError, match="only an interrupted run is resumed"):
        open_run(tmp_path / "walk-1", "resume")


def test_a_writer_that_was_taken_for_dead_stops_writing(tmp_path: Path) -> None:
    """The old writer lives, but its metadata name a dead process, as if seen from elsewhere."""
    log = open_run(tmp_path / "walk-1")
    meta = json.loads((log.path / "metadata.json").read_bytes())
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    meta["environment"]["pid"] = dead.pid
    (log.path / "metadata.json").write_text(json.dumps(meta))
    resume = "from pathlib import Path; from holdfast.run import open_run; "
    done = python(resume + "open_run(Path('walk-1'), 'resume').mark_complete()", cwd=tmp_path)
    assert done.returncode == 0, done.stderr

    with pytest.raises(StateError, match="was replaced"):
        log.info("I am back")
    with pytest.raises(StateError, match="was replaced"):
        log.mark_failed("late")
    assert LogReader(log.path).state == "complete"


def test_a_retried_run_keeps_its_fields_in_both_attempts(tmp_path: Path) -> None:
    path = tmp_path / "walk-1"
    open_run(path, fields={"task": 1}).mark_failed("as planned")
    open_run(path, "retry", fields={"task": 2}).mark_complete()
    run = LogReader(path)
    assert run.meta["task"] == 2
    assert run.meta["attempt"] == 2
    assert [attempt.meta["task"] for attempt in run.attempts] == [1]
