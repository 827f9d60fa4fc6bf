"""Streams and records of format version 1 always open, read, and recover."""

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from helpers import contents
from holdfast import LogReader
from holdfast.hdf5 import recover

FORMAT_1 = Path(__file__).parents[1] / "data" / "format_1"
ROWS = 40


def check_rows(run: LogReader) -> None:
    assert run.streams == ["deep/label", "loss", "position"]
    np.testing.assert_array_equal(run.stream("loss").to_numpy(), np.arange(ROWS) / 4)
    assert run.stream("loss").attrs["units"] == "J"
    positions = np.arange(ROWS, dtype=np.int32)[:, None] + np.arange(3, dtype=np.int32)
    np.testing.assert_array_equal(run.stream("position")[:], positions, strict=True)
    times = run.stream("position").times
    assert times is not None
    assert len(times[:]) == ROWS
    assert run.stream("deep/label")[:].tolist() == [b"step %02d" % n for n in range(ROWS)]
    rows = [row for row in run.records("train") if row["iteration"] >= 0]
    assert [row["iteration"] for row in rows] == list(range(ROWS))
    assert [row["error"] for row in rows] == [1 / (n + 1) for n in range(ROWS)]
    assert run.records("train").select(iteration=-1)[0]["note"] == "half of it"
    assert run.records("train").problems == []


def check_plain(path: Path) -> None:
    with h5py.File(path / "data" / "streams.h5") as file:
        np.testing.assert_array_equal(file["loss"][:], np.arange(ROWS) / 4)
        assert file["position"].shape == (ROWS, 3)
        assert file["loss"].attrs["units"] == "J"
    lines = (path / "records" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    assert len([json.loads(line) for line in lines]) == ROWS + 1


@pytest.mark.parametrize("name", ["log_kept", "log_killed"])
def test_all_rows_of_a_run_of_format_1_are_read_and_its_files_stay_as_they_are(name: str) -> None:
    before = contents(FORMAT_1 / name)

    check_rows(LogReader(FORMAT_1 / name))

    assert contents(FORMAT_1 / name) == before
    assert any(file.endswith(".journal") for file in before) == (name == "log_killed")


@pytest.mark.parametrize("name", ["log_kept", "log_killed"])
def test_a_copy_of_a_run_of_format_1_is_recovered_for_every_tool(name: str) -> None:
    shutil.copytree(FORMAT_1 / name, name)

    done = recover(Path(name, "data", "streams.h5"))

    assert done.problems == []
    assert bool(done.rows) == (name == "log_killed")
    assert not Path(name, "data", "streams.h5-journal").exists()
    check_plain(Path(name))
    check_rows(LogReader(name))
