"""``holdfast tail``: the last messages of a run, and those to come while it lives."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from holdfast._plain import dump_json, to_plain
from holdfast._text import visible
from holdfast.cli._find import open_run
from holdfast.cli._output import json_option
from holdfast.run import LogLine

if TYPE_CHECKING:
    from holdfast.streams import Stream


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "-n", "--lines", default=10, show_default=True, help="How many messages to begin with."
)
@click.option("--follow/--no-follow", default=True, help="Wait for more until the run has ended.")
@click.option("--stream", metavar="NAME", help="Rows of a stream instead of messages.")
@json_option
def tail(run: Path, lines: int, follow: bool, stream: str | None, as_json: bool) -> None:
    """Print the last messages of RUN, then those that a live run adds, until it has ended."""
    reader = open_run(run)
    if stream is not None:
        _tail_stream(reader.stream(stream), lines, follow, as_json)
        return
    present = reader.log_lines()
    skipped = max(len(present) - max(lines, 0), 0)
    if not follow:
        for line in present[skipped:]:
            _print(line, as_json)
        return
    for number, line in enumerate(reader.follow_log()):
        if number >= skipped:
            _print(line, as_json)
    if not as_json:
        click.echo(f"run {visible(reader.run_id)} is {reader.state}", err=True)


def _tail_stream(stream: "Stream", lines: int, follow: bool, as_json: bool) -> None:
    first = max(len(stream) - max(lines, 0), 0)
    rows = stream.follow(first) if follow else iter(stream[first:])
    for number, row in enumerate(rows, first):
        if as_json:
            fields = to_plain({"row": number, "value": row}, "row")
            click.echo(dump_json(fields, indent=0).decode().rstrip())
        else:
            click.echo(f"{number}  " + "\n".join(map(visible, str(row).split("\n"))))


def _print(line: LogLine, as_json: bool) -> None:
    if as_json:
        fields = {"time": line.time, "level": line.level, "message": line.message}
        click.echo(dump_json(fields, indent=0).decode().rstrip())
    else:
        click.echo("\n".join(map(visible, str(line).split("\n"))))
