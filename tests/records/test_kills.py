"""Processes killed by SIGKILL at random instants while they save rows: none is lost or torn."""

import json
import random
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from helpers import HANG
from holdfast._sync import Durability
from holdfast.errors import HoldfastWarning
from holdfast.records import Records, RecordWriter

THREADS = 2
"""As in ``saving.py``."""


def test_whenever_a_saving_process_is_killed_every_saved_row_is_there(
    request: pytest.FixtureRequest,
) -> None:
    kills = 3000 if request.config.getoption("--campaign", default=False) else 60
    chance = random.Random(8)  # noqa: S311 - a test to be repeated
    program = Path(__file__).parent / "saving.py"
    saved = torn = 0
    with subprocess.Popen(
        [sys.executable, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        for number in range(kills):
            path = Path(f"{number}.jsonl").absolute()
            process.stdin.write(f"{path} {chance.uniform(0, 40)}\n")
            process.stdin.flush()
            last = json.loads(process.stdout.readline())
            torn += check(path, last)
            saved += sum(last)
            path.unlink(missing_ok=True)
        process.stdin.close()
        assert process.wait(HANG) == 0
    assert saved > kills * 5  # the campaign did kill processes in the middle of their work
    print(f"{kills} kills, {saved} rows saved, {torn} lines torn that were never accepted")


def check(path: Path, last: list[int]) -> int:
    """Compare the rows with what the process reported; return whether it tore one it had begun.

    Linux looks for a fatal signal after each page of a write, so a long line can be torn: the one
    whose save had not returned. A row that is saved afterwards stands alone.
    """
    records = Records(path, missing_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HoldfastWarning)
        torn = records.problems
        RecordWriter(path, Durability()).save(thread=THREADS, number=1, filling="1 " * 37)
        assert len(records.problems) == len(torn) <= 1
    for thread, number in enumerate([*last, 1]):
        rows = records.select(thread=thread)
        assert [row["number"] for row in rows] == list(range(1, len(rows) + 1))
        assert len(rows) - number in (0, 1)
        for row in rows:
            assert row["filling"] == f"{row['number']} " * (row["number"] * 37 % 3000)
    return len(torn)
