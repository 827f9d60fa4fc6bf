from functools import partial
from typing import Any

import numpy as np
import pytest

from holdfast.fields._outside import may_change_outside

FACTOR = 2.0
SEEN: list[float] = []
count = 0


class Sum:
    total = 0.0

    def add(self, field: Any) -> float:
        self.total += field.sum()
        return self.total


def scaled(field: Any, power: int = 2) -> Any:
    parts = [part * FACTOR for part in field]
    return np.sum(parts) ** power


def counted(field: Any) -> Any:
    global count  # noqa: PLW0603 - what is tested
    count += 1
    return field


def noted(field: Any) -> Any:
    def note(value: float) -> None:
        SEEN.append(value)

    return list(map(note, field))


def noted_by_default(field: Any, seen: list[Any] = []) -> Any:  # noqa: B006 - what is tested
    return seen.append(field)


def counting() -> Any:
    number = 0

    def function(_: Any) -> int:
        nonlocal number
        number += 1
        return number

    return function


def shifted(by: float) -> Any:
    return lambda field: field + by


@pytest.mark.parametrize("function", [scaled, shifted(3.0), np.max, np.sqrt, abs, lambda a: a.T])
def test_functions_that_keep_to_themselves_may_be_done_elsewhere(function: Any) -> None:
    assert not may_change_outside(function, {"axis": 0, "where": (None, "x")})


@pytest.mark.parametrize(
    "function",
    [counted, noted, noted_by_default, counting(), Sum().add, partial(scaled, power=3),
     SEEN.append, lambda a: [SEEN for _ in a]],
)  # fmt: skip
def test_functions_that_may_change_what_is_outside_stay(function: Any) -> None:
    assert may_change_outside(function, {})


@pytest.mark.parametrize("function", [scaled, np.max])
def test_functions_that_are_given_what_can_be_changed_stay(function: Any) -> None:
    assert may_change_outside(function, {"out": np.zeros(3)})
