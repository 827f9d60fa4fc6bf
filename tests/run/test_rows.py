"""Streams and records of a run."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from holdfast import Logbook, LogReader, StateError


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_run_keeps_streams_and_records_beside_everything_else() -> None:
    with Logbook("a") as log:
        for step in range(100):
            log.append("loss", 1 / (step + 1))
            log.log(step=step, position=np.array([step, 0.5]))
        log.extend("noise", np.zeros(7))
        log.set_attributes("loss", units="1")
        log.record("train", iteration=0, accuracy=0.5)

    run = LogReader("outputs/log_a")
    assert run.streams == ["loss", "noise", "position", "step"]
    assert run.stream("loss")[:3].tolist() == [1.0, 0.5, 1 / 3]
    assert run.stream("position").shape == (100, 2)
    assert run.stream("loss").attrs["units"] == "1"
    assert run.record_scopes == ["train"]
    assert run.records("train")[0]["accuracy"] == 0.5
    assert [path.name for path in Path("outputs/log_a/data").iterdir()] == ["streams.h5"]
    assert "loss (100 rows)" in str(run)


def test_plain_h5py_reads_the_streams_of_a_run_that_has_ended() -> None:
    with Logbook("a") as log:
        log.append("x", 1.5)

    with h5py.File("outputs/log_a/data/streams.h5") as file:
        assert file["x"][:].tolist() == [1.5]


def test_a_reader_follows_the_streams_of_a_live_run() -> None:
    with Logbook("a") as log:
        log.append("x", 1)
        stream = LogReader(log.path).stream("x")
        log.append("x", 2)

        assert stream[:].tolist() == [1, 2]


def test_a_run_without_streams_or_records_says_so() -> None:
    Logbook("a").mark_complete()

    run = LogReader("outputs/log_a")
    assert run.streams == []
    assert run.record_scopes == []
    with pytest.raises(KeyError, match="holds no streams"):
        run.stream("x")
    with pytest.raises(FileNotFoundError, match="has no table of records 'train'"):
        run.records("train")


def test_streams_end_with_their_run() -> None:
    with Logbook("a") as log:
        log.append("x", 1)

    with pytest.raises(StateError, match="has ended"):
        log.append("x", 2)
    with pytest.raises(StateError, match="has ended"):
        log.record("train", x=1)


def test_the_streams_of_a_failed_run_are_whole_too() -> None:
    def diverge() -> None:
        with Logbook("a") as log:
            log.append("x", 1)
            log.append("x", 1 // 0)

    with pytest.raises(ZeroDivisionError):
        diverge()

    assert not list(Path("outputs/log_a/data").glob("*-journal"))
    assert LogReader("outputs/log_a").stream("x")[:].tolist() == [1]


def test_a_run_written_over_in_the_same_process_gets_none_of_the_old_rows() -> None:
    old = Logbook("a")
    old.append("x", 1)
    with Logbook("a", overwrite=True) as new:
        with pytest.raises(RuntimeError):
            old.append("x", 2)
        new.append("x", 3)

    assert LogReader("outputs/log_a").stream("x")[:].tolist() == [3]


def test_names_of_streams_and_scopes_cannot_leave_the_run() -> None:
    with Logbook("a") as log:
        for name in ("../x", "/x", "a\0b", ""):
            with pytest.raises(ValueError, match="name"):
                log.append(name, 1)
            with pytest.raises(ValueError, match=r"name|scope"):
                log.record(name, x=1)


def test_a_forked_child_cannot_append(tmp_path: Path) -> None:
    with Logbook("a") as log:
        log.append("x", 1.0)
        log.record("train", x=1)
        child = os.fork()
        if child == 0:
            refused = 0
            for call in (lambda: log.append("x", 2.0), lambda: log.record("train", x=2)):
                try:
                    call()
                except StateError:
                    refused += 1
            os._exit(0 if refused == 2 else 1)
        assert os.waitpid(child, 0)[1] == 0
        log.append("x", 3.0)

    run = LogReader("outputs/log_a")
    assert run.stream("x")[:].tolist() == [1.0, 3.0]
    assert len(run.records("train")) == 1


SCRIPT = """
import itertools, sys
from holdfast import Logbook
log = Logbook("a", handle_sigterm={sigterm})
for step in itertools.count():
    log.log(step=step, loss=step / 2)
    log.record("train", step=step)
    if step == 1000:
        print("ready", flush=True)
"""


# The kill may cut the write of a row short whose save() has not returned, and readers say so.
@pytest.mark.filterwarnings("ignore:left out of the records:holdfast.errors.HoldfastWarning")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_that_was_killed_shows_every_row_and_is_made_whole(number: signal.Signals) -> None:
    script = SCRIPT.format(sigterm=number == signal.SIGTERM)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stdout.readline() == b"ready\n"
        child.send_signal(number)

    run = LogReader("outputs/log_a")
    steps = run.stream("step")[:]
    assert run.state == ("interrupted" if number == signal.SIGKILL else "failed")
    assert len(steps) > 1000
    assert steps.tolist() == list(range(len(steps)))
    assert 0 <= len(steps) - len(run.stream("loss")) <= 1
    assert 0 <= len(steps) - len(run.records("train")) <= 1

    main = "from holdfast.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", main, "recover", "outputs"],
        capture_output=True,
        text=True,
        timeout=150,
        check=True,
    )

    assert "rows brought in" in done.stdout
    with h5py.File("outputs/log_a/data/streams.h5") as file:
        assert file["step"][:].tolist() == steps.tolist()


def test_a_value_that_does_not_fit_leaves_no_stream_longer_than_the_others() -> None:
    with Logbook("a") as log:
        log.log(step=0, loss=0)

        with pytest.raises(ValueError, match="loss"):
            log.log(step=1, loss=0.5)

        assert LogReader(log.path).stream("step")[:].tolist() == [0]


def test_times_can_only_be_asked_for_with_the_first_row() -> None:
    with Logbook("a") as log:
        log.append("x", 1.0)

        with pytest.raises(ValueError, match="timestamps"):
            log.append("x", 2.0, timestamps=True)


def test_options_of_the_streams_reach_them() -> None:
    with Logbook("a", stream_options={"compression": "gzip"}) as log:
        log.append("x", 1.0)

    with h5py.File("outputs/log_a/data/streams.h5") as file:
        assert file["x"].compression == "gzip"
