"""What commands print: JSON for programs, tables for people, colours on a terminal only."""

import shutil
import sys
from typing import Any

import click
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from holdfast._plain import dump_json, to_plain
from holdfast._text import short
from holdfast.sweeps import Table

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")

STATE_STYLES = {
    "complete": "green",
    "failed": "bold red",
    "running": "blue",
    "interrupted": "yellow",
    "unreadable": "bold red",
}


def console() -> Console:
    """Return a console for standard output; rich honours NO_COLOR and whether it is a terminal."""
    return Console(width=None if sys.stdout.isatty() else 10_000, highlight=False)


def print_json(value: Any) -> None:
    """Print a value as strict JSON."""
    click.echo(dump_json(to_plain(value, "output")), nl=False)


def print_table(table: Table) -> None:
    """Print a table: fitted to a terminal, or whole lines for pipes and files."""
    if not sys.stdout.isatty():
        click.echo(str(table))
        return
    grid = RichTable(box=None, pad_edge=False, header_style="bold")
    for name in table.columns:
        grid.add_column(name, overflow="fold" if name == "run_id" else "ellipsis")
    for row in table:
        grid.add_row(*(_cell(name, row[name]) for name in table.columns))
    Console(highlight=False, width=max(shutil.get_terminal_size().columns, 40)).print(grid)


def state_text(state: str) -> Text:
    """Return a state in its colour."""
    return Text(state, style=STATE_STYLES.get(state, ""))


def _cell(name: str, value: Any) -> Text:
    return state_text(str(value)) if name == "state" else Text(short(value))
