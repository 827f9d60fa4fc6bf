"""What a logger's folder holds at one moment: runs of everything that is not in archives yet."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from holdfast.acquisition._alive import producer_lives
from holdfast.acquisition._archive import archive_path, archived_source, known_blocks
from holdfast.acquisition._entries import Entry, entries_in, read_entries
from holdfast.acquisition._runs import BlockRun, Run, Source, Sources
from holdfast.acquisition._stored import StoredBlock, block_paths, producer_folders
from holdfast.errors import MissingFileError

ENTRIES_A_RUN = 1 << 14
_TRIES = 20


@dataclass(slots=True)
class Collected:
    """Everything in a logger's folder.

    Attributes
    ----------
    sources : Sources
        The sources, numbered.
    taken : dict
        For each source that has an archive: how many messages of which blocks are in it.
    members : set
        Sources whose archive has a member for each message.
    runs : list of Run
        What is not in archives.
    blocks : list of BlockRun
        Those of the runs that are blocks, and blocks that archives hold already.
    finished : list of Path
        Files that may go once archives hold them.
    entries : list of Entry
        Files of one message.
    problems : list of str
        What is damaged, and left where it is.
    """

    sources: Sources = field(default_factory=Sources)
    taken: dict[Source, dict[int, int]] = field(default_factory=dict)
    members: set[Source] = field(default_factory=set)
    runs: list[Run] = field(default_factory=list)
    blocks: list[BlockRun] = field(default_factory=list)
    finished: list[Path] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def collect(folder: Path, source: Source | None = None) -> Collected:
    """Look at a logger's folder, which may be written and assembled meanwhile.

    Parameters
    ----------
    folder : Path
        The folder.
    source : int or str, optional
        The only source whose archive is of interest.

    Raises
    ------
    FormatError, IntegrityError
        If an archive is damaged.
    OSError
        If the folder cannot be read.
    """
    for _ in range(_TRIES - 1):
        with contextlib.suppress(FileNotFoundError):  # assembled, or deleted as empty, meanwhile
            return _collect(folder, source)
    return _collect(folder, source)


def _collect(folder: Path, source: Source | None) -> Collected:
    collected = Collected()
    found = list(_blocks(folder, collected))
    entries = list(entries_in(folder))
    # After the blocks: what is assembled meanwhile is seen twice then, and told apart, not missed.
    for known in [source] if source is not None else archived_sources(folder):
        with contextlib.suppress(MissingFileError):
            collected.taken[known], members = known_blocks(archive_path(folder, known))
            if members:
                collected.members.add(known)
    taken = collected.taken
    # The last block first: else a thread could go on from one that was read to one that is read
    # later, and there would be a gap between its messages.
    for path, final in reversed(found):
        _add_block(collected, path, taken, final=final)
    collected.blocks.reverse()
    collected.runs.reverse()
    for start in range(0, len(entries), ENTRIES_A_RUN):
        some = entries[start : start + ENTRIES_A_RUN]
        run = read_entries(some, collected.sources, taken)
        collected.entries += some
        if run is not None:
            collected.runs.append(run)
    return collected


def archived_sources(folder: Path) -> list[Source]:
    """Return the sources that have an archive in a folder, numbers first."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = [known for name in names if (known := archived_source(name)) is not None]
    return sorted(found, key=lambda known: (isinstance(known, str), known))


def _blocks(folder: Path, collected: Collected) -> Iterator[tuple[Path, bool]]:
    """Yield the blocks that have a header, and whether nothing more comes to them."""
    for producer in producer_folders(folder):
        dead = not producer_lives(producer)
        for path in block_paths(producer):
            block = StoredBlock(path)
            if block.header is not None:
                yield path, dead or block.states().final is not None
            elif dead and block.is_blank():
                collected.finished.append(path)
            elif dead:
                collected.problems.append(f"{path} has no valid header")
            block.close()


def _add_block(
    collected: Collected, path: Path, taken: dict[Source, dict[int, int]], *, final: bool
) -> None:
    block = StoredBlock(path)
    words, problem = block.published()
    block.close()
    if problem:
        collected.problems.append(f"{path}: {problem}")
    elif final:
        collected.finished.append(path)
    if not len(words):
        return
    run = BlockRun(path, words, collected.sources, taken)
    collected.blocks.append(run)
    if run.survey.counts:
        collected.runs.append(run)
