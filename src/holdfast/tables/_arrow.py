"""Values by column as an Arrow table, made by pyarrow."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from holdfast._plain import dump_json, to_plain
from holdfast.errors import MissingDependencyError


def arrow_table(columns: Mapping[str, list[Any]]) -> Any:
    """Return values by column as a pyarrow ``Table``, times in microseconds of UTC.

    A column of values that have no common type becomes text: texts as they are, else JSON.

    Raises
    ------
    MissingDependencyError
        If pyarrow is not installed.
    """
    try:
        import pyarrow as pa
    except ImportError:
        raise MissingDependencyError(
            "an Arrow table needs pyarrow; install it with: pip install 'holdfast[tables]'"
        ) from None
    return pa.table({name: _array(pa, values) for name, values in columns.items()})


def _array(pa: Any, values: list[Any]) -> Any:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {dt.datetime}:
        times = [None if value is None else _in_utc(value) for value in values]
        return pa.array(times, pa.timestamp("us", tz="UTC"))
    try:
        # Of a column that mixes them, pyarrow would take False for 0.
        if {bool} < kinds:
            return pa.array([_text(value) for value in values])
        return pa.array(values)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError):  # no common type, or none at all
        return pa.array([_text(value) for value in values])


def _in_utc(time: dt.datetime) -> dt.datetime | None:
    try:
        return time.astimezone(dt.UTC)
    except OverflowError:  # in the first or last year there is, in a damaged line
        return None


def _text(value: Any) -> str | None:
    """Return a value as text that every Arrow library takes."""
    if value is None:
        return None
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return dump_json(to_plain(value, "a value"), indent=0).decode().removesuffix("\n")
