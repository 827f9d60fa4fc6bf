"""``holdfast recover``: make what a dead writer left whole for every tool."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from holdfast.cli._find import MAX_DEPTH
from holdfast.cli._output import json_option, print_json
from holdfast.errors import LockedError

_JOURNAL = "-journal"


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@json_option
def recover(path: Path, as_json: bool) -> None:
    """Bring rows that a dead writer left in journals into their HDF5 files.

    PATH is an HDF5 file, a run, or a folder that holds runs. Nothing needs to be recovered for
    reading with Holdfast; other tools see all rows afterwards.
    """
    from holdfast.hdf5 import recover as recover_file

    found: list[dict[str, Any]] = []
    for file in _files(path):
        try:
            done = recover_file(file)
        except LockedError as error:
            found.append({"file": str(file), "rows": {}, "problems": [str(error)]})
            continue
        found.append({"file": str(file), "rows": done.rows, "problems": done.problems})
    if as_json:
        print_json(found)
        return
    for item in found:
        rows = sum(item["rows"].values())
        click.echo(f"{item['file']}: {rows} rows brought in" if rows else f"{item['file']}: whole")
        for problem in item["problems"]:
            click.echo(f"  {problem}", err=True)
    if not found:
        click.echo(f"nothing to recover in {path}")


def _files(path: Path) -> Iterator[Path]:
    """Yield the file itself, or every file below a folder that has a journal."""
    if not path.is_dir():
        yield path
        return
    yield from sorted(_with_journal(path, 0))


def _with_journal(folder: Path, depth: int) -> Iterator[Path]:
    for entry in folder.iterdir():
        if not entry.is_dir() or entry.is_symlink():
            continue
        if entry.name.endswith(_JOURNAL):
            yield entry.with_name(entry.name.removesuffix(_JOURNAL))
        elif depth < MAX_DEPTH:
            yield from _with_journal(entry, depth + 1)
