"""What a logger's folder holds at one moment: runs of everything that is not in archives yet."""

import contextlib
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from holdfast.acquisition._archive import archive_path, archived_source, known_blocks
from holdfast.acquisition._entries import Entries, EntryReader, entries_in
from holdfast.acquisition._found import Found, blocks_in
from holdfast.acquisition._runs import BlockRun, Run, Source, Sources
from holdfast.acquisition._stored import StoredBlock, Words, why_unreadable
from holdfast.errors import FormatError, HoldfastWarning, MissingFileError

_TRIES = 20

_AHEAD = 2
"""Blocks that are verified while another is read."""

_T = TypeVar("_T")


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
    entries : Entries
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
    entries: Entries = field(default_factory=lambda: entries_in(Path(os.devnull)))
    problems: list[str] = field(default_factory=list)


def collect(
    folder: Path,
    source: Source | None = None,
    spill: Path | None = None,
    executor: Executor | None = None,
) -> Collected:
    """Look at a logger's folder, which may be written and assembled meanwhile.

    Parameters
    ----------
    folder : Path
        The folder.
    source : int or str, optional
        The only source whose archive and files of one message are of interest.
    spill : Path, optional
        Where messages of such files are kept for a while; None: in memory.
    executor : Executor, optional
        Verifies some blocks while others are read.

    Raises
    ------
    FormatError, IntegrityError
        If an archive is damaged.
    OSError
        If the folder cannot be read.
    """
    return until_settled(lambda: _collect(folder, source, spill, executor))


def until_settled(look: Callable[[], _T]) -> _T:
    """Look again where an assembly has deleted meanwhile what was to be read."""
    for _ in range(_TRIES - 1):
        with contextlib.suppress(FileNotFoundError):
            return look()
    return look()


def warn_of_problems(folder: Path, collected: Collected) -> None:
    """Tell whoever reads a folder what cannot be read of it."""
    if collected.problems:
        warnings.warn(
            f"{folder} holds files that are damaged or cannot be read, and messages of theirs are "
            f"left out: {'; '.join(collected.problems)}",
            HoldfastWarning,
            stacklevel=2,
        )


def _collect(
    folder: Path, source: Source | None, spill: Path | None, executor: Executor | None
) -> Collected:
    collected = Collected()
    found = list(blocks_in(folder))
    entries = entries_in(folder)
    if source is not None:
        entries = entries.of(source)
    # After the blocks: what is assembled meanwhile is seen twice then, and told apart, not missed.
    for known in [source] if source is not None else archived_sources(folder):
        with contextlib.suppress(MissingFileError):
            collected.taken[known], members = known_blocks(archive_path(folder, known))
            if members:
                collected.members.add(known)
    sound = [block for block in found if _has_header(block, collected)]
    for block, (words, problem) in zip(sound, _ahead(_published, sound, executor), strict=True):
        _add_block(collected, block, words, problem)
    reader = EntryReader(collected.sources, collected.taken, spill)
    collected.entries = reader.read(entries)
    collected.runs += reader.runs
    collected.problems += reader.problems
    return collected


def _has_header(block: Found, collected: Collected) -> bool:
    """Whether a block can be read; one that never will be is noted down."""
    if block.lane >= 0:
        return True
    if block.problem:
        collected.problems.append(f"{block.path}: {block.problem}")
    elif block.final and block.blank:
        collected.finished.append(block.path)
    elif block.final:
        collected.problems.append(f"{block.path} has no valid header")
    return False


def _published(found: Found) -> tuple[Words, str]:
    try:
        block = StoredBlock(found.path)
        try:
            return block.published()
        finally:
            block.close()
    except OSError as error:
        return np.empty(0, np.uint64), why_unreadable(error)


def _ahead(
    call: Callable[[Found], _T], items: Sequence[Found], executor: Executor | None
) -> Iterator[_T]:
    """Yield what a function gives for each item, a few of them being worked on ahead."""
    if executor is None:
        yield from map(call, items)
        return
    waiting: deque[Future[_T]] = deque()
    for item in items:
        waiting.append(executor.submit(call, item))
        if len(waiting) > _AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _add_block(collected: Collected, found: Found, words: Words, problem: str) -> None:
    run = None
    if len(words):
        try:
            run = BlockRun(found.path, words, collected.sources, collected.taken)
        except FormatError as error:  # in a block without a seal, whose checksum would tell
            problem = str(error)
    if problem:
        collected.problems.append(f"{found.path}: {problem}")
    elif found.final:
        collected.finished.append(found.path)
    if run is not None:
        collected.blocks.append(run)
        if run.survey.count:
            collected.runs.append(run)


def archived_sources(folder: Path) -> list[Source]:
    """Return the sources that have an archive in a folder, numbers first."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = [known for name in names if (known := archived_source(name)) is not None]
    return sorted(found, key=lambda known: (isinstance(known, str), known))
