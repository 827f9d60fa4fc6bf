"""`PrintedTable`: rows of different columns as text or HTML, under one header."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast._text import MOST, short, table_html, visible

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, repr=False)
class PrintedTable:
    """The rows of a table that are to be shown; its text is the table.

    Attributes
    ----------
    title : str
        What the table shows.
    columns : tuple of str
        Its header.
    head, tail : tuple of mapping
        The first and the last rows.
    left_out : int
        How many there are in between.
    whole : frozenset of str
        Columns whose texts are not shortened.
    """

    title: str
    columns: tuple[str, ...]
    head: tuple[Row, ...]
    tail: tuple[Row, ...] = ()
    left_out: int = 0
    whole: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, title: str, columns: Sequence[str], rows: Sequence[Row], most: int | None
    ) -> "PrintedTable":
        """Return what is shown of rows: all, or of more than `most` the first and the last."""
        count = len(rows)  # once: the rows of a live table become more
        head, tail = count, 0
        if most is not None and count > most:
            head, tail = most - most // 2, most // 2
        first, last = rows[:head], rows[count - tail : count]
        return cls(title, tuple(columns), tuple(first), tuple(last), count - head - tail)

    def __str__(self) -> str:
        if not self.columns:
            return f"{self.title}: no rows"
        most = [(name, None if name in self.whole else MOST) for name in self.columns]
        shown = [
            [short(row.get(name), most=length) for name, length in most]
            for row in (*self.head, *self.tail)
        ]
        lines = [[visible(name) for name in self.columns], *shown]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        ]
        if self.left_out:
            text.insert(len(self.head) + 1, f"... {self.left_out} more rows ...")
        return "\n".join(text)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        rows = [*self.head, *self.tail]
        title = f"{self.title}: {len(rows) + self.left_out} rows"
        if self.left_out:
            title += f", the first {len(self.head)} and the last {len(self.tail)} shown"
            gap = dict.fromkeys(self.columns[:1], f"… {self.left_out} rows left out …")
            rows.insert(len(self.head), gap)
        return table_html(title, self.columns, rows)
