"""``holdfast ls`` and ``holdfast table``: many runs, a line each."""

from pathlib import Path
from typing import Any

import click

from holdfast._text import duration, visible
from holdfast.cli._find import base_folder, find, is_experiment, run_paths
from holdfast.cli._output import json_option, print_json, print_table
from holdfast.cli._store import facts_in, stored_facts
from holdfast.errors import HoldfastError
from holdfast.run import LogReader, run_id_of
from holdfast.store import is_store, table_of_runs
from holdfast.sweeps import ExperimentReader
from holdfast.tables import Table

_COLUMNS = ("run", "state", "started", "runtime", "reason")


@click.command()
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--where", metavar="EXPR", help='Only these runs, e.g. "dt < 0.1".')
@json_option
def ls(folder: Path | None, where: str | None, as_json: bool) -> None:
    """List the runs in and below DIR (./outputs if there is one, else the current folder).

    EXPR asks for parameters, metrics, and what every run has: state, task, group, reason and so on.
    """
    base = folder or base_folder()
    if is_store(base):
        runs = stored_facts(base, where)
    elif where is not None:
        runs = [facts_in(row) for row in table_of_runs(run_paths(base), where)]
    else:
        runs = [_facts(path) for path in run_paths(base)]
    if as_json:
        print_json(runs)
    elif not runs:
        told = "no runs" if where is None else "no such runs"
        click.echo(f"{told} in {visible(str(base))}", err=True)
    else:
        rows = [_row(facts) for facts in runs]
        print_table(Table(rows, _COLUMNS, str(base)), whole=("run", "state"))


def _facts(path: Path) -> dict[str, Any]:
    """Return what is listed of a run; one that cannot be read does not hide the others."""
    try:
        run = LogReader(path)
        meta = run.meta
        state: str = run.state
    except (HoldfastError, OSError) as error:
        return {
            "path": str(path),
            "run_id": run_id_of(path),
            "state": "unreadable",
            "problem": str(error),
        }
    names = ("status", "start_time", "end_time", "runtime_sec", "failure_reason")
    known = {name: meta[name] for name in names if name in meta}
    return {"path": str(path), "run_id": run.run_id, "state": state, **known}


def _row(facts: dict[str, Any]) -> dict[str, Any]:
    seconds = facts.get("runtime_sec")
    reason = facts.get("failure_reason") or facts.get("problem") or ""
    return {
        "run": facts["path"],
        "state": facts["state"],
        "started": str(facts.get("start_time", ""))[:19].replace("T", " "),
        "runtime": duration(seconds) if isinstance(seconds, int | float) else "",
        "reason": str(reason).partition("\n")[0],
    }


@click.command()
@click.argument("experiment", type=click.Path(path_type=Path))
@click.option("--where", metavar="EXPR", help='Only these runs, e.g. "dt < 0.1".')
@click.option("--sort", metavar="COLUMN", help="Order by a column.")
@click.option("--descending", is_flag=True, help="Largest first, with --sort.")
@click.option("--columns", metavar="A,B,...", help="Only these columns.")
@json_option
def table(
    experiment: Path,
    where: str | None,
    sort: str | None,
    descending: bool,
    columns: str | None,
    as_json: bool,
) -> None:
    """Print the runs of EXPERIMENT with their parameters, status, state and metrics.

    EXPERIMENT is its folder, or its name if it is anywhere below ./outputs.
    """
    runs = ExperimentReader(find(experiment, is_experiment, "experiment")).table(where)
    if sort is not None:
        runs = runs.sort(sort, descending=descending)
    if columns is not None:
        runs = runs.only([name.strip() for name in columns.split(",")])
    if as_json:
        print_json(list(runs))
    else:
        print_table(runs, whole=("run_id",))
