"""Interrupts: the times at which a tracker is asked, as py-pde's solvers and `track` ask for them.

Each has ``initialize(t)``, which returns the first time at or after ``t``, and ``next(t)``, which
returns the next one after ``t``, infinite if there is none.
"""

import copy
import math
import numbers
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Self

import numpy as np

from holdfast.errors import InvalidInputError
from holdfast.fields._duration import seconds_of
from holdfast.fields._pde import counts_as


class Interrupts(ABC):
    """When a tracker is asked."""

    def _class(self) -> type:
        return counts_as(type(self), "pde.trackers.interrupts", "InterruptsBase")

    __class__ = property(_class)  # trackers of py-pde take these too

    @abstractmethod
    def initialize(self, t: float) -> float:
        """Return the first time, for a simulation that begins at `t`."""

    @abstractmethod
    def next(self, t: float) -> float:
        """Return the next time, for a simulation that is at `t`; infinite if there is none."""

    def copy(self) -> Self:
        """Return interrupts of the same kind, which may be used at the same time."""
        return copy.deepcopy(self)

    def __repr__(self) -> str:
        shown = {k: v for k, v in vars(self).items() if not k.startswith("_")}
        return f"{type(self).__name__}({', '.join(f'{k}={v}' for k, v in shown.items())})"


class ConstantInterrupts(Interrupts):
    """Times of equal distance.

    Parameters
    ----------
    dt : float
        Their distance, in the simulation's time; infinite for the first alone.
    t_start : float, optional
        The first; the beginning of the simulation if left out.

    Raises
    ------
    InvalidInputError
        If `dt` is not a positive number.
    """

    def __init__(self, dt: float = 1, t_start: float | None = None) -> None:
        self.dt = math.inf if dt == math.inf else _positive(dt, "dt")
        self.t_start = None if t_start is None else _number(t_start, "t_start")
        self._first, self._count = 0.0, 0

    def initialize(self, t: float) -> float:
        """Return the first time."""
        self._first = t if self.t_start is None else max(t, self.t_start)
        self._count = 0
        return self._first

    def next(self, t: float) -> float:
        """Return the next time; counted from the first one, so that errors do not add up."""
        self._count = max(self._count, math.floor((t - self._first) / self.dt)) + 1
        return self._first + self._count * self.dt


class FixedInterrupts(Interrupts):
    """Given times.

    Parameters
    ----------
    interrupts : sequence of float
        The times, in order.

    Raises
    ------
    InvalidInputError
        If they are no times, or not in order.
    """

    def __init__(self, interrupts: Any) -> None:
        try:
            times = np.atleast_1d(np.asarray(interrupts, float))
        except (TypeError, ValueError):
            raise InvalidInputError(f"interrupts are times, not {interrupts!r}") from None
        if times.ndim != 1 or not np.isfinite(times).all():
            raise InvalidInputError(f"interrupts are a row of finite times, not {interrupts!r}")
        if (np.diff(times) < 0).any():
            raise InvalidInputError(f"interrupts must be in order: {interrupts!r}; sort them")
        self.interrupts = times.copy()
        self._index = 0

    def initialize(self, t: float) -> float:
        """Return the first time that has not passed."""
        self._index = int(np.searchsorted(self.interrupts, t))
        return self._now()

    def next(self, t: float) -> float:
        """Return the next time that has not passed."""
        self._index = max(self._index + 1, int(np.searchsorted(self.interrupts, t)))
        return self._now()

    def _now(self) -> float:
        return float(self.interrupts[self._index]) if self._index < len(self.interrupts) else np.inf


class LogarithmicInterrupts(Interrupts):
    """Times whose distances grow by a factor.

    Parameters
    ----------
    dt_initial : float
        The first distance.
    factor : float
        By what each distance is larger than the one before.
    t_start : float, optional
        The first time; the beginning of the simulation if left out.

    Raises
    ------
    InvalidInputError
        If a number is not positive.
    """

    def __init__(
        self, dt_initial: float = 1, factor: float = 1, t_start: float | None = None
    ) -> None:
        self.dt_initial = _positive(dt_initial, "dt_initial")
        self.factor = _positive(factor, "factor")
        self.t_start = None if t_start is None else _number(t_start, "t_start")
        self._next, self._step = 0.0, self.dt_initial

    def initialize(self, t: float) -> float:
        """Return the first time."""
        self._next = t if self.t_start is None else max(t, self.t_start)
        self._step = self.dt_initial
        return self._next

    def next(self, t: float) -> float:
        """Return the next time; what has passed already is left out, by whole distances."""
        self._next += self._step
        if self._next <= t:
            step = max(self._step, math.ulp(t))  # a factor below 1 ends at 0
            later = t - math.fmod(t - self._next, step) + step
            self._next = max(later, math.nextafter(t, math.inf))
        self._step *= self.factor
        return self._next


