"""Places in a configuration, and the error that names one."""

import typing
from typing import Any

from holdfast.config._scalars import resolved


class ConversionError(Exception):
    """A value is not of its type: the place, what was expected, and what was found."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(place, problem)
        self.place, self.problem = place, problem


def inside(place: str, name: str) -> str:
    """Return the place of a field or key in `place`."""
    return f"{place}.{name}" if place else name


def name_of(kind: Any) -> str:
    """Return an annotation as people write it."""
    if isinstance(kind, type) and not typing.get_args(kind):
        return kind.__name__
    return str(kind).replace("typing.", "")


def wrong(place: str, expected: str, value: Any) -> ConversionError:
    """Return the error that says what was expected and what was found."""
    return ConversionError(place, f"expected {expected}, found {shown(value)}")


def shown(value: Any) -> str:
    """Return what was found, with its type, shortened."""
    value = resolved(value)
    text = repr(value)
    text = text if len(text) <= 60 else text[:59] + "…"
    return "nothing (null)" if value is None else f"{text} ({type(value).__name__})"
