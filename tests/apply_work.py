"""Functions that tests of `apply` send to other processes."""

import os
import signal
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast.errors import InvalidInputError
from holdfast.fields import MemoryStorage


class OddNumberError(Exception):
    """An error that is told apart by its type."""


class StayingError(Exception):
    """An error that cannot be made again from what it passes on."""

    def __init__(self, number: int, of: int) -> None:
        super().__init__(f"{number} of {of}")


def process_of(number: npt.NDArray[Any]) -> tuple[int, int]:
    """Say where it is done."""
    return os.getpid(), int(number[0])


def process_and_mean(field: Any) -> tuple[int, int]:
    """Say where it is done, and the mean of a field, which is its number."""
    return os.getpid(), round(float(np.mean(field.data)))


def process_of_nested(number: npt.NDArray[Any]) -> tuple[int, set[int]]:
    """Say where it is done, and where what it applies itself."""
    storage = MemoryStorage.from_fields([number] * 3)
    return os.getpid(), {pid for pid, _ in storage.apply(process_of, parallel="processes")}


def fails(number: npt.NDArray[Any]) -> int:
    """Fail at some field."""
    if number[0] == 3:
        raise OddNumberError(int(number[0]))
    return 0


def fails_for_itself(number: npt.NDArray[Any]) -> int:
    """Fail with an error that cannot travel."""
    raise StayingError(int(number[0]), 7)


def fails_like_us(number: npt.NDArray[Any]) -> int:
    """Fail with an error that workers raise themselves, too."""
    raise InvalidInputError(f"of the user's own: {number}")


def dies(number: npt.NDArray[Any]) -> int:
    """End the process at some field."""
    if number[0] == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return int(number[0])


def squared(field: Any) -> Any:
    """Return another field."""
    return type(field)(field.grid, field.data**2)
