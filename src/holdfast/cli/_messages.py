"""``holdfast messages`` and ``holdfast assemble``: what many sources have logged."""

from dataclasses import asdict
from pathlib import Path
from typing import Literal

import click

from holdfast.cli._find import find, is_run
from holdfast.cli._output import json_option, print_json, print_table
from holdfast.errors import IntegrityError, MissingFileError
from holdfast.run import MESSAGES
from holdfast.tables import Table


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@json_option
def messages(directory: Path, as_json: bool) -> None:
    """List the sources of messages in DIRECTORY: counts, rates, gaps and spans.

    DIRECTORY is the folder of a logger, or a run, or its run id. Times are microseconds as they
    were put. Messages count whether they are assembled or not, and while they are being put.
    """
    from holdfast.acquisition import report

    rows = [asdict(found) for found in report(folder_of(directory))]
    if as_json:
        print_json(rows)
        return
    columns = rows[0].keys() if rows else ("source", "messages")
    print_table(Table(rows, tuple(columns), f"{len(rows)} sources"), whole=("source", "messages"))


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--keep", is_flag=True, help="Keep the blocks that messages are assembled from.")
@click.option("--verify", is_flag=True, help="Compare archives with their sources before that.")
@click.option(
    "--layout",
    type=click.Choice(["columns", "messages"]),
    help="Few columns, or a member for each message, as ataraxis has them; else as it was.",
)
@click.option("--workers", type=int, help="Threads that write archives.")
@json_option
def assemble(
    directory: Path,
    keep: bool,
    verify: bool,
    layout: Literal["columns", "messages"] | None,
    workers: int | None,
    as_json: bool,
) -> None:
    """Bring the messages in DIRECTORY into archives, one a source, sorted by time.

    DIRECTORY is the folder of a logger, or a run, or its run id. Call it again for messages that
    came since. With --json it prints what the folder holds then, as messages --json does.
    """
    from holdfast.acquisition import assemble_log_archives, report

    folder = folder_of(directory)
    assemble_log_archives(
        folder,
        workers,
        remove_sources=not keep,
        verify_integrity=verify,
        layout=layout,
        verbose=not as_json,
    )
    if as_json:
        print_json([asdict(found) for found in report(folder)])


def folder_of(directory: Path) -> Path:
    """Return the folder that holds messages: the one given, or that of a run.

    Raises
    ------
    MissingFileError
        If there is none.
    """
    path = find(directory, is_run, "folder of messages or run")
    folder = path / MESSAGES if is_run(path) else path
    if not folder.is_dir():
        raise MissingFileError(f"there are no messages in {path}; its folder {folder} is not there")
    return folder


def is_log_folder(folder: Path) -> bool:
    """Whether a folder holds messages that are not assembled yet."""
    return folder.is_dir() and any(folder.glob("producer-*"))


def recover_messages(folder: Path) -> tuple[dict[str, int], list[str]]:
    """Assemble a folder, and return how many messages it has, and what is damaged."""
    from holdfast.acquisition import assemble_log_archives, report

    problems = []
    try:
        assemble_log_archives(folder)
    except IntegrityError as error:
        problems.append(str(error))
    return {str(found.source): found.messages for found in report(folder)}, problems
