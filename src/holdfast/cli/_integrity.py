"""``holdfast seal``, ``verify`` and ``copy``: data that are provably the same."""

import sys
from pathlib import Path
from typing import Literal

import click

from holdfast._text import visible
from holdfast.cli._find import find, is_run
from holdfast.cli._output import REFUSED, json_option, print_json
from holdfast.integrity import seal_directory, transfer_directory, verify_directory

_threads = click.option(
    "--threads", default=0, help="How many files at once; every processor by default."
)


def _folder(path: Path) -> Path:
    return find(path, lambda p: is_run(p) or p.is_dir(), "run or folder")


@click.command()
@click.argument("path", metavar="RUN|DIR", type=click.Path(path_type=Path))
@_threads
@json_option
def seal(path: Path, threads: int, as_json: bool) -> None:
    """Write the digest of every file of a run or folder into it, to be verified later."""
    path = _folder(path)
    digest = seal_directory(path, threads or None, progress=sys.stderr.isatty())
    if as_json:
        print_json({"path": str(path), "digest": digest})
    else:
        click.echo(f"{digest}  {visible(str(path))}")


@click.command()
@click.argument("path", metavar="RUN|DIR", type=click.Path(path_type=Path))
@_threads
@json_option
def verify(path: Path, threads: int, as_json: bool) -> None:
    """Compare a run or folder with its seal; exit 4 if a file changed, is missing or new."""
    path = _folder(path)
    report = verify_directory(path, threads or None, progress=sys.stderr.isatty())
    if as_json:
        print_json({"path": str(path), "ok": report.ok, "report": report})
    else:
        for word in ("changed", "missing", "extra"):
            for name in getattr(report, word):
                click.echo(f"{word:10} {visible(name)}")
        for name, why in report.unreadable.items():
            click.echo(f"unreadable {visible(name)}: {visible(why)}")
        click.echo(f"{visible(str(path))}: {report}")
    if not report:
        sys.exit(REFUSED)


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("destination", type=click.Path(path_type=Path))
@click.option("--verify/--no-verify", default=True, help="Read the copies back and compare.")
@click.option("--remove-source", is_flag=True, help="Delete SOURCE once all is verified.")
@click.option(
    "--existing",
    type=click.Choice(["resume", "merge", "reset"]),
    default="resume",
    show_default=True,
    help="What DESTINATION has and SOURCE lacks: an error, kept, or deleted.",
)
@_threads
@json_option
def copy(
    source: Path,
    destination: Path,
    verify: bool,
    remove_source: bool,
    existing: Literal["resume", "merge", "reset"],
    threads: int,
    as_json: bool,
) -> None:
    """Copy what SOURCE holds into DESTINATION; called again, only what differs."""
    report = transfer_directory(
        source,
        destination,
        threads,
        verify_integrity=verify,
        remove_source=remove_source,
        progress=sys.stderr.isatty(),
        existing=existing,
    )
    if as_json:
        print_json(report)
    else:
        checked = ", verified" if report.verified else ""
        there = f", {report.skipped} were there" if report.skipped else ""
        click.echo(f"{report.copied} files ({report.bytes_copied:,} bytes) copied{there}{checked}")
