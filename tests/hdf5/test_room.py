"""The bound on a journal: given up early, and the writer slowed down evenly before it is met."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from helpers import wait_until
from holdfast.hdf5 import AppendFile, AppendReader, _engine, _room
from holdfast.hdf5._room import Room
from holdfast.testing.faults import Faults, injected

BOUND = 1 << 30


def test_a_quarter_of_the_bound_is_given_up_after_a_rest_and_the_bound_at_once() -> None:
    size = BOUND // 4 - 1
    room = Room(lambda: size, BOUND)
    assert not room.ask()
    size += 1
    assert room.ask()
    assert not room.ask()  # it has been asked for
    told: list[bool] = []
    room.checkpoint(told.append)
    room.wanted = False
    assert told == [True]
    assert not room.ask()  # the last one was a moment ago
    size = BOUND
    assert room.ask()


def test_a_small_bound_is_not_divided() -> None:
    room = Room(lambda: (1 << 16) - 1, 1 << 16)
    assert not room.ask()
    assert room.early == 1 << 16


def test_nobody_waits_below_the_bound_or_where_no_checkpoint_has_been_asked_for() -> None:
    size = 5 * BOUND
    room = Room(lambda: size, BOUND)
    room.wait(lambda: True)
    assert room.ask()
    room.wait(lambda: False)  # a signal handler within a call that the checkpoint waits for
    size = BOUND - 1
    room.wait(lambda: True)


@pytest.mark.parametrize("how", ["room", "failure"])
def test_at_twice_the_bound_a_writer_waits_until_there_is_room_or_no_hope_of_it(how: str) -> None:
    sizes = [2 * BOUND]
    room = Room(lambda: sizes[0], BOUND)
    assert room.ask()
    writer = threading.Thread(target=room.wait, args=(lambda: True,))
    writer.start()
    time.sleep(0.1)
    assert writer.is_alive()

    if how == "room":
        sizes[0] = BOUND
    else:
        room.wanted = False

    writer.join(timeout=150)
    assert not writer.is_alive()


def test_a_journal_is_given_up_before_its_bound_and_no_row_is_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_room, "EARLY_BYTES", 1 << 20)
    monkeypatch.setattr(_room, "EARLY_SECONDS", 0)
    rows = np.arange(60.0)[:, None, None] + np.zeros((100, 80))
    with AppendFile("x.h5", journal_bytes=4 << 20, interval=3600) as file:
        file.append("rare", 0.5)
        for row in rows[:40]:
            file.append("large", row)
        wait_until(lambda: not Path("x.h5-journal/00000001.journal").exists())
        for row in rows[40:]:
            file.append("large", row)
        reader = AppendReader("x.h5")
        assert (reader.read("large", 0, 60) == rows).all()
        assert reader.read("rare", 0, 1).tolist() == [0.5]
    assert (AppendReader("x.h5").read("large", 0, 60) == rows).all()


def test_rows_that_a_checkpoint_has_synced_are_not_synced_in_the_journal_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_engine, "SYNC_INTERVAL", 3600.0)
    with (
        injected(Faults(), below=tmp_path) as faults,
        AppendFile("x.h5", journal_bytes=1 << 18, interval=3600) as file,
    ):
        file.append("rare", 1.5)
        for number in range(20):
            file.append("large", np.full((100, 80), number, "f8"))
        file.checkpoint()
        assert not Path("x.h5-journal/00000001.journal").exists()
        assert AppendReader("x.h5").read("rare", 0, 1).tolist() == [1.5]
    synced = [Path(target).name for name, target in faults.calls if name == "fsync"]
    assert "x.h5" in synced
    assert not [name for name in synced if name.endswith(".journal")]
