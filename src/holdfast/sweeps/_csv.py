"""``index.csv``: RFC 4180 with one addition that keeps types: a quoted cell is always text.

An unquoted cell is a number, ``True``, ``False``, ``None``, nothing, or text that looks like none
of these.
"""

import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from holdfast.errors import FormatError
from holdfast.sweeps._rows import RunRow

FIXED = ("run_id", "status", "state")

_NUMBER = re.compile(r"[+-]?(\d+|(\d+\.\d*|\.\d+|\d+)([eE][+-]?\d+)?|nan|inf)", re.ASCII)
_NEEDS_QUOTES = re.compile(r'[",\r\n]|^\s|\s$')
_CELL = re.compile(r'(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\n)')
_ABSENT: Final = object()
"""An empty cell: the run has no such parameter or metric, which is less than having None."""
_WORDS: dict[str, Any] = {"": _ABSENT, "None": None, "True": True, "False": False}


class Header:
    """The columns of an index: run_id, parameters, status, state, metrics.

    A parameter called ``status`` has the column ``params.status``, and a metric that is called like
    a parameter (of any run) the column ``metrics.<name>``, so that no two share a column.
    """

    def __init__(self, params: Iterable[str], metrics: Iterable[str]) -> None:
        self._params = {name: _column("params.", name, FIXED) for name in params}
        taken = {*FIXED, *self._params.values()}
        self._metrics = {name: _column("metrics.", name, taken) for name in metrics}
        self.names = ["run_id", *self._params.values(), "status", "state", *self._metrics.values()]

    @classmethod
    def of(cls, rows: Iterable[RunRow]) -> "Header":
        """Return the union of the columns of rows, in order of appearance."""
        params: dict[str, None] = {}
        metrics: dict[str, None] = {}
        for row in rows:
            params.update(dict.fromkeys(row.params))
            metrics.update(dict.fromkeys(row.metrics))
        return cls(params, metrics)

    @classmethod
    def parse(cls, cells: Sequence[Any]) -> "Header | None":
        """Read a header line; None if it is not one that `format_header` wrote."""
        names = [cell if isinstance(cell, str) else "" for cell in cells]
        if "status" not in names:
            return None
        at = names.index("status")
        params = [_name("params.", column, FIXED) for column in names[1:at]]
        taken = {*FIXED, *names[1:at]}
        header = cls(params, [_name("metrics.", column, taken) for column in names[at + 2 :]])
        return header if header.names == list(cells) else None

    def fits(self, row: RunRow) -> bool:
        """Whether every value of a row has its column."""
        return row.params.keys() <= self._params.keys() and row.metrics.keys() <= (
            self._metrics.keys()
        )

    def values(self, row: RunRow) -> dict[str, Any]:
        """Return a row as one dictionary by column."""
        return {
            "run_id": row.run_id,
            **{self._params[name]: value for name, value in row.params.items()},
            "status": row.status,
            "state": row.state,
            **{self._metrics[name]: value for name, value in row.metrics.items()},
        }

    def format(self, row: RunRow) -> str:
        """Return the line of a row."""
        cells = [
            row.run_id,
            *(row.params.get(name, _ABSENT) for name in self._params),
            row.status,
            row.state,
            *(row.metrics.get(name, _ABSENT) for name in self._metrics),
        ]
        return _line(cells)

    def format_header(self) -> str:
        """Return the header line."""
        return _line(self.names)

    def parse_row(self, cells: Sequence[Any]) -> RunRow | None:
        """Read a line; None if it cannot be one of this header's."""
        if len(cells) != len(self.names) or not isinstance(cells[0], str):
            return None
        at = 1 + len(self._params)
        return RunRow(
            cells[0],
            _present(self._params, cells[1:at]),
            str(cells[at]),
            str(cells[at + 1]),
            _present(self._metrics, cells[at + 2 :]),
        )


def _column(prefix: str, name: str, taken: Collection[str]) -> str:
    """Return the column of a name: the name, or if that is taken, with the prefix before it.

    A name that itself begins with the prefix moves on likewise, so that no two meet.
    """
    core, depth = _stripped(prefix, name)
    return next(itertools.islice(_free(prefix, core, taken), depth, None))


def _name(prefix: str, column: str, taken: Collection[str]) -> str:
    """Undo `_column`."""
    core, _ = _stripped(prefix, column)
    columns = itertools.takewhile(lambda c: len(c) < len(column), _free(prefix, core, taken))
    return prefix * sum(1 for _ in columns) + core


def _stripped(prefix: str, name: str) -> tuple[str, int]:
    depth = 0
    while name.startswith(prefix):
        name, depth = name.removeprefix(prefix), depth + 1
    return name, depth


def _free(prefix: str, core: str, taken: Collection[str]) -> Iterator[str]:
    return (c for c in (prefix * n + core for n in itertools.count()) if c not in taken)


def _present(columns: Mapping[str, str], cells: Sequence[Any]) -> dict[str, Any]:
    pairs = zip(columns, cells, strict=True)
    return {name: value for name, value in pairs if value is not _ABSENT}


def records(text: str) -> Iterator[tuple[str, list[Any]]]:
    """Parse whole lines of CSV into the text of each record and its typed cells.

    Raises
    ------
    FormatError
        If quotes are not closed, a record is not, or anything else is not as `Header` writes it.
    """
    if '"' not in text and "\r" not in text and text.endswith("\n"):
        for line in text[:-1].split("\n"):
            yield line + "\n", [_value(cell) for cell in line.split(",")]
        return
    start = at = 0
    cells: list[Any] = []
    while at < len(text):
        match = _CELL.match(text, at)
        if match is None:
            raise FormatError(f"no CSV as the index has it at character {at}")
        quoted, plain, end = match.groups()
        cells.append(_value(plain) if quoted is None else quoted.replace('""', '"'))
        at = match.end()
        if end == "\n":
            yield text[start:at], cells
            start, cells = at, []
    if cells:
        raise FormatError("the last record has no end")


def _line(cells: Iterable[Any]) -> str:
    return ",".join(map(_cell, cells)) + "\n"


def _cell(value: Any) -> str:
    if value is _ABSENT:
        return ""
    if not isinstance(value, str):
        return repr(value)
    if value in _WORDS or _NUMBER.fullmatch(value) or _NEEDS_QUOTES.search(value):
        return '"' + value.replace('"', '""') + '"'
    return value


@lru_cache(maxsize=65536)
def _value(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if not _NUMBER.fullmatch(text):
        return text
    try:
        return int(text)
    except ValueError:
        return float(text)
