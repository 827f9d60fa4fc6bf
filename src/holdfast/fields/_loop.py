"""`track`: trackers for a loop of one's own."""

import math
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Any

from holdfast.errors import InvalidInputError
from holdfast.fields._mpi import is_main


def track(
    solver: Iterable[tuple[float, Any]], trackers: Any, *, info: Any = None
) -> Iterator[tuple[float, Any]]:
    """Go through the steps of a solver, and let trackers take the fields they want.

    Parameters
    ----------
    solver : iterable of (float, field)
        Times and states, such as a generator yields; a state may be the same object each time.
    trackers : tracker or trackers
        Of Holdfast or of py-pde; also its ``TrackerCollection``.
    info : mapping, optional
        Plain values that storages keep with the fields.

    Yields
    ------
    tuple of float and field
        The same.

    Raises
    ------
    InvalidInputError
        If a tracker is none, or `solver` does not yield pairs.

    Notes
    -----
    A tracker is asked at the first step that is less than half a step before its time, or after it.
    When the loop ends, also by an error or ``break``, the trackers end with it.

    Examples
    --------
    >>> import numpy as np
    >>> from holdfast.fields import MemoryStorage
    >>> storage = MemoryStorage()
    >>> steps = ((step / 10, np.full(3, step)) for step in range(31))
    >>> for t, state in track(steps, [storage.tracker(1.0)]):
    ...     pass
    >>> storage.times.tolist()
    [0.0, 1.0, 2.0, 3.0]
    """
    trackers = getattr(trackers, "trackers", trackers)
    one = hasattr(trackers, "handle") or hasattr(trackers, "start_writing")
    everything = [trackers] if one or not isinstance(trackers, Iterable) else list(trackers)
    for tracker in everything:
        if not (hasattr(tracker, "handle") and hasattr(tracker, "interrupt")):
            raise InvalidInputError(
                f"{tracker!r} is no tracker; make one with storage.tracker() or DataTracker()"
            )
    return _steps(solver, _Tracking(everything if is_main() else [], dict(info or {})))


def _steps(
    solver: Iterable[tuple[float, Any]], tracking: "_Tracking"
) -> Iterator[tuple[float, Any]]:
    reason = "the loop was left"
    try:
        for pair in solver:
            t, state = _moment(pair)
            wants_end = tracking.take(float(t), state)
            yield t, state
            if wants_end:
                reason = wants_end
                return
        reason = "the solver ended"
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise
    finally:
        tracking.end(reason)


def _moment(pair: Any) -> tuple[Any, Any]:
    try:
        t, state = pair
        if math.isfinite(t):
            return t, state
    except (TypeError, ValueError):
        pass
    raise InvalidInputError(f"the solver gave {pair!r}; it must give pairs of time and state")


class _Tracking:
    """Trackers, and when each is to be asked next."""

    def __init__(self, trackers: list[Any], info: dict[str, Any]) -> None:
        self._trackers, self._info = trackers, info
        self._due: list[float] = []
        self._last: float | None = None

    def take(self, t: float, state: Any) -> str | None:
        """Let trackers take a state; return why one of them wants the loop to end."""
        if self._last is None:
            self._begin(t, state)
        half_step = 0.0 if self._last is None else (t - self._last) / 2
        self._last = t
        wants_end: str | None = None
        for number, tracker in enumerate(self._trackers):
            if t >= self._due[number] - half_step:
                try:
                    tracker.handle(state, t)
                except StopIteration as stop:  # py-pde's trackers say so
                    wants_end = str(stop) or f"{type(tracker).__name__} ended it"
                self._due[number] = tracker.interrupt.next(t)
        return wants_end

    def _begin(self, t: float, state: Any) -> None:
        self._info["controller"] = {"t_start": t}
        seen: set[int] = set()
        for tracker in self._trackers:
            if id(tracker.interrupt) in seen:  # two may not share what counts for one
                tracker.interrupt = tracker.interrupt.copy()
            seen.add(id(tracker.interrupt))
            self._due.append(tracker.initialize(state, self._info))

    def end(self, reason: str) -> None:
        """End what has begun."""
        if self._last is not None:
            self._info["controller"].update(t_final=self._last, stop_reason=reason)
        with ExitStack() as ending:  # all of them, also where one fails
            for tracker in reversed(self._trackers[: len(self._due)]):
                ending.callback(tracker.finalize, info=self._info)
