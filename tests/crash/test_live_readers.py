"""Processes that read a file while another one appends to it at full speed."""

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from crash.following import FOLLOWERS
from helpers import end, start, wait_until


def run(role: str, rows: int) -> "subprocess.Popen[str]":
    program = Path(__file__).parent / "following.py"
    command = [sys.executable, str(program), role, str(rows)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.timeout(1800)
def test_readers_that_follow_a_writer_see_every_row_once_whole_and_in_order(
    request: pytest.FixtureRequest,
) -> None:
    rows = 1_000_000 if request.config.getoption("--campaign", default=False) else 150_000
    followers = [run("follow", rows) for _ in range(FOLLOWERS)]
    writer = run("write", rows)
    try:
        reports = [follower.communicate(timeout=1700) for follower in followers]
    finally:
        Path("seen").touch()
    _, complaint = writer.communicate(timeout=100)

    assert writer.returncode == 0, complaint
    for follower, (said, wrong) in zip(followers, reports, strict=True):
        assert follower.returncode == 0, wrong
        report = json.loads(said)
        assert report["problems"] == []
        assert report["progress"] > 1  # it followed, and did not find all rows at the end
    with h5py.File("x.h5", "r") as file:
        np.testing.assert_array_equal(file["scalar"][:], np.arange(rows))


def test_a_plain_swmr_reader_that_refreshes_sees_the_checkpoints_of_a_live_file() -> None:
    writer = start(
        """
        import time
        from pathlib import Path
        from holdfast.hdf5 import AppendFile, RowType
        import numpy as np

        file = AppendFile("x.h5", interval=0.3)
        file.stream("a", RowType(np.dtype("<i8")), chunk_rows=500)
        file.append("a", 0)
        file.checkpoint()
        print("ready", flush=True)
        number = 1
        while not Path("seen").exists():
            for _ in range(200):
                file.append("a", number)
                number += 1
            time.sleep(0.005)
        file.close()
        """
    )
    seen = {"good": 0, "failed": 0, "chunks": 0}

    def look() -> bool:
        """Count what one reader's look at the file finds; a wrong row fails the test."""
        try:
            with h5py.File("x.h5", "r", libver="latest", swmr=True) as file:
                rows = file["a"]
                for _ in range(20):
                    rows.refresh()
                    content = rows[:]
                    seen["good"] += 1
                    assert (content == np.arange(len(content))).all()
                    seen["chunks"] = max(seen["chunks"], len(content) // 500)
        except (OSError, KeyError, RuntimeError):
            seen["failed"] += 1  # a checkpoint fell into the read, as the documents say
        return seen["chunks"] >= 30

    wait_until(look)

    Path("seen").touch()
    assert end(writer) == 0
    assert seen["good"] > seen["failed"]
    with h5py.File("x.h5", "r", libver="latest", swmr=True) as file:
        content = file["a"][:]
        np.testing.assert_array_equal(content, np.arange(len(content)))
