import math
from typing import Any

import numpy as np
import pytest

from holdfast.errors import InvalidInputError
from holdfast.fields import (
    ConstantInterrupts,
    FixedInterrupts,
    GeometricInterrupts,
    LogarithmicInterrupts,
    RealtimeInterrupts,
    parse_interrupts,
)


def times(interrupts: Any, count: int, start: float = 0.0) -> list[float]:
    found = [interrupts.initialize(start)]
    while len(found) < count:
        found.append(interrupts.next(found[-1]))
    return found


def test_constant_interrupts_do_not_add_up_rounding() -> None:
    assert times(ConstantInterrupts(0.1), 1001)[-1] == 100.0


def test_constant_interrupts_skip_what_a_long_step_has_passed() -> None:
    interrupts = ConstantInterrupts(1, t_start=2)
    assert interrupts.initialize(0) == 2
    assert interrupts.next(2.0001) == 3
    assert interrupts.next(7.5) == 8


def test_an_interrupt_that_fires_a_little_early_does_not_fire_twice() -> None:
    interrupts = ConstantInterrupts(1)
    interrupts.initialize(0)
    assert interrupts.next(0.0) == 1
    assert interrupts.next(0.97) == 2


def test_fixed_interrupts_skip_what_has_passed_and_end() -> None:
    assert times(FixedInterrupts([1, 2, 4]), 4, start=1.5) == [2, 4, math.inf, math.inf]


def test_logarithmic_interrupts_grow_apart() -> None:
    assert times(LogarithmicInterrupts(1, 2), 5) == [0, 1, 3, 7, 15]


def test_logarithmic_interrupts_leave_out_what_a_long_step_has_passed_as_py_pde_does() -> None:
    interrupts = LogarithmicInterrupts(0.5, 2)
    asked = (interrupts.initialize(0.2), *map(interrupts.next, (0.2, 0.9, 5, 5.7)))
    assert asked == pytest.approx((0.2, 0.7, 1.7, 5.7, 9.7))
    shrinking = LogarithmicInterrupts(1, 0.5)
    shrinking.initialize(0)
    assert all(shrinking.next(number) > number for number in range(2000))


def test_an_infinite_distance_asks_for_the_first_time_alone() -> None:
    assert times(parse_interrupts(math.inf), 2, start=2) == [2, math.inf]
    assert times(parse_interrupts(np.float64("inf")), 2) == [0, math.inf]


def test_geometric_interrupts_stay_on_their_sequence() -> None:
    assert times(GeometricInterrupts(0.5, 2), 4) == [0.5, 1, 2, 4]
    later = GeometricInterrupts(0.5, 2)
    later.initialize(0)
    assert later.next(9) == 16


def test_copies_count_for_themselves() -> None:
    first = ConstantInterrupts(1)
    first.initialize(0)
    second = first.copy()
    first.next(0)
    assert (first.next(1), second.next(0)) == (2, 1)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0:10", 10),
        ("1:30", 90),
        ("1:00:00", 3600),
        ("2 days 01:00:00", 176400),
        ("PT5S", 5),
        ("PT1H30M", 5400),
        ("P1D", 86400),
        ("1 hour", 3600),
        ("1h 30min", 5400),
        ("90 seconds", 90),
        ("0.1", 0.1),
        ("250ms", 0.25),
    ],
)
def test_a_length_of_real_time_may_be_written_in_many_ways(text: str, seconds: float) -> None:
    interrupts = parse_interrupts(text)
    assert isinstance(interrupts, RealtimeInterrupts)
    assert interrupts.duration == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (1, ConstantInterrupts),
        (np.int64(2), ConstantInterrupts),
        (np.float32(0.5), ConstantInterrupts),
        (np.array(3), ConstantInterrupts),
        ([1, 2, 3], FixedInterrupts),
        (range(4), FixedInterrupts),
        (np.linspace(0, 1, 5), FixedInterrupts),
        ("geometric(0.1, 2)", GeometricInterrupts),
        ("logarithmic(0.1, 1.5)", LogarithmicInterrupts),
    ],
)
def test_what_is_written_says_which_interrupts_are_meant(data: Any, kind: type) -> None:
    assert type(parse_interrupts(data)) is kind


@pytest.mark.parametrize(
    "data",
    [
        0,
        "inf",
        "nan",
        -1,
        math.nan,
        -math.inf,
        True,
        np.float64(0),
        [3, 1, 2],
        [0, math.nan],
        [[1, 2], [3, 4]],
        ["a"],
        "",
        "soon",
        "0",
        "1 parsec",
        "5 minutes and a bit",
        "PT",
        "geometric(1)",
        "geometric(0, 2)",
        "geometric(1, 1)",
        None,
        {"dt": 1},
        object(),
    ],
)
def test_nonsense_is_refused(data: Any) -> None:
    with pytest.raises(InvalidInputError):
        parse_interrupts(data)


def test_real_time_interrupts_follow_the_pace_of_the_simulation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    interrupts = RealtimeInterrupts(10, dt_initial=1)
    t = interrupts.initialize(0)
    for _ in range(10):  # two seconds of the clock for each unit of the simulation
        due = interrupts.next(t)
        now += 2 * (due - t)
        t = due
    assert interrupts.next(t) - t == pytest.approx(5)


def test_real_time_interrupts_find_the_pace_of_a_simulation_that_is_far_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    interrupts = RealtimeInterrupts("1 hour")
    asked = [interrupts.initialize(0)]
    while now < 4 * 3600:  # a million in each second of the clock
        asked.append(max(interrupts.next(asked[-1]), asked[-1] + 1e3))
        now += (asked[-1] - asked[-2]) / 1e6
    assert len(asked) < 12
    assert asked[-1] - asked[-2] == pytest.approx(3.6e9, rel=0.1)
