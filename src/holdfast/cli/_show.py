"""``holdfast show``: one run, or one experiment, at a glance."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from holdfast._text import short, visible
from holdfast.cli._fields import is_data_file, show_file
from holdfast.cli._find import find, is_experiment, is_run
from holdfast.cli._output import console, json_option, print_json, print_table, state_text
from holdfast.errors import HoldfastError
from holdfast.run import LogReader, facts_of
from holdfast.sweeps import ExperimentReader

_LAST_LINES = 5


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@json_option
def show(run: Path, as_json: bool) -> None:
    """Show a RUN: its state, parameters, metrics, contents and last messages.

    RUN is a run directory, or the run id of one anywhere below ./outputs (or this folder, if there
    is no ./outputs). Of an experiment, its table is shown; of an HDF5 file, a Zarr store or an
    archive movie, what is in it.
    """
    if is_data_file(run):
        show_file(run, as_json)
        return
    found = find(run, lambda path: is_run(path) or is_experiment(path), "run or experiment")
    if is_experiment(found):
        _show_experiment(found, as_json)
        return
    reader = LogReader(found)
    if as_json:
        print_json(everything(reader))
    else:
        _print_run(reader)


def _show_experiment(path: Path, as_json: bool) -> None:
    experiment = ExperimentReader(path)
    if as_json:
        print_json(list(experiment.table()))
        return
    click.echo("\n".join(map(visible, str(experiment).split("\n"))))
    print_table(experiment.table(), whole=("run_id",))


def everything(run: LogReader) -> dict[str, Any]:
    """Return all that a run says of itself and the names of what it holds."""
    return {
        "path": str(run.path),
        "run_id": run.run_id,
        "state": run.state,
        "params": run.params,
        "metrics": metrics_of(run),
        "meta": run.meta,
        "arrays": run.arrays,
        "streams": {name: list(run.stream(name).shape) for name in run.streams},
        "records": {name: len(run.records(name)) for name in run.record_scopes},
        "artifacts": run.artifact_files,
        "plots": run.plots,
        "attempts": [str(attempt.path) for attempt in run.attempts],
    }


def metrics_of(run: LogReader) -> dict[str, Any]:
    """Return the metrics of a run, ``{}`` if it has none."""
    if "metrics" not in run.artifacts:
        return {}
    metrics = run.load_json("metrics")
    return metrics if isinstance(metrics, dict) else {"metrics": metrics}


def environment_of(run: LogReader) -> dict[str, Any]:
    """Return what a run's metadata say of its environment, ``{}`` if they say nothing of use."""
    environment = run.meta.get("environment")
    return environment if isinstance(environment, dict) else {}


def _print_run(run: LogReader) -> None:
    facts = facts_of(run)
    details: dict[str, str | Text] = {**facts, "state": state_text(facts["state"])}
    more: dict[str, Callable[[], str]] = {
        "metrics": lambda: ", ".join(f"{k}={short(v)}" for k, v in metrics_of(run).items()),
        "made by": lambda: _origin(environment_of(run)),
        "attempts": lambda: ", ".join(str(attempt.path) for attempt in run.attempts),
    }
    for name, tell in more.items():
        try:
            details[name] = tell()
        except (HoldfastError, OSError) as error:
            details[name] = f"unreadable: {error}"
    out = console()
    out.print(Text(visible(f"Run {run.run_id}"), style="bold"), Text(visible(f"in {run.path}")))
    for name, text in details.items():
        if text:
            shown = text if isinstance(text, Text) else Text(visible(text))
            out.print(Text(f"  {name:<10}"), shown, soft_wrap=True)
    _print_end(run)


def _origin(environment: dict[str, Any]) -> str:
    git = environment.get("git")
    git = git if isinstance(git, dict) else {}
    commit = str(git.get("commit", ""))[:10] + (
        " with uncommitted changes" if git.get("dirty") else ""
    )
    parts = [
        f"{environment.get('user')} on {environment.get('host')}" if environment else "",
        f"Python {environment.get('python')}" if environment else "",
        f"commit {commit}" if commit else "",
    ]
    return ", ".join(part for part in parts if part)


def _print_end(run: LogReader) -> None:
    try:
        lines = run.log_lines()[-_LAST_LINES:]
    except (HoldfastError, OSError) as error:
        click.echo(f"  last messages unreadable: {visible(str(error))}")
        return
    if lines:
        click.echo("  last messages")
    for line in lines:
        for part in str(line).split("\n"):
            click.echo("    " + visible(part))
