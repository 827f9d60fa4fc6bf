"""`Records`: the rows of a table, read from its file, which may be growing."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

from holdfast.records._index import LineIndex
from holdfast.records._line import TIMESTAMP, instant
from holdfast.tables import PrintedTable, arrow_table, data_frame, selection

Row = dict[str, Any]


class Records(Sequence[Row]):
    """The rows of one table in the order in which they were saved; reading takes no lock.

    Each row is a dictionary of its own columns, with the values as they were saved and the time of
    saving as text in ISO 8601, in UTC, under ``timestamp``. (Such texts compare as the times do.)
    Every question is answered from the file as it is then, so the length grows while the table is
    being written.

    A damaged line is left out, with a `HoldfastWarning` once, and stays named in `problems`. So is
    a last line that a kill or a power loss tore.

    Parameters
    ----------
    path : path
        The file, ``records/<scope>.jsonl`` of a run.
    missing_ok : bool
        Whether the file may be still to come; it then has no rows.
    ended : callable, optional
        Tells whether no more rows will come, for `follow`.

    Raises
    ------
    MissingFileError
        If there is no such file.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        missing_ok: bool = False,
        ended: Callable[[], bool] | None = None,
    ) -> None:
        self.path = Path(path)
        self._ended = ended
        self._index = LineIndex(self.path, missing_ok=missing_ok)
        if not missing_ok:
            self._index.require()

    def __len__(self) -> int:
        self._index.refresh()
        return len(self._index)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        self._index.refresh()
        numbers = range(len(self._index))[index]
        if isinstance(numbers, int):
            return self._index.row(numbers)
        first, last = min(numbers, default=0), max(numbers, default=-1)
        rows = list(self._index.rows(first, last + 1))
        return [rows[number - first] for number in numbers]

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows there are when iterating begins; `follow` also yields those to come."""
        self._index.refresh()
        return self._index.rows(0, len(self._index))

    @property
    def columns(self) -> list[str]:
        """Every column that a row has: ``timestamp``, then in order of first appearance."""
        self._index.refresh()
        names = self._index.names
        first = [TIMESTAMP] if TIMESTAMP in names else []
        return first + [name for name in names if name != TIMESTAMP]

    @property
    def problems(self) -> list[str]:
        """What was left out, each with its line number and reason; empty if all is well."""
        self._index.refresh()
        return self._index.problems

    def select(self, where: str | None = None, /, **equals: Any) -> list[Row]:
        """Return the rows that satisfy an expression and equal the given values.

        Parameters
        ----------
        where : str, optional
            An expression such as ``"accuracy > 0.9 and phase == 'test'"``; see `holdfast.query`. A
            row without the column satisfies no comparison.
        **equals : Any
            Values by column.

        Raises
        ------
        InvalidInputError
            If the expression cannot be read or no row has a column of it.
        """
        return list(filter(selection(where, equals, self.columns), self))

    def follow(
        self, ended: Callable[[], bool] | None = None, *, poll: float = 0.1
    ) -> Iterator[Row]:
        """Yield every row from the first, those to come as they are saved.

        Parameters
        ----------
        ended : callable, optional
            Asked when nothing new is there: whether no more will come. The file is then read to its
            end once more. Of a run's records, whether the run has ended, if left out.
        poll : float
            Seconds between two looks.

        Yields
        ------
        dict
            A row; each once.
        """
        over = ended or self._ended or (lambda: True)
        number, last = 0, False
        while True:
            self._index.refresh(live=not last)
            count = len(self._index)
            yield from self._index.rows(number, count)
            if last:
                return
            if count == number:
                last = over()
                if not last:
                    time.sleep(poll)
            number = max(number, count)

    def to_dict(self) -> dict[str, list[Any]]:
        """Return the values by column, None where a row lacks it."""
        rows = self._index.all_rows()
        return {name: [row.get(name) for row in rows] for name in self.columns}

    def _timed(self) -> dict[str, list[Any]]:
        """Return the values by column, the time of saving as a datetime."""
        columns = self.to_dict()
        if times := columns.get(TIMESTAMP):
            columns[TIMESTAMP] = [None if time is None else instant(time) for time in times]
        return columns

    def as_table(self, most: int | None = 100) -> PrintedTable:
        """Return the rows as a table to be printed, under a header.

        Parameters
        ----------
        most : int, optional
            How many rows it shows; of a longer table the first and the last, and between them how
            many were left out. None shows all.
        """
        return PrintedTable.of(self.path.stem, self.columns, self, most)

    def to_pandas(self) -> Any:
        """Return a pandas ``DataFrame``, its ``timestamp`` as time with time zone UTC.

        Whole numbers with gaps are of pandas' ``Int64``, so that large ones keep their digits.

        Raises
        ------
        MissingDependencyError
            If pandas is not installed.
        """
        return data_frame(self._timed())

    def to_arrow(self) -> Any:
        """Return a pyarrow ``Table``, its ``timestamp`` in microseconds of UTC.

        A column of values that have no common type becomes text: texts as they are, all else as
        JSON.

        Raises
        ------
        MissingDependencyError
            If pyarrow is not installed.
        """
        return arrow_table(self._timed())

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Give the rows to any library that speaks the Arrow PyCapsule interface."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        return f"Records({str(self.path)!r}, {len(self)} rows, columns={self.columns})"

    def _repr_html_(self) -> str:
        return self.as_table()._repr_html_()
