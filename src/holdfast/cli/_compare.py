"""``holdfast diff``: where two runs differ."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from holdfast._plain import to_plain
from holdfast.cli._find import open_run
from holdfast.cli._output import json_option, print_json, print_table
from holdfast.cli._show import environment_of, metrics_of
from holdfast.run import LogReader
from holdfast.tables import Table

DIFFERENT = 1

_OF_THE_PROCESS = frozenset(["pid", "process_start", "boot_id", "pid_namespace", "scheduler"])
"""What differs between any two runs and says nothing."""


@click.command()
@click.argument("one", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("other", metavar="RUN", type=click.Path(path_type=Path))
@json_option
def diff(one: Path, other: Path, as_json: bool) -> None:
    """Show where two runs differ: state, parameters, metrics and environment.

    The exit code is 1 if they do.
    """
    left, right = _sides(open_run(one)), _sides(open_run(other))
    rows = [
        {"part": part, "name": name, "first": left[part].get(name), "second": right[part].get(name)}
        for part in left
        for name in dict.fromkeys([*left[part], *right[part]])
        if left[part].get(name) != right[part].get(name)
    ]
    if as_json:
        print_json(rows)
    elif rows:
        print_table(
            Table(rows, ("part", "name", "first", "second"), "differences"), whole=("name",)
        )
    else:
        click.echo("no differences")
    if rows:
        sys.exit(DIFFERENT)


def _sides(run: LogReader) -> dict[str, dict[str, Any]]:
    kept = {k: v for k, v in environment_of(run).items() if k not in _OF_THE_PROCESS}
    return {
        "run": {"state": run.state, "failure_reason": run.meta.get("failure_reason")},
        "params": _flat(run.params),
        "metrics": _flat(metrics_of(run)),
        "environment": _flat(kept),
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested mappings to dotted names, and everything else to plain data (NaN as text)."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            plain = to_plain(value, name)
            flat[prefix + name] = str(plain) if plain != plain else plain  # noqa: PLR0124 - NaN
    return flat
