"""Lengths of time as people write them: ``0:10``, ``PT5S``, ``1 hour``, ``0.1``."""

import math
import re

from holdfast.errors import InvalidInputError

_SECONDS = {
    **dict.fromkeys(("", "s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), 1e-3),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
    **dict.fromkeys(("w", "week", "weeks"), 604800.0),
}
_NUMBER = r"\d+(?:\.\d*)?|\.\d+"
_CLOCK = re.compile(rf"(?:(\d+)\s*d(?:ays?)?,?\s+)?(?:(\d+):)?(\d+):({_NUMBER})")
_ISO = re.compile(
    rf"P(?:({_NUMBER})W)?(?:({_NUMBER})D)?"
    rf"(?:T(?:({_NUMBER})H)?(?:({_NUMBER})M)?(?:({_NUMBER})S)?)?"
)
_PART = re.compile(rf"({_NUMBER})\s*([a-z]*)[\s,]*")


def seconds_of(text: str) -> float:
    """Return the seconds that a text means.

    Parameters
    ----------
    text : str
        Seconds as a number; ``[days ][hours:]minutes:seconds``; ISO 8601; or numbers with units.

    Raises
    ------
    InvalidInputError
        If it means none, or no time at all.
    """
    stripped = text.strip()
    clock, iso = _CLOCK.fullmatch(stripped.lower()), _ISO.fullmatch(stripped.upper())
    if clock is not None:
        seconds = _sum(clock.groups(), (86400.0, 3600.0, 60.0, 1.0))
    elif iso is not None:
        seconds = _sum(iso.groups(), (604800.0, 86400.0, 3600.0, 60.0, 1.0))
    else:
        seconds = _of_parts(stripped.lower(), text)
    if not 0 < seconds < math.inf:
        raise InvalidInputError(f"{text!r} is no length of time that is longer than nothing")
    return seconds


def _sum(numbers: tuple[str | None, ...], units: tuple[float, ...]) -> float:
    return sum(float(n) * unit for n, unit in zip(numbers, units, strict=True) if n)


def _of_parts(stripped: str, text: str) -> float:
    try:
        return float(stripped)
    except ValueError:
        pass
    parts = _PART.findall(stripped)
    known = [(number, _SECONDS[unit]) for number, unit in parts if unit in _SECONDS]
    if not parts or _PART.sub("", stripped) or len(known) < len(parts):
        raise InvalidInputError(
            f"{text!r} is no length of time; write for example '10' (seconds), '0:10', 'PT5S' or "
            "'1 hour'"
        )
    return sum(float(number) * unit for number, unit in known)
