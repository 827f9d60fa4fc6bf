"""A folder that is moved or deleted beside a living writer: who comes after it is left alone."""

import logging
import os
import shutil
import threading
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from helpers import end, start, wait_until
from holdfast.errors import StateError
from holdfast.hdf5 import AppendFile, AppendReader, recover

APPENDING = """
    import logging, sys, time
    from holdfast.errors import StateError
    from holdfast.hdf5 import AppendFile

    logging.basicConfig(filename="said.txt", level="WARNING")
    file = AppendFile("run/x.h5", interval=0.05, journal_bytes=int(sys.argv[1]))
    number = accepted = 0
    file.append("large", [0] * 5000)
    print("ready", flush=True)
    try:
        while True:
            file.append("mine", number)
            accepted = number = number + 1
            file.append("large", [number] * 5000)
            time.sleep(0.0005)
    except StateError as error:
        print(accepted, flush=True)
    """


@pytest.mark.parametrize("journal_bytes", [1 << 28, 1 << 16], ids=["on the timer", "rotating"])
def test_a_writer_whose_folder_was_moved_leaves_the_next_writers_file_alone(
    journal_bytes: int,
) -> None:
    Path("run").mkdir()
    program = start(APPENDING, journal_bytes)
    time.sleep(0.3)
    Path("run").rename("old")
    Path("run").mkdir()
    with AppendFile("run/x.h5", interval=0.05, journal_bytes=journal_bytes) as file:
        assert program.stdout is not None
        for number in range(1000):
            file.append("yours", number)
        accepted = int(program.stdout.readline())
        for number in range(1000, 2000):
            file.append("yours", number)
        assert end(program) == 0

    assert os.listdir("run") == ["x.h5"]
    with h5py.File("run/x.h5") as plain:
        assert list(plain) == ["yours"]
        np.testing.assert_array_equal(plain["yours"][:], np.arange(2000))
    recover("old/x.h5")
    assert os.listdir("old") == ["x.h5"]
    with h5py.File("old/x.h5") as plain:
        np.testing.assert_array_equal(plain["mine"][:], np.arange(accepted))
    said = Path("said.txt").read_text(encoding="utf-8")
    assert "was moved or deleted" in said
    assert "Not in the file: " in said


def test_appending_beside_a_deleted_folder_is_refused_within_seconds() -> None:
    Path("run").mkdir()
    program = start(APPENDING, 1 << 28)
    time.sleep(0.2)
    Path("run").rename("gone")  # a listing that finds new files would make `rmtree` fail
    shutil.rmtree("gone")
    assert program.stdout is not None

    assert int(program.stdout.readline()) > 0
    assert end(program) == 0
    assert not Path("run").exists()
    assert "was moved or deleted" in Path("said.txt").read_text(encoding="utf-8")


def test_closing_a_moved_file_tells_which_rows_are_where(caplog: pytest.LogCaptureFixture) -> None:
    Path("run").mkdir()
    file = AppendFile("run/x.h5")
    for number in range(5):
        file.append("a", number)
    Path("run").rename("old")

    with caplog.at_level(logging.WARNING, "holdfast"), pytest.raises(StateError, match="5 rows of"):
        file.close()

    file.close()
    assert file.closed
    wait_until(lambda: any("was moved or deleted" in message for message in caplog.messages))
    assert not Path("run").exists()
    assert AppendReader("old/x.h5").length("a") == 5
    assert recover("old/x.h5").rows == {"a": 5}


def test_a_file_in_a_moved_folder_takes_no_more_streams_attributes_and_checkpoints() -> None:
    Path("run").mkdir()
    file = AppendFile("run/x.h5")
    file.append("a", 0)
    Path("run").rename("old")

    for call in (
        file.checkpoint,
        lambda: file.append("a", 1),
        lambda: file.append("b", 1),
        lambda: file.set_attribute("a", "units", "m"),
        file.sync,
        file.close,
    ):
        with pytest.raises(StateError, match="moved or deleted"):
            call()


def test_a_folder_moved_in_the_middle_of_a_checkpoint_is_noticed_before_it_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("run").mkdir()
    with AppendFile("run/x.h5") as file:
        file.append("a", 0)
    file = AppendFile("run/x.h5")
    file.append("a", 1)
    once = threading.Event()
    fsync = os.fsync

    def move(descriptor: int) -> None:
        if not once.is_set() and os.readlink(f"/proc/self/fd/{descriptor}").endswith("/x.h5"):
            once.set()
            Path("run").rename("old")
            Path("run/x.h5-journal").mkdir(parents=True)
            Path("run/x.h5-journal/redo").write_bytes(b"another writer's")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", move)
    with pytest.raises(StateError, match="moved or deleted"):
        file.checkpoint()
    with pytest.raises(StateError, match="1 rows of 'a'"):
        file.close()

    assert once.is_set()
    assert os.listdir("run/x.h5-journal") == ["redo"]
    assert Path("run/x.h5-journal/redo").read_bytes() == b"another writer's"
    recover("old/x.h5")
    with h5py.File("old/x.h5") as plain:
        assert plain["a"][:].tolist() == [0, 1]
