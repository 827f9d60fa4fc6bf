"""Runs: where messages come from when they are put in order: a block, part of an archive, entries.

Each tells what it holds before anything is loaded, and loads the messages of a span of time.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt

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


def survey_of(recording: int, sources: I64, times: U64, lengths: I64) -> Survey:
    """Describe messages."""
    if not len(times):
        return Survey(recording, {}, {}, 0, 0, times)
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
    ordered: ClassVar[bool]
    """Whether a span of time is loaded without reading all the rest."""

    def load(self, low: int, high: int) -> Part | None:
        """Return the messages with times from `low` to `high`, both included."""


def within(times: U64, low: int, high: int) -> npt.NDArray[np.int64]:
    """Return the rows with times from `low` to `high`, both included."""
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

    ordered: ClassVar[bool] = False

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
        self.survey = survey_of(self._recording, found.sources, found.times, found.lengths)

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
            part = part.take(within(part.times, low, high))
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
        if len(slots) and (slots == slots[0]).all():
            return (
                np.full(len(slots), self.numbers(slots[:1]), np.int64)
                if len(slots) > 1
                else self._found(slots)
            )
        return self._found(slots)

    def _found(self, slots: I64) -> I64:
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
    numbered = np.bincount(slots[slots < FIRST_NAMED])
    for slot in np.flatnonzero(numbered).tolist():
        table[slot] = sources.number(slot)
    table = table or {-1: -1}
    ordered = sorted(table)
    return _Slots(np.array(ordered), np.array([table[slot] for slot in ordered]))
