"""``holdfast gc``: remove what dead processes left in a store, after showing it."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from holdfast._text import visible
from holdfast.cli._output import REFUSED, json_option, print_json, print_table
from holdfast.cli._store import open_store, store_argument
from holdfast.errors import HoldfastError, InvalidInputError
from holdfast.store import Leftover, Store, leftovers, remove
from holdfast.tables import Table


@click.command()
@store_argument
@click.option("--failed", is_flag=True, help="Remove failed runs as well.")
@click.option("--interrupted", is_flag=True, help="Remove interrupted runs as well.")
@click.option("--yes", is_flag=True, help="Remove without asking.")
@json_option
def gc(folder: Path, failed: bool, interrupted: bool, yes: bool, as_json: bool) -> None:
    """Remove from STORE (./storage) what dead processes left: temporary files, claims, folders.

    What would go is listed first. Runs go only if asked for, and complete ones never; rows that
    wait in journals are brought in by recover, and are nothing that gc would touch.
    """
    store = open_store(folder)
    states = [name for name, wanted in (("failed", failed), ("interrupted", interrupted)) if wanted]
    found = list(leftovers(store, states))
    if not as_json:
        _print(found, folder)
    agreed = yes or (bool(found) and not as_json and _confirmed())
    removed, problems = _removed(store, found) if agreed else ([], [])
    store.close()
    if as_json:
        print_json(
            {
                "found": [_as_data(item) for item in found],
                "removed": [_as_data(item) for item in removed],
                "problems": problems,
            }
        )
    elif agreed:
        click.echo(f"removed {_many(removed)}")
    for problem in problems:
        click.echo(f"  {visible(problem)}", err=True)
    if problems:
        sys.exit(REFUSED)


def _confirmed() -> bool:
    """Ask; nobody who answers (cron, a closed pipe) is wrong usage, and no Ctrl-C."""
    try:
        return click.confirm("Remove all of it?")
    except click.Abort as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise
        click.echo()
        raise InvalidInputError(
            "nobody answers here, so nothing was removed; pass --yes to remove without asking, or "
            "--json to list only"
        ) from None


def _removed(store: Store, found: list[Leftover]) -> tuple[list[Leftover], list[str]]:
    removed, problems = [], []
    for item in found:
        try:
            remove(store, item)
        except (HoldfastError, OSError) as error:
            problems.append(str(error))
        else:
            removed.append(item)
    return removed, problems


def _print(found: list[Leftover], folder: Path) -> None:
    if not found:
        click.echo(f"nothing to remove in {visible(str(folder))}")
        return
    rows = [
        {
            "kind": item.kind,
            "size": bytes_text(item.size),
            # Within the store, so that who is asked sees the whole of it on a narrow terminal.
            "path": os.path.relpath(item.path, folder),
        }
        for item in found
    ]
    print_table(Table(rows, ("kind", "size", "path"), "leftovers"), whole=("kind", "path"))
    click.echo(f"{_many(found)} in {visible(str(folder))}")


def _many(items: list[Leftover]) -> str:
    things = "1 thing" if len(items) == 1 else f"{len(items)} things"
    return f"{things}, {bytes_text(sum(item.size for item in items))}"


def bytes_text(size: float) -> str:
    """Return a number of bytes as people say it: ``1.5 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def _as_data(item: Leftover) -> dict[str, Any]:
    return {"path": str(item.path), "kind": item.kind, "bytes": item.size}
