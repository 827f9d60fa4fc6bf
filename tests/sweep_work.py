"""What the processes of the sweep tests do; here, so that a spawned process can import it."""

import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

from holdfast import Experiment, Logbook


def square(log: Logbook, x: float) -> None:
    log.json("metrics", {"y": x**2})


def fail_on_odd(log: Logbook, x: int) -> None:
    if x % 2:
        raise ValueError(f"{x} is odd")
    square(log, x)


def exit_on_two(log: Logbook, x: int) -> None:
    if x == 2:
        sys.exit("no more")
    square(log, x)


def die_on_three(log: Logbook, x: int) -> None:
    if x == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    square(log, x)


def die_once(log: Logbook, x: int) -> None:
    marker = Path(os.environ["DIED_ONCE"])
    if x == 3 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    square(log, x)


def mixed(log: Logbook, /, **params: Any) -> None:
    log.json("metrics", {"count": len(params)})


def differing(number: int, turn: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return parameters and metrics whose columns differ from process to process."""
    params: dict[str, Any] = {"worker": number, "turn": turn, f"p{number % 3}": f"a,{turn}"}
    metrics: dict[str, Any] = {f"m{turn % 4}": number + turn / 8, "note": f'"{number}"\n{turn}'}
    return params, metrics


def add_many(number: int, turns: int, barrier: Any, seed: int) -> None:
    """Add runs with columns of one's own, at random moments."""
    chance = random.Random(seed)  # noqa: S311 - moments, not secrets
    experiment = Experiment("shared")
    barrier.wait()
    for turn in range(turns):
        params, metrics = differing(number, turn)
        log = experiment.add(params)
        assert log is not None
        with log:
            log.json("metrics", metrics)
        time.sleep(chance.random() / 500)


def add_same(barrier: Any, won: Any, params: list[dict[str, Any]], retry: Any = ()) -> None:
    """Add the same runs as other processes do at the same time, and count those won."""
    experiment = Experiment("shared")
    for one in params:
        barrier.wait()
        log = experiment.add(one, skip_existing=True, retry=retry)
        if log is not None:
            with won.get_lock():
                won.value += 1
            with log:
                log.json("metrics", {"pid": os.getpid()})


def add_own(barrier: Any, params: list[dict[str, Any]]) -> None:
    """Add runs that nobody else may be given, each at the same time as other processes."""
    experiment = Experiment("shared")
    for one in params:
        barrier.wait()
        log = experiment.add(one, skip_existing=True)
        assert log is not None
        log.mark_complete()


def end_siblings(log: Logbook, x: int) -> None:
    """Die at the first attempt of 0, once the other worker is in the middle of a run."""
    if (log.path / "attempts").exists():
        square(log, x)
        return
    Path(f"begun{x}").touch()
    if x:
        time.sleep(60)
    while not Path("begun1").exists():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)


def stay(log: Logbook, x: int) -> None:
    """Leave a note of the process; the first attempt of 0 then takes very long."""
    Path(f"pid{os.getpid()}").touch()
    if x == 0 and not (log.path / "attempts").exists():
        Path("staying").touch()
        time.sleep(600)
    square(log, x)
