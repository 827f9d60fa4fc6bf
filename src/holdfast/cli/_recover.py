"""``holdfast recover``: make what a dead writer left whole for every tool."""

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from holdfast._text import visible
from holdfast.cli._find import MAX_DEPTH, find, is_experiment, is_run
from holdfast.cli._messages import is_log_folder, recover_messages
from holdfast.cli._output import REFUSED, json_option, print_json
from holdfast.errors import HoldfastError, HoldfastWarning, LockedError

_JOURNAL, STORE = "-journal", ".zarr"


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@json_option
def recover(path: Path, as_json: bool) -> None:
    """Bring rows that a dead writer left in journals into their HDF5 files or Zarr stores.

    PATH is an HDF5 file, a Zarr store, a run, its run id, or a folder that holds runs. Nothing
    needs to be recovered for reading with Holdfast; other tools see all rows afterwards.
    """
    found: list[dict[str, Any]] = []
    refused = False
    path = find(path, lambda p: is_run(p) or is_experiment(p), "file, run or folder")
    for file in _files(path):
        try:
            rows, problems = _recovered(file)
        except LockedError as error:  # being written: nothing is lost, and nothing is wrong
            found.append({"file": str(file), "rows": {}, "problems": [str(error)]})
            continue
        except (HoldfastError, OSError) as error:
            if file == path:
                raise
            found.append({"file": str(file), "rows": {}, "problems": [str(error)]})
            refused = True
            continue
        found.append({"file": str(file), "rows": rows, "problems": problems})
    if as_json:
        print_json(found)
    else:
        _print(found, path)
    if refused:
        sys.exit(REFUSED)


def _recovered(file: Path) -> tuple[dict[str, int], list[str]]:
    """Recover one file, and return the rows brought in by stream, and what was damaged."""
    if is_log_folder(file):
        return recover_messages(file)
    if file.suffix == STORE:
        from holdfast.fields import recover_store

        return recover_store(file)
    from holdfast.hdf5 import recover as recover_file

    done = recover_file(file)
    return done.rows, done.problems


def _print(found: list[dict[str, Any]], path: Path) -> None:
    for item in found:
        rows = sum(item["rows"].values())
        untouched = "not recovered" if item["problems"] else "whole"
        done = f"{rows} rows brought in" if rows else untouched
        click.echo(f"{visible(item['file'])}: {done}")
        for problem in item["problems"]:
            click.echo(f"  {visible(problem)}", err=True)
    if not found:
        click.echo(f"nothing to recover in {visible(str(path))}")


def _files(path: Path) -> Iterator[Path]:
    """Yield the file itself, or every file below a folder that has a journal."""
    if path.suffix == STORE or not path.is_dir() or is_log_folder(path):
        yield path
        return
    yield from sorted(_with_journal(path, 0))


def _with_journal(folder: Path, depth: int) -> Iterator[Path]:
    try:
        entries = list(folder.iterdir())
    except OSError as error:
        warnings.warn(f"{folder} is left out: {error.strerror}", HoldfastWarning, stacklevel=2)
        return
    for entry in entries:
        if not entry.is_dir() or entry.is_symlink():
            continue
        if entry.name.endswith(_JOURNAL):
            yield entry.with_name(entry.name.removesuffix(_JOURNAL))
        elif is_log_folder(entry):
            yield entry
        elif depth < MAX_DEPTH:
            yield from _with_journal(entry, depth + 1)
