"""Times that say how long ago they were."""

import datetime as dt
from typing import Self

_STEPS = [
    (45, 1, "a moment"),
    (90, 60, "a minute"),
    (45 * 60, 60, "{} minutes"),
    (90 * 60, 3600, "an hour"),
    (22 * 3600, 3600, "{} hours"),
    (36 * 3600, 86400, "a day"),
    (26 * 86400, 86400, "{} days"),
    (45 * 86400, 2629800, "a month"),
    (320 * 86400, 2629800, "{} months"),
    (548 * 86400, 31557600, "a year"),
]
"""Up to how many seconds, the unit, and how it is said."""


class Moment(dt.datetime):
    """A time, with its offset from UTC, as ``datetime`` has it."""

    @classmethod
    def of(cls, time: dt.datetime) -> Self:
        """Return a ``datetime`` as a moment."""
        return cls.fromisoformat(time.isoformat())

    def humanize(self, now: dt.datetime | None = None) -> str:
        """Return how long ago this was, as people say it: ``"a month ago"``, ``"in 3 hours"``.

        Parameters
        ----------
        now : datetime, optional
            When to count from; the present when left out.
        """
        past = ((now or dt.datetime.now(dt.UTC)) - self).total_seconds()
        seconds = abs(past)
        if seconds < 10:
            return "just now"
        said = f"{round(seconds / 31557600)} years"
        for most, unit, words in _STEPS:
            if seconds < most:
                said = words.format(max(2, round(seconds / unit)))
                break
        return f"{said} ago" if past > 0 else f"in {said}"
