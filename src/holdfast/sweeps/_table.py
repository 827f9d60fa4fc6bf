"""`Table`: rows of values with the union of their columns, and the forms others want them in."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from holdfast._text import short, table_html
from holdfast.errors import MissingDependencyError
from holdfast.query import Column, Combine, Compare, Constant, check_columns, parse, predicate

MOST_ROWS = 100
"""How many rows a notebook shows; a browser cannot scroll through a hundred thousand."""


class Table(Sequence[dict[str, Any]]):
    """A sequence of rows (dictionaries) that know their columns.

    Parameters
    ----------
    rows : sequence of mapping
        Rows; a column that one of them lacks is None there.
    columns : sequence of str
        All columns in order.
    title : str
        What the table shows.
    """

    def __init__(
        self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str], title: str = "table"
    ) -> None:
        self.columns = list(columns)
        self.title = title
        self._rows = [{name: row.get(name) for name in self.columns} for row in rows]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        return self._rows[index]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self._rows)

    def select(self, where: str | None = None, /, **equals: Any) -> "Table":
        """Return the rows that satisfy an expression and equal the given values.

        Parameters
        ----------
        where : str, optional
            An expression such as ``"dt < 0.1 and status == 'complete'"``.
        **equals : Any
            Values by column.

        Raises
        ------
        InvalidInputError
            If the expression cannot be read or a column does not exist.
        """
        parts = [parse(where)] if where is not None else []
        for name, value in equals.items():
            op = "is" if value is None else "=="
            parts.append(Compare(op, Column(name), Constant(value)))
        node = Combine("and", tuple(parts))
        if self._rows:
            check_columns(node, self.columns)
        holds = predicate(node)
        return Table([row for row in self._rows if holds(row)], self.columns, self.title)

    def sort(self, column: str, *, descending: bool = False) -> "Table":
        """Return the rows ordered by a column, text after numbers, those without a value last.

        Raises
        ------
        InvalidInputError
            If there is no such column.
        """
        check_columns(Column(column), self.columns)
        present = [row for row in self._rows if not _without_order(row[column])]
        absent = [row for row in self._rows if _without_order(row[column])]
        present.sort(key=lambda r: (isinstance(r[column], str), r[column]), reverse=descending)
        return Table(present + absent, self.columns, self.title)

    def only(self, columns: Sequence[str]) -> "Table":
        """Return the table with these columns alone.

        Raises
        ------
        InvalidInputError
            If one does not exist.
        """
        for name in columns:
            check_columns(Column(name), self.columns)
        return Table(self._rows, columns, self.title)

    def to_dict(self) -> dict[str, list[Any]]:
        """Return the values by column."""
        return {name: [row[name] for row in self._rows] for name in self.columns}

    def to_dataframe(self) -> Any:
        """Return a pandas ``DataFrame``.

        Raises
        ------
        MissingDependencyError
            If pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            raise _needs("pandas", "to_dataframe()") from None
        return pd.DataFrame(self.to_dict(), columns=self.columns)

    def to_arrow(self) -> Any:
        """Return a pyarrow ``Table``; a column of several types becomes text.

        Raises
        ------
        MissingDependencyError
            If pyarrow is not installed.
        """
        try:
            import pyarrow as pa
        except ImportError:
            raise _needs("pyarrow", "to_arrow()") from None
        return pa.table({name: _arrow_ready(v) for name, v in self.to_dict().items()})

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Give the rows to any library that speaks the Arrow PyCapsule interface."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        return f"Table({self.title!r}, {len(self)} rows, columns={self.columns})"

    def __str__(self) -> str:
        lines = [self.columns, *([short(v) for v in row.values()] for row in self._rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )

    def _repr_html_(self) -> str:
        title, rows, left_out = f"{self.title}: {len(self)} rows", self._rows, len(self) - MOST_ROWS
        if left_out > 0:
            half = MOST_ROWS // 2
            gap: dict[str, Any] = dict.fromkeys(self.columns[:1], f"… {left_out} rows left out …")
            rows = [*rows[:half], gap, *rows[-half:]]
            title += f", the first {half} and the last {half} shown"
        return table_html(title, _state_early(self.columns), rows)


def _state_early(columns: list[str]) -> list[str]:
    """Put the state of runs beside their ids, where it is seen however many parameters follow."""
    if columns[:1] != ["run_id"] or "state" not in columns:
        return columns
    return ["run_id", "state", *(name for name in columns[1:] if name != "state")]


def _without_order(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _arrow_ready(values: list[Any]) -> list[Any]:
    kinds = {type(value) for value in values if value is not None}
    exact = all(_fits(value) for value in values if isinstance(value, int))
    if kinds == {int, float} and exact:
        return [None if value is None else float(value) for value in values]
    if len(kinds) > 1 or not exact:
        return [None if value is None else str(value) for value in values]
    return values


def _fits(value: int) -> bool:
    return -(2**63) <= value < 2**63


def _needs(package: str, call: str) -> MissingDependencyError:
    return MissingDependencyError(
        f"{call} needs {package}; install it with: pip install 'holdfast[tables]'"
    )
