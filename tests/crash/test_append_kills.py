"""Appending processes killed by SIGKILL at random instants: every accepted row is in the file."""

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest

from crash.appending import LONGEST_BLOCK, NAMES, STREAMS, THREADS, late_name, rows, shared_value
from helpers import HANG
from holdfast.errors import MissingFileError
from holdfast.hdf5 import AppendReader, recover

ROUNDS_A_FILE = 8


@pytest.fixture
def killer() -> Iterator["subprocess.Popen[str]"]:
    program = Path(__file__).parent / "appending.py"
    process = subprocess.Popen(
        [sys.executable, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield process
    process.communicate(timeout=HANG)
    assert process.returncode == 0


@pytest.mark.timeout(7200)
def test_whenever_an_appending_process_is_killed_every_accepted_row_is_there_and_right(
    killer: "subprocess.Popen[str]", request: pytest.FixtureRequest
) -> None:
    kills = 10_000 if request.config.getoption("--campaign", default=False) else 100
    chance = random.Random(30)  # noqa: S311 - a test to be repeated
    counts = dict.fromkeys(STREAMS, 0)
    accepted = 0
    for number in range(kills):
        path = Path(f"{number // ROUNDS_A_FILE}.h5")
        if number % ROUNDS_A_FILE == 0:
            counts = dict.fromkeys(STREAMS, 0)
        order: dict[str, Any] = {
            "path": str(path),
            "seed": number,
            "microseconds": chance.choice([20_000, 60_000, 150_000]) * chance.random(),
            "counts": counts,
        }
        last = kill(killer, order)
        found = held(path, last)
        if chance.random() < 0.5 and any(found.values()):
            recover(path)
            with h5py.File(path, "r") as file:
                assert check(PlainFile(file), last) == found
            assert not Path(f"{path}-journal").exists()
        accepted += sum(last.values()) - sum(counts.values())
        counts = found
    assert accepted > 100 * kills  # the campaign did kill processes in the middle of their work


def kill(killer: "subprocess.Popen[str]", order: dict[str, Any]) -> dict[str, int]:
    assert killer.stdin
    assert killer.stdout
    killer.stdin.write(json.dumps(order) + "\n")
    killer.stdin.flush()
    last: dict[str, int] = json.loads(killer.stdout.readline())
    return last


def held(path: Path, last: dict[str, int]) -> dict[str, int]:
    """Check what a Holdfast reader shows of a file, and return how many rows each stream has."""
    try:
        reader = AppendReader(path)
    except MissingFileError:
        assert sum(last.values()) == 0
        return last
    assert not reader.live
    assert reader.problems == []
    return check(HoldfastFile(reader), last)


class HoldfastFile:
    def __init__(self, reader: AppendReader) -> None:
        self.reader = reader

    def rows(self, name: str) -> npt.NDArray[Any]:
        if name not in self.reader.names:
            return np.empty(0, "<i8")
        return self.reader.read(name, 0, self.reader.length(name))


class PlainFile:
    def __init__(self, file: h5py.File) -> None:
        self.file = file

    def rows(self, name: str) -> npt.NDArray[Any]:
        found: npt.NDArray[Any] = self.file[name][:] if name in self.file else np.empty(0, "<i8")
        return found


def check(file: HoldfastFile | PlainFile, last: dict[str, int]) -> dict[str, int]:
    found = {}
    for name in STREAMS:
        if name.startswith(("late", "shared")):
            continue
        content = file.rows(name)
        excess = len(content) - last[name]
        assert 0 <= excess <= (LONGEST_BLOCK if name == "block" else 1), (name, last[name], excess)
        if len(content):
            np.testing.assert_array_equal(content, rows(name, 0, len(content)), strict=True)
        found[name] = len(content)
    return {**found, **check_late(file, last["late"]), **check_shared(file, last)}


def check_late(file: HoldfastFile | PlainFile, last: int) -> dict[str, int]:
    late = [file.rows(late_name(number)).tolist() for number in range(NAMES)]
    total = sum(len(content) for content in late)
    assert total - last in (0, 1)
    assert late == [list(range(number, total, NAMES)) for number in range(NAMES)]
    return {"late": total}


def check_shared(file: HoldfastFile | PlainFile, last: dict[str, int]) -> dict[str, int]:
    """Check a stream that two threads append to: each one's rows are all there, in its order."""
    content = file.rows("shared")
    found = {}
    for thread in THREADS:
        own = content[content >> 40 == thread]
        assert len(own) - last[f"shared{thread}"] in (0, 1)
        first = shared_value(thread, 0)
        np.testing.assert_array_equal(own, np.arange(first, first + len(own)))
        found[f"shared{thread}"] = len(own)
    assert len(content) == sum(found.values())
    return found
