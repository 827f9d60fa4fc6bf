"""What commands print: JSON for programs, tables for people, colours on a terminal only."""

import shutil
import sys
from collections.abc import Collection, Mapping
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from holdfast._plain import dump_json, to_plain
from holdfast._text import MOST, short, visible
from holdfast.tables import PrintedTable, Table

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")

REFUSED = 4
"""The exit code of what Holdfast or the system refused."""

STATE_STYLES = {
    "complete": "green",
    "failed": "bold red",
    "running": "blue",
    "interrupted": "yellow",
    "unreadable": "bold red",
}


_GAP, _NARROWEST = 2, 8
"""Cells between two columns, and how far a column is shortened before one is left out."""


def console() -> Console:
    """Return a console for standard output; rich honours NO_COLOR and whether it is a terminal."""
    return Console(width=None if sys.stdout.isatty() else 10_000, highlight=False)


def print_json(value: Any) -> None:
    """Print a value as strict JSON."""
    click.echo(dump_json(to_plain(value, "output")), nl=False)


def print_table(table: Table, whole: Collection[str] = ()) -> None:
    """Print a table: fitted to a terminal, or whole lines for pipes and files.

    Parameters
    ----------
    table : Table
        What to print.
    whole : collection of str
        Columns that are never shortened or left out, even where a line gets too long.
    """
    if not sys.stdout.isatty():
        shown = [visible(name) for name in table.columns]
        rows = [dict(zip(shown, row.values(), strict=True)) for row in table]
        printed = PrintedTable(table.title, tuple(shown), tuple(rows), whole=frozenset(whole))
        click.echo(str(printed))
        return
    columns = {
        name: [
            Text(visible(name), style="bold"),
            *(_cell(name, row[name], whole=name in whole) for row in table),
        ]
        for name in table.columns
    }
    widths = _fitted(columns, whole, shutil.get_terminal_size().columns)
    left_out = [visible(name) for name in columns if name not in widths]
    for number in range(len(table) + 1):
        line = Text()
        for name, width in widths.items():
            cell = columns[name][number]
            cell.truncate(width, overflow="ellipsis", pad=True)
            line = line + cell + "  "
        line.rstrip()
        Console(highlight=False).print(line, soft_wrap=True)
    if left_out:
        click.echo(f"left out, for want of room: {', '.join(left_out)}", err=True)


def _fitted(columns: Mapping[str, list[Text]], whole: Collection[str], room: int) -> dict[str, int]:
    """Return the width of each column that is shown: widest are shortened, last are left out."""
    widths = {name: max(cell.cell_len for cell in cells) for name, cells in columns.items()}
    while sum(widths.values()) + _GAP * (len(widths) - 1) > room:
        flexible = [name for name in widths if name not in whole]
        if not flexible:
            break
        widest = max(flexible, key=lambda name: widths[name])
        if widths[widest] > _NARROWEST:
            widths[widest] -= 1
        else:
            del widths[flexible[-1]]
    return widths


def state_text(state: str) -> Text:
    """Return a state in its colour."""
    return Text(state, style=STATE_STYLES.get(state, ""))


def _cell(name: str, value: Any, *, whole: bool) -> Text:
    text = short(value, most=None if whole else MOST)
    return state_text(text) if name == "state" else Text(text)
