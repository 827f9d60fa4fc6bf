"""Plain information about fields: what a solver says of itself, as data that JSON holds."""

from collections.abc import Mapping
from typing import Any

from holdfast._plain import fields_to_plain, to_plain
from holdfast.errors import InvalidInputError


def plain_info(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return information as plain data of its own; what has no plain form is kept as text.

    A solver's diagnostics hold objects of its own, and a run must not fail, nor lose the rest of
    them, over one.

    Raises
    ------
    InvalidInputError
        If it is no mapping.
    """
    if not isinstance(info, Mapping):
        raise InvalidInputError(f"info is a mapping of names to plain values, not {info!r}")
    return fields_to_plain({str(key): _plain(value, 0) for key, value in info.items()}, "info")


def _plain(value: Any, depth: int) -> Any:
    try:
        return to_plain(value, "info")
    except InvalidInputError:
        pass
    if depth > 20:  # it contains itself
        return str(type(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in value]
    if hasattr(value, "to_dict"):
        return _plain(value.to_dict(), depth + 1)
    return str(value)
