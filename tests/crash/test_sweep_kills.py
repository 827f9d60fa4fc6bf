"""Many processes in one experiment at once, and killed at random moments."""

import csv
import multiprocessing
import os
import random
import shutil
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import sweep_work as work
from helpers import HANG
from holdfast import Experiment

WRITERS = 8
TURNS = 12
SPAWN = multiprocessing.get_context("spawn")


def joined(processes: list[Any]) -> None:
    for process in processes:
        process.join(HANG)
        assert process.exitcode is not None, "a process hangs"


def read_csv() -> dict[str, dict[str, str]]:
    """Read the index as any program would, refusing a line of another length and a doubled run."""
    with Path("outputs/shared/index.csv").open(newline="", encoding="utf-8") as file:
        names, *lines = csv.reader(file, strict=True)
    assert len(set(names)) == len(names)
    rows = [dict(zip(names, line, strict=True)) for line in lines]
    by_id = {row["run_id"]: row for row in rows}
    assert len(by_id) == len(rows)
    return by_id


def check_row(row: dict[str, Any]) -> None:
    """Check that every value of a complete run stands in its own column and nothing elsewhere."""
    params, metrics = work.differing(int(row["worker"]), int(row["turn"]))
    filled = {name: value for name, value in row.items() if value not in (None, "")}
    fixed = {"run_id": row["run_id"], "status": "complete", "state": "complete"}
    assert filled.keys() == {*params, *metrics, *fixed}
    for name, value in (params | metrics | fixed).items():
        assert str(filled[name]) == str(value), name


def started(seed: int) -> tuple[list[BaseProcess], object]:
    """Start the writers; the barrier has to live until they have met."""
    barrier = SPAWN.Barrier(WRITERS)
    processes: list[BaseProcess] = [
        SPAWN.Process(target=work.add_many, args=(number, TURNS, barrier, seed + number))
        for number in range(WRITERS)
    ]
    for process in processes:
        process.start()
    return processes, barrier


def test_eight_processes_with_columns_of_their_own_lose_double_and_misalign_nothing() -> None:
    processes, _barrier = started(0)
    joined(processes)

    rows = read_csv()
    assert len(rows) == WRITERS * TURNS
    for row in rows.values():
        check_row(row)
    assert {(r["worker"], r["turn"]) for r in rows.values()} == {
        (str(number), str(turn)) for number in range(WRITERS) for turn in range(TURNS)
    }

    frame = pd.read_csv("outputs/shared/index.csv")
    assert len(frame) == WRITERS * TURNS
    assert frame["run_id"].is_unique
    assert (frame["worker"] * 100 + frame["turn"]).is_unique
    for turn in range(4):
        there = frame[frame["turn"] % 4 == turn]
        assert (there[f"m{turn}"] == there["worker"] + there["turn"] / 8).all()

    table = list(Experiment("shared").reader.index())
    for row in table:
        check_row(row)
    Path("outputs/shared/index.csv").unlink()
    key = {row["run_id"]: row for row in table}
    assert {row["run_id"]: row for row in Experiment("shared").reader.index()} == key


def test_writers_killed_at_random_moments_leave_right_answers(request: Any) -> None:
    rounds = 40 if request.config.getoption("--campaign", default=False) else 3
    chance = random.Random(rounds)  # noqa: S311 - moments, not secrets
    for seed in range(rounds):
        shutil.rmtree("outputs", ignore_errors=True)
        processes, _barrier = started(seed * 100)
        runs = Path("outputs/shared/runs")
        while not (runs.exists() and len(os.listdir(runs)) > chance.randrange(5, 60)):
            if not any(process.is_alive() for process in processes):
                break  # they were faster than these looks
            time.sleep(0.001)
        victims = chance.sample(processes, chance.randrange(1, WRITERS))
        for victim in victims:
            time.sleep(chance.random() / 100)
            if victim.pid is not None and victim.is_alive():
                os.kill(victim.pid, signal.SIGKILL)
        joined(processes)
        check_after_kills()


def check_after_kills() -> None:
    experiment = Experiment("shared")
    answers = {row["run_id"]: row for row in experiment.reader.index()}
    ids = {run.run_id for run in experiment.reader}
    assert answers.keys() == ids
    for row in answers.values():
        if row["state"] == "complete":
            check_row(row)
        else:
            assert row["state"] == "interrupted"

    experiment.reindex()

    rows = read_csv()
    assert rows.keys() == ids
    for run_id, row in rows.items():
        assert row["state"] == answers[run_id]["state"]
        if row["state"] == "complete":
            check_row(row)
    assert {row["run_id"]: row for row in experiment.reader.index()} == answers

    log = experiment.add(worker=99, turn=0)
    assert log is not None
    log.mark_complete()
    assert len(read_csv()) == len(ids) + 1


def contended(params: list[dict[str, Any]], processes: int, retry: Any = ()) -> int:
    barrier, won = SPAWN.Barrier(processes), SPAWN.Value("i", 0)
    workers = [
        SPAWN.Process(target=work.add_same, args=(barrier, won, params, retry))
        for _ in range(processes)
    ]
    for worker in workers:
        worker.start()
    joined(workers)
    assert [worker.exitcode for worker in workers] == [0] * processes
    return int(won.value)


def test_of_processes_that_add_the_same_parameters_at_once_one_wins() -> None:
    params = [{"x": x} for x in range(30)]

    assert contended(params, 4) == 30

    assert len(read_csv()) == len(Experiment("shared").reader) == 30
    assert all(row["state"] == "complete" for row in read_csv().values())


def test_of_processes_that_retry_the_same_run_at_once_one_wins() -> None:
    params = [{"x": x} for x in range(20)]
    for one in params:
        log = Experiment("shared").add(one)
        assert log is not None
        log.mark_failed("as planned")

    assert contended(params, 4, "failed") == 20

    reader = Experiment("shared").reader
    assert len(read_csv()) == len(reader) == 20
    for run in reader:
        assert run.state == "complete"
        assert [attempt.state for attempt in run.attempts] == ["failed"]
        assert run.attempts[0].params == run.params


@pytest.mark.parametrize("first", [0, 1])
def test_different_parameters_with_one_readable_id_are_never_taken_for_each_other(
    first: int,
) -> None:
    letters = [f"k{number}" for number in range(20)]
    sides: list[list[dict[str, Any]]] = [
        [{k: "b", "z": 1} for k in letters],
        [{f"{k}_b_z": 1} for k in letters],
    ]
    barrier = SPAWN.Barrier(2)
    processes = [
        SPAWN.Process(target=work.add_own, args=(barrier, sides[side]))
        for side in (first, 1 - first)
    ]
    for process in processes:
        process.start()
    joined(processes)

    assert [process.exitcode for process in processes] == [0, 0]
    stored = [run.params for run in Experiment("shared").reader]
    assert sorted(map(str, stored)) == sorted(map(str, sides[0] + sides[1]))
    assert len(read_csv()) == 40
