"""All messages of one source in a logger's folder, assembled or not, at one moment."""

from pathlib import Path

import numpy as np

from holdfast._names import listing, nearest
from holdfast.acquisition._archive import archive_path, open_archive
from holdfast.acquisition._archived import archive_runs
from holdfast.acquisition._collect import (
    Collected,
    archived_sources,
    collect,
    until_settled,
    warn_of_problems,
)
from holdfast.acquisition._columns import Messages
from holdfast.acquisition._gather import Part, by_source
from holdfast.acquisition._making import Tally
from holdfast.acquisition._merge import merged_parts
from holdfast.acquisition._runs import Source
from holdfast.errors import NotFoundError


def snapshot(folder: Path, source: Source) -> Messages:
    """Return the messages of a source; mapped where all of them are in its archive.

    Raises
    ------
    NotFoundError
        If the folder holds none of this source.
    FormatError, IntegrityError
        If its archive is damaged.
    """
    return until_settled(lambda: _snapshot(folder, source))


def _snapshot(folder: Path, source: Source) -> Messages:
    collected = collect(folder, source)
    number = collected.sources.number(source)
    archived = None
    if source in collected.taken:
        archived = open_archive(archive_path(folder, source))
        if archived.known != collected.taken[source]:
            raise FileNotFoundError(f"{folder} was assembled meanwhile")
    warn_of_problems(folder, collected)
    runs = [run for run in collected.runs if run.survey.has(number)]
    if not runs:
        if archived is None:
            raise _missing(folder, source, collected)
        return archived
    if archived is not None:
        mapped = archived
        runs = [*archive_runs(lambda: mapped, number), *runs]
    parts = [
        Part(own.sources[:0], own.times, own.starts[:0], own.lengths, own.content())
        for part in merged_parts(runs)
        for found, own in by_source(part)
        if found == number
    ]
    lengths = np.concatenate([part.lengths for part in parts])
    return Messages(
        source,
        np.concatenate([part.times for part in parts]),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.uint64),
        np.concatenate([part.payload for part in parts]),
        Tally(runs).recordings(number),
    )


def _missing(folder: Path, source: Source, collected: Collected) -> NotFoundError:
    known = [str(name) for name in present(folder, collected)]
    return NotFoundError(
        f"{folder} holds no messages of source {source!r}; it holds those of {listing(known)}"
        f"{nearest(str(source), known)}"
    )


def present(folder: Path, collected: Collected) -> list[Source]:
    """Return the sources that a folder holds messages of, numbers first."""
    numbers = {number for run in collected.runs for number in run.survey.numbers.tolist()}
    found = {collected.sources.names[number] for number in numbers} | set(archived_sources(folder))
    return sorted(found, key=lambda known: (isinstance(known, str), known))


def sources_in(folder: Path) -> list[Source]:
    """Return the sources that a logger's folder holds messages of, numbers first."""
    return present(folder, collect(folder))
