"""Runs: where messages come from when they are put in order: a block, part of an archive, entries.

Each tells what it holds before anything is loaded, and loads the messages of a span of time.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import xxhash

from holdfast.acquisition._archive import Messages, ends_of, npy_bytes
from holdfast.acquisition._format import DEFINE, END_MASK, FIRST_NAMED, SHIFT
from holdfast.acquisition._gather import I64, U64, Part
from holdfast.acquisition._stored import StoredBlock

SAMPLES = 64
"""Times that a run gives to find out where to divide all messages."""

Source = int | str


class Sources:
    """The sources at hand, numbered in the order they were met."""

    def __init__(self) -> None:
        self.names: list[Source] = []
        self._numbers: dict[Source, int] = {}

    def number(self, source: Source) -> int:
        """Return the number of a source."""
        if source not in self._numbers:
            self._numbers[source] = len(self.names)
            self.names.append(source)
        return self._numbers[source]


@dataclass(slots=True)
class Survey:
    """What a run holds.

    Attributes
    ----------
    recording : int
        Which recording its messages belong to.
    counts, sizes : dict
        Messages, and bytes of their payloads, by number of the source.
    low, high : int
        Times of the first and last.
    samples : uint64
        Some of the times, evenly spread over its messages.
    """

    recording: int
    counts: dict[int, int]
    sizes: dict[int, int]
    low: int
    high: int
    samples: U64

    @property
    def cost(self) -> int:
        """Bytes that its messages take in memory, about."""
        return sum(self.sizes.values()) + 40 * sum(self.counts.values())


def survey_of(recording: int, sources: I64, times: U64, lengths: I64) -> Survey | None:
    """Describe messages; None if there are none."""
    if not len(times):
        return None
    counts = np.bincount(sources)
    sizes = np.bincount(sources, weights=lengths)
    present = [int(s) for s in np.flatnonzero(counts)]
    ordered = np.sort(times)
    picked = np.linspace(0, len(ordered) - 1, min(SAMPLES, len(ordered))).astype(np.intp)
    return Survey(
        recording,
        {s: int(counts[s]) for s in present},
        {s: int(sizes[s]) for s in present},
        int(ordered[0]),
        int(ordered[-1]),
        ordered[picked],
    )


class Run(Protocol):
    """Messages of one recording, in one place."""

    survey: Survey

    def load(self, low: int, high: int) -> Part | None:
        """Return the messages with times from `low` to `high`, both included."""


def _within(times: U64, low: int, high: int) -> npt.NDArray[np.intp]:
    return np.flatnonzero((times >= np.uint64(low)) & (times <= np.uint64(high)))


class BlockRun:
    """The messages of a block that archives do not hold yet.

    Parameters
    ----------
    path : Path
        The block's file.
    words : uint64
        The words of the messages to take.
    sources : Sources
        The sources at hand.
    taken : mapping
        For sources whose archive holds messages of the block: how many messages of it were there.
    """

    def __init__(
        self, path: Path, words: U64, sources: Sources, taken: "dict[Source, dict[int, int]]"
    ) -> None:
        block = StoredBlock(path)
        self.path, self.identity, self.count = path, block.begun.identity, len(words)
        self._recording = block.begun.recording
        self._taken = {
            sources.number(source): known[self.identity]
            for source, known in taken.items()
            if self.identity in known
        }
        self._table = _slots(block, words, sources)
        found = self._columns(block, words)
        block.close()
        survey = survey_of(self._recording, found.sources, found.times, found.lengths)
        self.empty = survey is None
        self.survey = survey or Survey(0, {}, {}, 0, 0, np.empty(0, np.uint64))

    def _columns(self, block: StoredBlock, words: U64) -> Part:
        """Return the messages to take; starts count from the block's first byte of payload."""
        ends = (words & np.uint64(END_MASK)).astype(np.int64)
        starts = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
        slots = (words >> np.uint64(SHIFT)).astype(np.int64) - 1
        sources = self._table.numbers(slots)
        wanted = sources >= 0
        for source, count in self._taken.items():
            wanted[:count] &= sources[:count] != source
        rows = np.flatnonzero(wanted)
        empty = np.empty(0, np.uint8)
        part = Part(sources, block.times(0, len(words)), starts, ends - starts, empty)
        return part if len(rows) == len(words) else part.take(rows)

    def load(self, low: int, high: int) -> Part | None:
        """Return the messages with times from `low` to `high`, both included."""
        block = StoredBlock(self.path)
        part = self._columns(block, block.words(0, self.count))
        if low > self.survey.low or high < self.survey.high:
            part = part.take(_within(part.times, low, high))
        if not len(part.times):
            return None
        first = int(part.starts.min())
        last = int((part.starts + part.lengths).max())
        part.payload = block.payload(first, last)
        part.starts = part.starts - first
        block.close()
        return part.compact()


