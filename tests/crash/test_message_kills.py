"""Producers, loggers and parents killed at random instants: every message put is there once."""

import json
import random
import shutil
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crash.messaging import MOST_LANES, payload
from helpers import HANG, python
from holdfast import LogArchiveReader, assemble_log_archives
from holdfast.acquisition import sources_in
from holdfast.journal import writer_lives

ORDERS = (
    ["producer", "producer", "logger", "producer", "parent"],
    ["logger", "parent", "producer"],
    ["producer", "parent", "logger"],
    ["producer", "logger", "logger", "parent"],
    ["logger", "producer", "parent"],
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
    least = 4000 if request.config.getoption("--campaign", default=False) else 240
    chance = random.Random(6)  # noqa: S311 - a test to be repeated
    kills = rounds = put = 0
    accepted: dict[int, int] = {}
    while kills < least:
        names = ORDERS[rounds % len(ORDERS)]
        order: dict[str, Any] = {
            "folder": "out",
            "lane": rounds % ROUNDS_A_FOLDER * MOST_LANES,
            "kills": [(chance.choice([0, 0.01, 0.04]) * chance.random(), name) for name in names],
            "max_unsynced": chance.choice([None, 1 << 18]),
        }
        counts = answer(killer, order)
        accepted |= {order["lane"] + place: count for place, count in enumerate(counts)}
        if chance.random() < 0.5:
            assemble()
        check(FOLDER, accepted)
        kills, rounds, put = kills + len(names), rounds + 1, put + sum(counts)
        if rounds % ROUNDS_A_FOLDER == 0:
            assemble()
            shutil.rmtree("out")
            accepted = {}
    assert put > 100 * rounds  # the campaign did kill processes in the middle of their work


def test_a_lock_left_to_a_program_that_a_killed_producer_was_starting_is_waited_for() -> None:
    died = python(
        """
        import os, signal, subprocess
        from holdfast import DataLogger
        DataLogger("out", "rig").put(1, 0, b"kept")
        lock = next(fd for fd in os.listdir("/proc/self/fd")
                    if os.path.realpath(f"/proc/self/fd/{fd}").endswith("/lock"))
        subprocess.Popen(["sleep", "0.3"], pass_fds=[int(lock)], stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    (producer,) = FOLDER.glob("producer-*")
    assert writer_lives(producer)
    assemble()
    assert [path.name for path in FOLDER.iterdir()] == ["1_log.npz"]


def assemble() -> None:
    assemble_log_archives(FOLDER)
    assert {path.suffix for path in FOLDER.iterdir()} <= {".npz"}


def answer(killer: "subprocess.Popen[str]", order: dict[str, Any]) -> list[int]:
    assert killer.stdin
    assert killer.stdout
    killer.stdin.write(json.dumps(order) + "\n")
    killer.stdin.flush()
    accepted: list[int] = json.loads(killer.stdout.readline())
    return accepted


def check(folder: Path, accepted: dict[int, int]) -> None:
    """Each lane has its messages from 0 on, once and whole, all that were accepted among them."""
    found: defaultdict[int, list[int]] = defaultdict(list)
    for source in sources_in(folder):
        times = []
        for message in LogArchiveReader.live(folder, source, onset_us=0).iter_messages():
            lane, number = divmod(int(message.timestamp_us), 1 << 32)
            assert message.payload.tobytes() == payload(lane, number)
            times.append(int(message.timestamp_us))
            found[lane].append(number)
        assert times == sorted(set(times))
    for numbers in found.values():
        assert sorted(numbers) == list(range(len(numbers)))
    for lane, count in accepted.items():
        assert 0 <= len(found[lane]) - count <= 300, lane  # a put that was not seen to return
