"""Functions that tests of `apply` send to other processes."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from helpers import wait_until

_before = [-1]


def wait_for_others(number: int, here: int | None) -> bool:
    """Be slow in one process as long as it has got all fields itself; tell whether it has."""
    if os.getpid() != here:
        return False
    if number == 0:
        _before[:] = [-1]
    alone = number == _before[0] + 1
    _before[:] = [number if alone else -10]
    if alone:
        time.sleep(0.2)
    return alone


def process_of(number: npt.NDArray[Any], slow_in: int | None = None) -> tuple[int, int]:
    """Say where it is done."""
    wait_for_others(int(number[0]), slow_in)
    return os.getpid(), int(number[0])


def fails_elsewhere(number: npt.NDArray[Any], here: int) -> int:
    """Fail in another process, with an error of this program's own."""
    if os.getpid() != here:
        raise OddNumberError(int(number[0]))
    wait_for_others(int(number[0]), here)
    return 0


def dies_elsewhere(number: npt.NDArray[Any], here: int) -> int:
    """End the process, if it is another."""
    if os.getpid() != here:
        os.kill(os.getpid(), signal.SIGKILL)
    wait_for_others(int(number[0]), here)
    return int(number[0])


def interrupts(number: npt.NDArray[Any], here: int, marker: Path) -> int:
    """Press Ctrl-C here, once another process has got some fields and is at work."""
    if os.getpid() != here:
        marker.touch()
        time.sleep(600)
    if not wait_for_others(int(number[0]), here):
        wait_until(marker.exists)
        raise KeyboardInterrupt
    return 0


def process_and_mean(field: Any, slow_in: int) -> tuple[int, float]:
    """Say where it is done, and the mean of a field, which is its number."""
    mean = float(np.mean(field.data))
    wait_for_others(round(mean), slow_in)
    return os.getpid(), mean


class OddNumberError(Exception):
    """An error that only its own constructor makes."""


def squared(field: Any, slow_in: int) -> Any:
    """Return another field; slowly where others have to start first."""
    wait_for_others(round(float(field.data.flat[0])) // 2, slow_in)
    return type(field)(field.grid, field.data**2)


def fails_nowhere(number: npt.NDArray[Any]) -> tuple[int, int]:
    """Say where it is done."""
    return os.getpid(), int(number[0])
