"""Producers, loggers and parents killed at random instants: every message put is there once."""

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crash.messaging import LANES, payload
from helpers import HANG, wait_until
from holdfast import LogArchiveReader, assemble_log_archives
from holdfast.acquisition import sources_in

VICTIMS = (
    ["producer"],
    ["logger"],
    ["parent"],
    ["logger", "producer"],
    ["producer", "logger", "parent"],
    ["parent", "logger", "producer"],
    ["logger", "parent", "producer"],
)
ROUNDS_A_FOLDER = 3
FOLDER = Path("out/rig_data_log")


@pytest.fixture
def killer() -> Iterator["subprocess.Popen[str]"]:
    program = Path(__file__).parent / "messaging.py"
    process = subprocess.Popen(
        [sys.executable, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield process
    process.communicate(timeout=HANG)
    assert process.returncode == 0


@pytest.mark.timeout(14_400)
def test_whoever_is_killed_every_message_put_is_in_the_archives_once_and_in_order(
    killer: "subprocess.Popen[str]", request: pytest.FixtureRequest
) -> None:
    rounds = 2000 if request.config.getoption("--campaign", default=False) else 60
    chance = random.Random(6)  # noqa: S311 - a test to be repeated
    counts = [1] * LANES
    put = 0
    for number in range(rounds):
        order: dict[str, Any] = {
            "folder": "out",
            "seed": number,
            "seconds": chance.choice([0.005, 0.03, 0.06]) * chance.random(),
            "pause": chance.choice([0, 0.001]),
            "kill": VICTIMS[number % len(VICTIMS)],
            "counts": counts,
            "max_unsynced": chance.choice([None, 1 << 18]),
        }
        accepted = answer(killer, order)
        if chance.random() < 0.5:
            wait_until(only_archives_are_left)
        found = held(FOLDER)
        for lane in range(LANES):
            assert 0 <= found[lane] - accepted[lane] <= 300, (number, lane)
            put += accepted[lane] - counts[lane]
        counts = found
        if (number + 1) % ROUNDS_A_FOLDER == 0:
            shutil.rmtree("out")
            counts = [1] * LANES
    assert put > 100 * rounds  # the campaign did kill processes in the middle of their work


def only_archives_are_left() -> bool:
    # A logger process that the watchdog was starting when it was killed is on its way out still.
    assemble_log_archives(FOLDER)
    return all(path.suffix == ".npz" for path in FOLDER.iterdir())


def answer(killer: "subprocess.Popen[str]", order: dict[str, Any]) -> list[int]:
    assert killer.stdin
    assert killer.stdout
    killer.stdin.write(json.dumps(order) + "\n")
    killer.stdin.flush()
    accepted: list[int] = json.loads(killer.stdout.readline())
    return accepted


def held(folder: Path) -> list[int]:
    """Check every message that is there, and return the number that follows each lane's last."""
    numbers: list[list[int]] = [[] for _ in range(LANES)]
    for source in sources_in(folder):
        lane = int(source[4:]) if isinstance(source, str) else source
        own = []
        for message in LogArchiveReader.live(folder, source, onset_us=0).iter_messages():
            number = int(message.timestamp_us)
            assert message.payload.tobytes() == payload(lane, number)
            own.append(number)
        assert own == sorted(set(own))
        numbers[lane] += own
    following = []
    for found in numbers:
        assert sorted(found) == list(range(1, len(found) + 1))
        following.append(len(found) + 1)
    return following
