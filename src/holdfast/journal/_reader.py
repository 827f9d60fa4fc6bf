"""`read_journal`: a snapshot of what a journal holds, live or left behind, read without any lock.

A live journal changes while one looks at it, so what seems odd there is left out until the next
look. A dead one does not: what does not fit together is damage, and is reported.
"""

import json
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from holdfast._process import boot_id
from holdfast.errors import FormatError
from holdfast.journal._checks import checked_count, synced_count
from holdfast.journal._format import (
    CATALOGUE,
    HEADER_BYTES,
    PAGE,
    VERSION,
    BlockHeader,
    GenerationHeader,
    generation_number,
    unpack_block,
    unpack_generation,
    unpack_line,
)
from holdfast.journal._lock import HAS_LOCKS, writer_lives
from holdfast.journal._segment import GenerationFile, Segment, in_order, read_rows


@dataclass(slots=True)
class Journal:
    """What a journal held at one moment.

    Attributes
    ----------
    streams : dict
        Definition of each stream by its id, as `JournalWriter.define` took it.
    events : list of dict
        The other lines of the catalogue, in order.
    segments : dict
        Segments of each stream by its id, by absolute row number, without overlap.
    problems : list of str
        What was damaged and left out.
    generations : set of int
        Numbers of the generations it was read from.
    nonces : set of int
        Their nonces. Numbers begin anew with each journal of a file; these tell them apart.
    after_reboot : bool
        Whether the machine was booted since, so that only what had been synced is here.
    """

    streams: dict[int, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    segments: dict[int, list[Segment]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    generations: set[int] = field(default_factory=set)
    nonces: set[int] = field(default_factory=set)
    after_reboot: bool = False

    def rows(self, stream: int) -> tuple[int, int]:
        """Return the absolute numbers of a stream's first row here and of that after its last."""
        segments = self.segments.get(stream)
        return (segments[0].first, segments[-1].stop) if segments else (0, 0)

    def read(self, stream: int, start: int, stop: int) -> bytes:
        """Return the bytes of rows by absolute numbers, all of which must be here."""
        return read_rows(self.segments.get(stream, ()), start, stop)


def read_journal(folder: Path, *, live: bool | None = None) -> Journal | None:
    """Take a snapshot of a journal.

    Parameters
    ----------
    folder : Path
        The journal's folder.
    live : bool, optional
        Whether its writer may be writing; found out by the lock when left out. Who holds the lock
        and is not the writer yet says False.

    Returns
    -------
    Journal or None
        None if there is no journal, or if a generation vanished while the snapshot was taken: its
        rows are in the data file now, so whoever reads both begins again.

    Raises
    ------
    FormatError
        If a newer version of Holdfast wrote it.
    OSError
        If the folder cannot be read.
    """
    if live is None:
        journal = read_journal(folder, live=not HAS_LOCKS or writer_lives(folder))
        if journal is not None and journal.problems and writer_lives(folder):
            return read_journal(folder, live=True)  # a writer began meanwhile
        return journal
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return None
    numbers = {n: name for name in names if (n := generation_number(name)) is not None}
    snapshot = _Snapshot(Journal(), live=live)
    for number, name in sorted(numbers.items()):
        try:
            file = GenerationFile(folder / name)
        except FileNotFoundError:
            return None
        snapshot.read(file, last=number == max(numbers))
    snapshot.compare(folder, numbers)
    return snapshot.finish(folder)


class _Snapshot:
    """A journal as it is put together from its generations."""

    def __init__(self, journal: Journal, *, live: bool) -> None:
        self._journal, self._live = journal, live

    def report(self, problem: str) -> None:
        if not self._live:
            self._journal.problems.append(f"{problem}; restore it from a copy if there is one")

    def read(self, file: GenerationFile, *, last: bool) -> None:
        page = file.some(0, PAGE)
        header = unpack_generation(page)
        if header is None:
            # Killed while it made the last file, a writer leaves it empty or its header zero.
            if not last or any(page) or any(file.some(PAGE, HEADER_BYTES)):
                self.report(f"{file.path} has no valid header, so that its rows are left out")
            return
        if header.version != VERSION:
            raise FormatError(
                f"{file.path} was written by a newer Holdfast (journal version {header.version}); "
                "install that to read it"
            )
        self._journal.generations.add(header.number)
        self._journal.nonces.add(header.nonce)
        self._read_blocks(file, header)

    def _read_blocks(self, file: GenerationFile, header: GenerationHeader) -> None:
        after_reboot = header.boot_id != boot_id()
        self._journal.after_reboot |= after_reboot
        catalogue: list[Segment] = []
        reached = PAGE
        for offset, block in _blocks(file, header.nonce):
            reached = offset + block.length
            count = self._count(file, offset, block, after_reboot=after_reboot)
            if not count:
                continue
            segment = Segment(block.first, count, block.row_bytes, file, offset + HEADER_BYTES)
            if block.stream == CATALOGUE:
                catalogue.append(segment)
            else:
                self._journal.segments.setdefault(block.stream, []).append(segment)
        if (reached < header.end and not after_reboot) or file.size < PAGE:
            self.report(
                f"{file.path} is damaged at byte {reached}; blocks from there on are left out"
            )
        self._read_catalogue(file.path, catalogue, after_reboot=after_reboot)

    def _count(
        self, file: GenerationFile, offset: int, block: BlockHeader, *, after_reboot: bool
    ) -> int:
        if after_reboot:
            return synced_count(file, offset, block)
        if self._live:
            return min(block.count, block.capacity)
        count, problem = checked_count(file, offset, block)
        if problem:
            self.report(f"{file.path}, block at byte {offset} of stream {block.stream}: {problem}")
        return count

    def _read_catalogue(self, path: Path, segments: list[Segment], *, after_reboot: bool) -> None:
        kept, problem = in_order(segments, compare=False, after_reboot=after_reboot)
        if problem:
            self.report(f"{path}, catalogue: {problem}")
        content = read_rows(kept, 0, kept[-1].stop) if kept else b""
        for line in content.split(b"\n")[:-1]:
            found = unpack_line(line)
            if found is None:
                self.report(f"{path} has a damaged line in its catalogue, which is left out")
                continue
            event = json.loads(found)
            stream = event.pop("define", None)
            if stream is None:
                self._journal.events.append(event)
            else:
                self._journal.streams[stream] = event

    def compare(self, folder: Path, numbers: Collection[int]) -> None:
        """Report generations that are missing: they are made in order, and given up in order."""
        known = bool(self._journal.generations) and not self._journal.after_reboot
        if known and max(numbers) - min(numbers) >= len(numbers):
            self.report(f"{folder}: files between {min(numbers)} and {max(numbers)} are missing")

    def finish(self, folder: Path) -> Journal:
        journal = self._journal
        for stream, segments in journal.segments.items():
            kept, problem = in_order(
                segments, compare=not self._live, after_reboot=journal.after_reboot
            )
            journal.segments[stream] = kept
            name = journal.streams.get(stream, {}).get("name", stream)
            if problem:
                self.report(f"{folder}, stream {name!r}: {problem}")
            if stream not in journal.streams and not journal.after_reboot:  # else never synced
                self.report(f"{folder} has rows of stream {stream}, which nothing there describes")
        return journal


def _blocks(file: GenerationFile, nonce: int) -> Iterator[tuple[int, BlockHeader]]:
    offset = PAGE
    while True:
        block = unpack_block(file.some(offset, HEADER_BYTES), nonce)
        if block is None:
            return
        yield offset, block
        offset += block.length
