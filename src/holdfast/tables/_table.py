"""`Table`: rows of values with the union of their columns, and the forms others want them in."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from holdfast.query import Column, check_columns
from holdfast.tables._arrow import arrow_table
from holdfast.tables._pandas import data_frame
from holdfast.tables._printed import PrintedTable
from holdfast.tables._select import selection

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
        self._made = [{name: row.get(name) for name in self.columns} for row in rows]
        self._values: dict[str, Sequence[Any]] | None = None

    @classmethod
    def of_columns(cls, columns: Mapping[str, Sequence[Any]], title: str = "table") -> "Table":
        """Return a table of values by column, all of one length, as `to_dict` gives them.

        Its rows are made when one is asked for: a data frame of a hundred thousand needs none.
        """
        table = cls((), tuple(columns), title)
        table._values = dict(columns)
        return table

    @property
    def _rows(self) -> list[dict[str, Any]]:
        if self._values is not None:
            values = zip(*self._values.values(), strict=True)
            self._made = [dict(zip(self.columns, row, strict=True)) for row in values]
            self._values = None  # from now on the rows count, which the user may change
        return self._made

    def __len__(self) -> int:
        if self._values:
            return len(next(iter(self._values.values())))
        return len(self._made)

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
        holds = selection(where, equals, self.columns if self._rows else ())
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
        if self._values is not None:
            return {name: list(values) for name, values in self._values.items()}
        return {name: [row[name] for row in self._rows] for name in self.columns}

    def to_dataframe(self) -> Any:
        """Return a pandas ``DataFrame``.

        Raises
        ------
        MissingDependencyError
            If pandas is not installed.
        """
        return data_frame(self.to_dict())

    def to_arrow(self) -> Any:
        """Return a pyarrow ``Table``; a column of values without a common type becomes text.

        Raises
        ------
        MissingDependencyError
            If pyarrow is not installed.
        """
        return arrow_table(self.to_dict())

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Give the rows to any library that speaks the Arrow PyCapsule interface."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        return f"Table({self.title!r}, {len(self)} rows, columns={self.columns})"

    def __str__(self) -> str:
        return str(self._printed(None))

    def _repr_html_(self) -> str:
        return self._printed(MOST_ROWS)._repr_html_()

    def _printed(self, most: int | None) -> PrintedTable:
        columns = self.columns if most is None else _state_early(self.columns)
        return PrintedTable.of(self.title, columns, self._rows, most)


def _state_early(columns: list[str]) -> list[str]:
    """Put the state of runs beside their ids, where it is seen however many parameters follow."""
    if columns[:1] != ["run_id"] or "state" not in columns:
        return columns
    return ["run_id", "state", *(name for name in columns[1:] if name != "state")]


def _without_order(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
