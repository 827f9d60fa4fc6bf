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
from holdfast.acquisition._gather import I64, U64, Part, in_order
from holdfast.acquisition._input import source_number
from holdfast.acquisition._stored import StoredBlock
from holdfast.errors import FormatError

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
    numbers : int64, shape (k,)
        The sources it has messages of, in order.
    counts, sizes : int64, shape (k,)
        Messages of each, and bytes of their payloads.
    low, high : int
        Times of the first and last.
    samples : uint64
        Some of the times, evenly spread over its messages.
    follows : bool
        Whether no time is before the one in front of it.
    """

    recording: int
    numbers: I64
    counts: I64
    sizes: I64
    low: int
    high: int
    samples: U64
    follows: bool

    @property
    def count(self) -> int:
        """How many messages there are."""
        return int(self.counts.sum())

    @property
    def cost(self) -> int:
        """Bytes that its messages take in memory, about."""
        return int(self.sizes.sum()) + 40 * self.count

    def has(self, number: int) -> bool:
        """Whether there are messages of a source."""
        at = int(np.searchsorted(self.numbers, number))
        return at < len(self.numbers) and int(self.numbers[at]) == number


def survey_of(recording: int, sources: I64, times: U64, lengths: I64) -> Survey:
    """Describe messages."""
    if not len(times):
        none = np.empty(0, np.int64)
        return Survey(recording, none, none, none, 0, 0, times, follows=True)
    numbers, counts, sizes = _totals(sources, lengths)
    follows = in_order(times)
    ordered = times if follows else np.sort(times)
    picked = np.linspace(0, len(ordered) - 1, min(SAMPLES, len(ordered))).astype(np.intp)
    low, high = int(ordered[0]), int(ordered[-1])
    return Survey(recording, numbers, counts, sizes, low, high, ordered[picked], follows)


def _totals(sources: I64, lengths: I64) -> tuple[I64, I64, I64]:
    first = sources[:1]
    if (sources == first).all():
        return first.copy(), np.array([len(sources)]), lengths.sum(keepdims=True)
    counts = np.bincount(sources)
    numbers = np.flatnonzero(counts)
    sizes = np.bincount(sources, weights=lengths)
    return numbers, counts[numbers], sizes[numbers].astype(np.int64)


class Run(Protocol):
    """Messages of one recording, in one place."""

    survey: Survey
    ordered: ClassVar[bool]
    """Whether a span of time is loaded without reading all the rest."""

    def load(self, low: int, high: int) -> Part | None:
        """Return the messages with times from `low` to `high`, both included."""

    def scan(self) -> Part:
        """Return all messages, with bytes of the payloads only where they take no reading."""

    def bytes_of(self, part: Part, start: int, length: int) -> bytes:
        """Return the payload of a message of what `scan` gave."""

    def release(self) -> None:
        """Let go of what only an assembly needs: all messages were loaded."""


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
        ends = (words & np.uint64(END_MASK)).view(np.int64)
        starts = np.zeros_like(ends)
        starts[1:] = ends[:-1]
        sources = self._table.numbers(words)
        times = block.times(0, len(words))
        part = Part(sources, times, starts, ends - starts, np.empty(0, np.uint8))
        wanted = sources >= 0
        for source, count in self._taken.items():
            wanted[:count] &= sources[:count] != source
        return part if wanted.all() else part.take(np.flatnonzero(wanted))

    def scan(self) -> Part:
        """Return all messages without their bytes."""
        block = StoredBlock(self.path)
        part = self._columns(block, block.first_words(self.count))
        block.close()
        return part

    def load(self, low: int, high: int) -> Part | None:
        """Return the messages with times from `low` to `high`, both included."""
        block = StoredBlock(self.path)
        part = self._columns(block, block.first_words(self.count))
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

    def bytes_of(self, part: Part, start: int, length: int) -> bytes:  # noqa: ARG002 - has none
        """Return the payload of a message of what `scan` gave."""
        block = StoredBlock(self.path)
        content = block.payload(start, start + length).tobytes()
        block.close()
        return content

    def release(self) -> None:
        """Give the memory that holds the file to the archive that is being written.

        Fresh memory costs more than all else in an assembly where the system has to find it first,
        as in a virtual machine.
        """
        block = StoredBlock(self.path)
        block.forget()
        block.close()


@dataclass(frozen=True, slots=True)
class _Slots:
    """The numbers of sources by slot; slots of no source have -1."""

    slots: I64
    sources: I64

    def numbers(self, words: U64) -> I64:
        slots = (words >> np.uint64(SHIFT)).view(np.int64) - 1
        if (slots == slots[:1]).all():
            return np.full(len(slots), self._found(slots[:1]), np.int64)
        return self._found(slots)

    def _found(self, slots: I64) -> I64:
        at = np.minimum(np.searchsorted(self.slots, slots), len(self.slots) - 1)
        return np.where(self.slots[at] == slots, self.sources[at], -1)


def _slots(block: StoredBlock, words: U64, sources: Sources) -> _Slots:
    slots = (words >> np.uint64(SHIFT)).view(np.int64) - 1
    if (slots == slots[0]).all() and slots[0] < FIRST_NAMED:
        return _Slots(slots[:1].copy(), np.array([sources.number(int(slots[0]))]))
    table: dict[int, int] = {}
    for row in np.flatnonzero(slots == DEFINE):
        start = int(words[row - 1]) & END_MASK if row else 0
        slot, name = _defined(block.payload(start, int(words[row]) & END_MASK).tobytes())
        table[slot] = sources.number(name)
    numbered = np.bincount(slots[slots < FIRST_NAMED])
    for slot in np.flatnonzero(numbered).tolist():
        table[slot] = sources.number(slot)
    table = table or {-1: -1}
    ordered = sorted(table)
    return _Slots(np.array(ordered), np.array([table[slot] for slot in ordered]))


def _defined(content: bytes) -> tuple[int, str]:
    """Return a slot, and the name of its source, as a message of the block tells them."""
    try:
        line = json.loads(content)
        slot, name = line["slot"], line["name"]
        sound = isinstance(name, str) and source_number(name) is None and slot >= FIRST_NAMED
    except (ValueError, KeyError, TypeError):  # of a name that leads out of the folder, too
        sound = False
    if not sound:
        raise FormatError("the name of a source in it is damaged")
    return slot, name