class GeometricInterrupts(Interrupts):
    """The times ``scale * factor**i``.

    Parameters
    ----------
    scale : float
        The first time.
    factor : float
        By what each time is larger than the one before.

    Raises
    ------
    InvalidInputError
        If `scale` is not positive or `factor` not above 1.
    """

    def __init__(self, scale: float, factor: float) -> None:
        self.scale, self.factor = _positive(scale, "scale"), _positive(factor, "factor")
        if self.factor <= 1:
            raise InvalidInputError(f"factor is above 1, so that times grow; not {factor!r}")
        self._power = 0

    def initialize(self, t: float) -> float:
        """Return the first time that has not passed."""
        self._power = max(self._passed(t), 0)
        return self._time()

    def next(self, t: float) -> float:
        """Return the next time that has not passed."""
        self._power = max(self._power + 1, self._passed(t))
        return self._time()

    def _passed(self, t: float) -> int:
        """Return the number of the first time that is not before `t`, but for rounding."""
        if t <= self.scale:
            return 0
        return math.ceil(math.log(t / self.scale, self.factor) - 1e-9)

    def _time(self) -> float:
        try:
            return float(self.scale * self.factor**self._power)
        except OverflowError:
            return math.inf


class RealtimeInterrupts(Interrupts):
    """Times that are about so many seconds of the clock apart.

    Parameters
    ----------
    duration : float or str
        Seconds, or a length of time as text: ``"0:10"``, ``"PT5S"``, ``"1 hour"``.
    dt_initial : float
        The first distance in the simulation's time, before its pace is known.

    Raises
    ------
    InvalidInputError
        If these are no lengths of time.
    """

    def __init__(self, duration: float | str, dt_initial: float = 0.01) -> None:
        text = isinstance(duration, str)
        self.duration = seconds_of(str(duration)) if text else _positive(duration, "duration")
        self.dt_initial = _positive(dt_initial, "dt_initial")
        self._step, self._since, self._at = self.dt_initial, time.monotonic(), 0.0

    def initialize(self, t: float) -> float:
        """Return `t`."""
        self._step, self._since, self._at = self.dt_initial, time.monotonic(), t
        return t

    def next(self, t: float) -> float:
        """Return when the pace since the last time would have taken the duration.

        A distance that would change by more than a factor of 4 goes half the way, in powers: a
        step may have been slow or fast for once.
        """
        now = time.monotonic()
        pace = (t - self._at) / max(now - self._since, 1e-9)
        wanted = max(pace * self.duration, self._step / 16)
        far = not self._step / 4 <= wanted <= self._step * 4
        self._step = math.sqrt(self._step * wanted) if far else wanted
        self._since, self._at = now, t
        return t + self._step


_CALL = re.compile(r"\s*(geometric|logarithmic)\s*\(([^,()]+),([^,()]+)\)\s*", re.IGNORECASE)


def parse_interrupts(data: Any) -> Any:
    """Return interrupts from one of the ways in which they may be written.

    Parameters
    ----------
    data : number, str, sequence of numbers, or interrupts
        A number is a distance in the simulation's time; a sequence, the times; a text, a length of
        real time, or ``"geometric(scale, factor)"`` or ``"logarithmic(dt, factor)"``.

    Raises
    ------
    InvalidInputError
        If it is none of these.
    """
    if hasattr(data, "initialize") and hasattr(data, "next"):
        return data
    if isinstance(data, str):
        call = _CALL.fullmatch(data)
        if call is None:
            return RealtimeInterrupts(data)
        kind = GeometricInterrupts if call[1].lower() == "geometric" else LogarithmicInterrupts
        return kind(_number(call[2], call[1]), _number(call[3], call[1]))
    if isinstance(data, np.ndarray) and data.ndim == 0:
        data = data[()]
    if isinstance(data, numbers.Real):
        return ConstantInterrupts(data)  # type: ignore[arg-type]  # it says so if it is none
    if isinstance(data, Iterable) and not isinstance(data, bytes | dict):
        return FixedInterrupts(data if isinstance(data, np.ndarray) else list(data))
    raise InvalidInputError(
        f"{data!r} does not say when; use a number, a sequence of times, a text such as '0:10', or "
        "interrupts"
    )


def _number(value: Any, what: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InvalidInputError(f"{what} is a number, not {value!r}") from None
    if not math.isfinite(number) or isinstance(value, bool | np.bool_):
        raise InvalidInputError(f"{what} is a finite number, not {value!r}")
    return number


def _positive(value: Any, what: str) -> float:
    number = _number(value, what)
    if number <= 0:
        raise InvalidInputError(f"{what} is a positive number, not {value!r}")
    return number
