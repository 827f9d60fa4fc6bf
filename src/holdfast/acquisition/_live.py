"""All messages of one source in a logger's folder, assembled or not, at one moment."""

import contextlib
from pathlib import Path

import numpy as np

from holdfast._names import listing, nearest
from holdfast.acquisition._archive import Messages
from holdfast.acquisition._collect import (
    Collected,
    archive_runs,
    archived_sources,
    collect,
    recordings_of,
)
from holdfast.acquisition._gather import I64, U8, U64
from holdfast.acquisition._merge import merge_runs
from holdfast.acquisition._runs import Source
from holdfast.errors import NotFoundError

_TRIES = 20


def snapshot(folder: Path, source: Source) -> Messages:
    """Return the messages of a source; mapped where all of them are in its archive.

    Raises
    ------
    NotFoundError
        If the folder holds none of this source.
    FormatError, IntegrityError
        If its archive is damaged.
    """
    for _ in range(_TRIES - 1):
        with contextlib.suppress(FileNotFoundError):  # assembled between two looks
            return _snapshot(folder, source)
    return _snapshot(folder, source)


def _snapshot(folder: Path, source: Source) -> Messages:
    collected = collect(folder, source)
    number = collected.sources.number(source)
    archived = collected.archives.get(source)
    runs = [run for run in collected.runs if number in run.survey.counts]
    if not runs:
        if archived is None:
            raise _missing(folder, source, collected)
        return archived
    if archived is not None:
        runs = [*archive_runs(archived, number), *runs]
    times: list[U64] = []
    lengths: list[I64] = []
    payload: list[U8] = []

    def sink(found: int, stamps: U64, sizes: I64, content: U8) -> None:
        if found == number:
            times.append(stamps)
            lengths.append(sizes)
            payload.append(content)

    merge_runs(runs, sink)
    return Messages(
        source,
        np.concatenate(times),
        np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.uint64),
        np.concatenate(payload),
        recordings_of(runs, number),
    )


def _missing(folder: Path, source: Source, collected: Collected) -> NotFoundError:
    known = [str(name) for name in present(folder, collected)]
    return NotFoundError(
        f"{folder} holds no messages of source {source!r}; it holds those of {listing(known)}"
        f"{nearest(str(source), known)}"
    )


def present(folder: Path, collected: Collected) -> list[Source]:
    """Return the sources that a folder holds messages of, numbers first."""
    numbers = {number for run in collected.runs for number in run.survey.counts}
    found = {collected.sources.names[number] for number in numbers} | set(archived_sources(folder))
    return sorted(found, key=lambda known: (isinstance(known, str), known))


def sources_in(folder: Path) -> list[Source]:
    """Return the sources that a logger's folder holds messages of, numbers first."""
    return present(folder, collect(folder))
