"""One line of a table: its form, making it and reading it."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from holdfast._names import check_label, safe_name
from holdfast._plain import dump_json, load_json, to_plain
from holdfast.errors import FormatError, InvalidInputError

ENDING = ".jsonl"

TIMESTAMP = "timestamp"
"""The first column of every row, which is Holdfast's: when the row was saved, in UTC."""

_SIMPLE = frozenset([bool, int, float, str, type(None)])
_OPEN = b'{"timestamp": null'


def record_file(scope: str) -> str:
    """Return the name of the file that holds a table.

    Parameters
    ----------
    scope : str
        Name of the table; may have folders: ``"eval/short"``.

    Raises
    ------
    InvalidInputError
        If it cannot be a file name below the folder of records.
    """
    return safe_name(scope, "record scope", suffix=ENDING) + ENDING


def check_column(name: object) -> None:
    """Refuse what cannot name a column of the user's.

    Raises
    ------
    InvalidInputError
        If it is no text, empty, holds control characters, or is the column that is Holdfast's.
    """
    if not isinstance(name, str):
        raise InvalidInputError(
            f"a column of a record is named by text, not by {type(name).__name__}: {name!r}"
        )
    check_label(name, "the column")
    if name == TIMESTAMP:
        raise InvalidInputError(
            f"the column {TIMESTAMP!r} is written by the record itself, as the time of save(); "
            "choose another name, such as 'time'"
        )


def encode(values: Mapping[str, Any], where: str) -> bytes:
    """Make the line of a row, with the place of its time still open.

    Raises
    ------
    InvalidInputError
        If a value has no plain form.
    """
    # As the first of the columns, the time also keeps a row with one column called "$complex" from
    # being taken for a complex number.
    plain: dict[str, Any] = {TIMESTAMP: None}
    for name, value in values.items():
        simple = type(value) in _SIMPLE  # what nearly every value is: a third of the time saved
        plain[name] = value if simple else to_plain(value, f"{where}[{name!r}]")
    try:
        return dump_json(plain, indent=0)
    except ValueError:  # a whole number of too many digits, which is said with its place
        to_plain(values, where)
        raise


def stamp(line: bytes) -> bytes:
    """Put the present time into a line that `encode` made."""
    now = dt.datetime.now(dt.UTC).isoformat(timespec="microseconds")
    return b'{"timestamp": "%b"%b' % (now.encode(), line[len(_OPEN) :])


def decode(line: bytes) -> dict[str, Any]:
    """Read a line.

    Raises
    ------
    FormatError
        If it is no row; the message says why.
    """
    row = load_json(line, "it")
    if not isinstance(row, dict):
        raise FormatError(f"it holds a {type(row).__name__}, not an object")
    time = row.get(TIMESTAMP)
    if time is not None:
        instant(time)
    return row


def instant(time: Any) -> dt.datetime:
    """Return the time of a row as a datetime; one without an offset counts as UTC.

    Raises
    ------
    FormatError
        If it is not in ISO 8601.
    """
    try:
        found = dt.datetime.fromisoformat(time)
    except (TypeError, ValueError):
        raise FormatError(f"its timestamp {time!r} is no time in ISO 8601") from None
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)
