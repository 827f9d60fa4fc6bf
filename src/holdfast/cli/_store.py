"""``holdfast sql``, ``reindex``, ``explain``: what a store answers; and its runs for ``ls``."""

import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from holdfast._plain import load_json
from holdfast._text import duration, visible
from holdfast._yaml import load_yaml
from holdfast.cli._output import json_option, print_json, print_table
from holdfast.errors import FormatError, HoldfastWarning, MissingFileError
from holdfast.store import Explanation, Store
from holdfast.store import explain as explain_run

_FACTS = {
    "run_id": "run_id",
    "state": "state",
    "status": "status",
    "started": "start_time",
    "finished": "end_time",
    "runtime": "runtime_sec",
    "reason": "failure_reason",
    "task": "task",
    "group": "group",
}
"""What is listed of a run: columns of a store's table, and what metadata call them."""

store_argument = click.argument(
    "folder", metavar="[STORE]", default="storage", type=click.Path(path_type=Path)
)


def open_store(folder: Path) -> Store:
    """Return the store that the user named.

    Raises
    ------
    MissingFileError
        If there is no such folder.
    """
    if not folder.is_dir():
        raise MissingFileError(f"there is no store {folder}; name the folder that holds the runs")
    return Store(folder)


def stored_facts(folder: Path, where: str | None) -> list[dict[str, Any]]:
    """Return what is listed of the runs of a store, by its index, sorted by path."""
    store = Store(folder)
    with warnings.catch_warnings():
        if where is None:  # damaged runs are in the list itself
            warnings.simplefilter("ignore", HoldfastWarning)
        table = store.table(where)
    problems = store.index.problems
    store.close()
    return sorted(_told(folder, table, problems), key=lambda facts: str(facts["path"]))


def _told(folder: Path, rows: Any, problems: dict[str, str]) -> Iterator[dict[str, Any]]:
    for row in rows:
        name = Path(row["directory"]).name
        facts = facts_in(row) | {"path": str(folder / name)}
        if name in problems:
            facts["problem"] = problems[name]
        yield facts


def facts_in(row: dict[str, Any]) -> dict[str, Any]:
    """Return what is listed of a run, from its row in a store's table."""
    known = {name: row[column] for column, name in _FACTS.items() if row[column] is not None}
    return {"path": row["directory"], **known}


@click.command()
@click.argument("query")
@store_argument
@json_option
def sql(query: str, folder: Path, as_json: bool) -> None:
    """Answer QUERY, in SQL that can only read, from the index of STORE (./storage).

    The tables are runs, params and metrics, and the view experiments.
    """
    store = open_store(folder)
    table = store.sql(query)
    store.close()
    if as_json:
        print_json(list(table))
    else:
        print_table(table)


@click.command()
@store_argument
@json_option
def reindex(folder: Path, as_json: bool) -> None:
    """Build the index of STORE (./storage) anew from its run directories."""
    store = open_store(folder)
    begin = time.perf_counter()
    store.index.rebuild()
    seconds = time.perf_counter() - begin
    count = store.sql("SELECT count(*) AS runs FROM runs")[0]["runs"]
    problems = store.index.problems
    file = store.sqlite_file
    store.close()
    if as_json:
        told = {"file": str(file), "runs": count, "seconds": seconds, "problems": problems}
        print_json(told)
        return
    runs = "1 run" if count == 1 else f"{count} runs"
    click.echo(f"{runs} in {visible(str(file))}, built in {duration(seconds)}")
    for folder_name, problem in problems.items():
        click.echo(f"  {visible(folder_name)}: {visible(problem)}", err=True)


@click.command()
@click.argument("task")
@click.argument("params", required=False, type=click.Path(path_type=Path))
@click.option(
    "--store",
    "folder",
    default="storage",
    type=click.Path(path_type=Path),
    help="The store to look in; ./storage by default.",
)
@click.option("--seed", type=int, help="A seed that was asked for.")
@click.option("--replicate", type=int, default=0, help="Which replicate.")
@json_option
def explain(
    task: str,
    params: Path | None,
    folder: Path,
    seed: int | None,
    replicate: int,
    as_json: bool,
) -> None:
    """Tell why get(TASK, PARAMS) finds a run in a store, or does not.

    TASK is the name of its module, as for get; PARAMS is a YAML or JSON file of parameters. On a
    miss, the nearest runs are shown with the parameters, defaults or code that differ.
    """
    given = load_parameters(params) if params is not None else {}
    with Store(folder):
        told = explain_run(task, given, seed=seed, replicate=replicate)
    if as_json:
        print_json(_as_data(told))
    else:
        click.echo("\n".join(map(visible, str(told).split("\n"))))


def load_parameters(file: Path) -> dict[str, Any]:
    """Read parameters from a YAML or JSON file.

    Raises
    ------
    MissingFileError
        If there is none.
    FormatError
        If it holds no mapping.
    """
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise MissingFileError(f"there is no file {file}; name one with parameters") from None
    values = (load_json if file.suffix == ".json" else load_yaml)(content, str(file))
    if values is not None and not isinstance(values, dict):
        raise FormatError(f"{file} holds no mapping of names to values")
    return values or {}


def _as_data(told: Explanation) -> dict[str, Any]:
    near = [
        {
            "path": str(run.path),
            "state": run.state,
            "differs": {name: list(pair) for name, pair in run.differs.items()},
            "schema": list(run.schema),
            "code_changed": run.code_changed,
        }
        for run in told.near
    ]
    return {
        "hit": told.is_hit,
        "path": str(told.run.directory),
        "state": told.state,
        "code_changed": told.code_changed,
        "params": dict(told.run.params),
        "near": near,
        "runs": told.total,
    }
