"""Tasks for the tests of the store; here, so that a spawned process can import them."""

import os
import random
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from holdfast import Logbook, LogReader, Store, get, task

ROWS = 4


@task
def square(x: float = 1.0) -> float:
    return x**2


@task
def count_up(log: Logbook, n: int) -> int:
    """Append rows, going on after those that are there, and say so."""
    reader = LogReader(log.path)
    there = len(reader.records("rows")) if "rows" in reader.record_scopes else 0
    for row in range(there, ROWS):
        log.record("rows", row=row)
        time.sleep(0.001)
    with (log.path.parent.parent / "ended.txt").open("a") as file:
        file.write(f"{n}\n")
    return n * n


@task
def fails_first(log: Logbook, x: int = 1) -> int:
    if not (log.path / "attempts").exists():
        log.json("partial", {"x": x})
        raise ValueError(f"{x} is not ready")
    return x


@task(name="dies-once")
def dies_once(log: Logbook, x: int = 1) -> int:
    begin = len(LogReader(log.path).stream("x")) if log.resumed else 0
    for row in range(begin, 10):
        log.append("x", float(row))
        if row == 5 and not log.resumed:
            os.kill(os.getpid(), signal.SIGKILL)
    return x


@task(resume=False)
def begins_anew(log: Logbook) -> int:
    log.append("x", 1.0)
    if not (log.path / "attempts").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return 1


@task
def noisy(count: int = 2) -> list[float]:
    return [random.random(), float(np.random.rand())]  # noqa: NPY002, S311 - the global ones


@task
def prints(log: Logbook, word: str = "hello") -> None:
    print(word)
    print("to the other stream", file=sys.stderr)
    log.info("in the log")


@task
def waits_for(log: Logbook, path: str) -> str:
    """Append rows, and work until a file appears."""
    for row in range(5):
        log.append("x", float(row))
        log.record("rows", row=row)
    (log.path / "working").touch()
    while not Path(path).exists():
        time.sleep(0.005)
    log.append("x", 5.0)
    return path


@dataclass
class Solver:
    dt: float = 0.1
    scheme: str = "euler"


@dataclass
class Config:
    size: int
    solver: Solver = field(default_factory=Solver)
    tags: list[str] = field(default_factory=list)


@task
def simulate(config: Config, log: Logbook) -> dict[str, Any]:
    assert log.path.is_dir()
    return {"steps": config.size / config.solver.dt, "type": type(config).__name__}


@task(versions={"quick": {"steps": 1}})
@dataclass
class Walk:
    steps: int = 10
    bias: float = 0.0

    @staticmethod
    def version_biased(bias: float = 1.0) -> dict[str, float]:
        return {"bias": bias}

    def __call__(self, log: Logbook) -> float:
        log.info("walking")
        return self.steps * self.bias


def launch_all(folder: str, count: int, seed: int) -> None:
    """Get and launch every configuration, in an order of one's own."""
    numbers = list(range(count))
    random.Random(seed).shuffle(numbers)  # noqa: S311 - an order, not a secret
    with Store(folder):
        for n in numbers:
            run = get(count_up, {"n": n}).launch()
            assert run.result == n * n


def launch_same(folder: str, barrier: Any, wins: Any, how: Any) -> None:
    """Launch one run at the same moment as other processes."""
    with Store(folder):
        run = get(count_up, n=7)
        barrier.wait()
        try:
            run.launch(how)
        except TimeoutError:
            with wins.get_lock():
                wins.value += 1
