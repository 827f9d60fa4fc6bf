"""Many processes that get and launch the same runs, killed at random moments."""

import json
import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

import store_work as work
from helpers import HANG, python, temporaries, wait_until
from holdfast import LogReader, Store, get

FRESH = multiprocessing.get_context("forkserver")  # of a process that has only imported the tasks
FRESH.set_forkserver_preload(["store_work"])
PROCESSES = 8


def started(folder: Path, count: int, seed: int) -> BaseProcess:
    process = FRESH.Process(target=work.launch_all, args=(str(folder), count, seed))
    process.start()
    return process


def check(folder: Path, count: int) -> None:
    """Check that every run is recorded once, whole, and that no claim is left."""
    with Store(folder) as store:
        for n in range(count):
            run = get(work.count_up, n=n).launch()  # which also tidies up after the killed
            assert run.result == n * n
            reader = run.reader
            assert [row["row"] for row in reader.records("rows")] == list(range(work.ROWS))
            ends = [line for line in reader.log_lines() if line.message == "run complete"]
            assert len(ends) == 1
            assert not reader.attempts
        assert store.claims.identities() == []
        assert len(list(store.runs())) == count
        rows = store.sql("select identity, state from runs")
        assert Counter(row["state"] for row in rows) == {"complete": count}
        assert len({row["identity"] for row in rows}) == count


def test_killed_processes_record_every_run_exactly_once(tmp_path: Path, request: Any) -> None:
    large = request.config.getoption("--campaign", default=False)
    count, kills = (200, 400) if large else (24, 8)
    folder = tmp_path / "storage"
    chance = random.Random(count)  # noqa: S311 - moments, not secrets
    processes = [started(folder, count, seed) for seed in range(PROCESSES)]
    killed = 0
    wait_until(lambda: any(folder.glob("*/log.txt")))
    while killed < kills and any(process.is_alive() for process in processes):
        victim = chance.choice([n for n in range(PROCESSES) if processes[n].is_alive()] or [0])
        processes[victim].kill()
        processes[victim].join(HANG)
        killed += 1
        processes[victim] = started(folder, count, 100 + killed)
        time.sleep(chance.random() / 5)
    for process in processes:
        process.join(HANG)
        assert process.exitcode == 0
    assert killed

    check(folder, count)

    ended = Counter((tmp_path / "ended.txt").read_text().split())
    assert ended.keys() == {str(n) for n in range(count)}
    # The task itself may have come to its end and been killed before its result was recorded.
    assert sum(ended.values()) <= count + killed


def test_every_run_of_processes_that_race_is_made_by_one_of_them(tmp_path: Path) -> None:
    folder = tmp_path / "storage"
    processes = [started(folder, 20, seed) for seed in range(3)]
    for process in processes:
        process.join(HANG)
        assert process.exitcode == 0
    check(folder, 20)
    assert Counter((tmp_path / "ended.txt").read_text().split()) == {str(n): 1 for n in range(20)}
    assert temporaries(folder) == []


@pytest.mark.parametrize(("how", "refused"), [("wait", 0), ("fail", None), ("skip", 0)])
def test_of_four_that_launch_one_run_at_once_one_makes_it(
    tmp_path: Path, how: str, refused: int | None
) -> None:
    folder = tmp_path / "storage"
    barrier, losses = FRESH.Barrier(4), FRESH.Value("i", 0)
    processes = [
        FRESH.Process(target=work.launch_same, args=(str(folder), barrier, losses, how))
        for _ in range(4)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(HANG)
        assert process.exitcode == 0
    if refused is not None:
        assert losses.value == refused
    assert (tmp_path / "ended.txt").read_text().split() == ["7"]
    with Store(folder) as store:
        assert get(work.count_up, n=7).result == 49
        assert store.claims.identities() == []


@pytest.mark.parametrize("step", ["link", "begin", "finish", "release"])
def test_a_process_killed_at_a_step_of_a_launch_is_taken_over_from(
    tmp_path: Path, step: str
) -> None:
    done = python(KILLED_AT, step, cwd=tmp_path, env=os.environ | {"PYTHONPATH": TESTS})
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert os.listdir(tmp_path / "storage/.claims") != ["locks"]

    with Store(tmp_path / "storage") as store:
        run = get(work.count_up, n=3).launch()
        assert run.result == 9
        assert store.claims.identities() == []
    assert json.loads((run.directory / "metadata.json").read_bytes())["attempt"] == 1
    assert [row["row"] for row in LogReader(run.directory).records("rows")] == [0, 1, 2, 3]


TESTS = str(Path(__file__).resolve().parents[1])
KILLED_AT = """
import os, signal, sys
import store_work as work
from holdfast import Store, get
from holdfast.store import _claims, _launch

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

match sys.argv[1]:
    case "link":
        _claims.heartbeat = die
    case "begin":
        _launch.remember = die
    case "finish":
        _launch.save_result = die
    case "release":
        _claims.Claim.release = die
with Store("storage"):
    get(work.count_up, n=3).launch()
"""
