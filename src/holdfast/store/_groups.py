"""Groups: names by which runs belong together, made from patterns such as ``lab-reports/%Y``."""

import datetime as dt
from dataclasses import dataclass

from holdfast._names import safe_name
from holdfast.errors import InvalidInputError


@dataclass(frozen=True, slots=True, repr=False)
class Group:
    """A group of runs; recorded with each, not a folder.

    Attributes
    ----------
    path : str
        Its name, with ``/`` between parts: ``lab-reports/2023``.
    pattern : str
        The pattern it was made from: ``lab-reports/%Y``.
    """

    path: str
    pattern: str

    def __repr__(self) -> str:
        return f"Group [{self.path}]"

    def __str__(self) -> str:
        return self.path


def group_of(pattern: str, now: dt.datetime | None = None) -> Group:
    """Return the group that a pattern names at a time.

    Parameters
    ----------
    pattern : str
        Text with the codes of ``datetime.strftime``; a slash at its end does not count.
    now : datetime, optional
        The present when left out.

    Raises
    ------
    InvalidInputError
        If the pattern is no text, or its parts could not be those of a path.
    """
    if not isinstance(pattern, str):
        raise InvalidInputError(f"a group is named by text such as 'lab/%Y', not {pattern!r}")
    safe_name(pattern.rstrip("/"), "group pattern")  # strftime drops what follows a NUL
    try:
        path = (now or dt.datetime.now().astimezone()).strftime(pattern.rstrip("/"))
    except (ValueError, UnicodeError) as error:
        raise InvalidInputError(
            f"group pattern {pattern!r} cannot be understood: {error}"
        ) from None
    return Group(safe_name(path, "group"), pattern)