@dataclass(frozen=True, slots=True)
class _Slots:
    """The numbers of sources by slot; slots of no source have -1."""

    slots: I64
    sources: I64

    def numbers(self, slots: I64) -> I64:
        at = np.searchsorted(self.slots, slots)
        known = (at < len(self.slots)) & (self.slots[np.minimum(at, len(self.slots) - 1)] == slots)
        return np.where(known, self.sources[np.minimum(at, len(self.slots) - 1)], -1)


def _slots(block: StoredBlock, words: U64, sources: Sources) -> _Slots:
    ends = (words & np.uint64(END_MASK)).astype(np.int64)
    slots = (words >> np.uint64(SHIFT)).astype(np.int64) - 1
    table: dict[int, int] = {}
    for row in np.flatnonzero(slots == DEFINE):
        start = int(ends[row - 1]) if row else 0
        line = json.loads(block.payload(start, int(ends[row])).tobytes())
        table[line["slot"]] = sources.number(line["name"])
    for slot in np.unique(slots):
        if slot < FIRST_NAMED:
            table[int(slot)] = sources.number(int(slot))
    table = table or {-1: -1}
    ordered = sorted(table)
    return _Slots(np.array(ordered), np.array([table[slot] for slot in ordered]))


class ArchiveRun:
    """Rows of an archive, or of messages in memory, of one recording.

    Parameters
    ----------
    messages : Messages
        What they are rows of.
    number : int
        The number of their source.
    recording : int
        Their recording.
    start, stop : int
        The rows.
    """

    def __init__(
        self, messages: Messages, number: int, recording: int, start: int, stop: int
    ) -> None:
        messages.check(start, stop)
        self._messages, self._number, self._start, self._stop = messages, number, start, stop
        _, lengths = ends_of(messages.offsets[start : stop + 1])
        sources = np.full(stop - start, number, np.int64)
        survey = survey_of(recording, sources, messages.times[start:stop], lengths)
        if survey is None:
            raise AssertionError
        self.survey = survey

    def load(self, low: int, high: int) -> Part | None:
        """Return the messages with times from `low` to `high`, both included."""
        times = self._messages.times[self._start : self._stop]
        first = self._start + int(np.searchsorted(times, np.uint64(low), "left"))
        stop = self._start + int(np.searchsorted(times, np.uint64(high), "right"))
        if first == stop:
            return None
        starts, lengths = ends_of(self._messages.offsets[first : stop + 1])
        begin, end = int(starts[0]), int(starts[-1] + lengths[-1])
        return Part(
            np.full(stop - first, self._number, np.int64),
            self._messages.times[first:stop],
            starts - begin,
            lengths,
            self._messages.payload[begin:end],
        )


@dataclass(slots=True)
class EntryRun:
    """Some of ataraxis's files of one message each, kept in memory.

    Parameters
    ----------
    part : Part
        Their messages.
    survey : Survey
        What they are.
    """

    part: Part
    survey: Survey

    def load(self, low: int, high: int) -> Part | None:
        """Return the messages with times from `low` to `high`, both included."""
        rows = _within(self.part.times, low, high)
        return self.part.take(rows) if len(rows) else None


@dataclass(slots=True)
class Entry:
    """A file with one message, as ataraxis writes it: what its name tells, and its identity."""

    path: Path
    source: int
    time: int
    identity: int = field(default=0)


def read_entries(
    entries: Sequence[Entry], sources: Sources, taken: "dict[Source, dict[int, int]]"
) -> EntryRun | None:
    """Read files of one message each, those left out that archives hold.

    Raises
    ------
    FormatError
        If one is damaged.
    """
    parts, times, numbers = [], [], []
    for entry in entries:
        content = npy_bytes(entry.path.read_bytes(), str(entry.path))
        entry.identity = xxhash.xxh3_64_intdigest(entry.path.name.encode() + content)
        if entry.identity in taken.get(entry.source, ()):
            continue
        parts.append(content[9:])
        times.append(entry.time)
        numbers.append(sources.number(entry.source))
    lengths = np.array([len(part) for part in parts], np.int64)
    part = Part(
        np.array(numbers, np.int64),
        np.array(times, np.uint64),
        np.cumsum(lengths) - lengths,
        lengths,
        np.frombuffer(b"".join(parts), np.uint8),
    )
    survey = survey_of(0, part.sources, part.times, lengths)
    return None if survey is None else EntryRun(part, survey)
