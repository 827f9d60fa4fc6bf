"""Archives in the making: how large each will be, and its messages as they come."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from holdfast.acquisition._collect import Collected
from holdfast.acquisition._columns import VERSION
from holdfast.acquisition._gather import I64, U64, Part
from holdfast.acquisition._npz import ColumnFile
from holdfast.acquisition._runs import Run, Source


class Tally:
    """How many messages each source has in some runs, and in which recordings.

    Parameters
    ----------
    runs : sequence of Run
        The runs.
    sources : int
        How many sources there are at least.
    """

    def __init__(self, runs: Sequence[Run], sources: int = 0) -> None:
        sources = max([sources, *(int(run.survey.numbers[-1]) + 1 for run in runs)])
        self.sizes: I64 = np.zeros(sources, np.int64)
        self._counts: dict[int, I64] = {}
        for run in runs:
            survey = run.survey
            none = np.zeros(sources, np.int64)
            counts = self._counts.setdefault(survey.recording, none)
            counts[survey.numbers] += survey.counts
            self.sizes[survey.numbers] += survey.sizes

    @property
    def counts(self) -> I64:
        """Messages of each source."""
        return sum(self._counts.values(), start=np.zeros_like(self.sizes))

    def recordings(self, number: int) -> U64:
        """Return number and first row of each recording that a source has messages of."""
        first, rows = 0, []
        for recording in sorted(self._counts):
            count = int(self._counts[recording][number])
            if count:
                rows.append((recording, first))
                first += count
        return np.array(rows, np.uint64).reshape(-1, 2)


class Listing:
    """Which blocks and entries hold new messages of which source.

    Parameters
    ----------
    collected : Collected
        What there is.
    """

    def __init__(self, collected: Collected) -> None:
        self._collected = collected
        surveys = [block.survey for block in collected.blocks]
        numbers = np.concatenate([np.empty(0, np.int64), *(s.numbers for s in surveys)])
        blocks = np.repeat(np.arange(len(surveys)), [len(s.numbers) for s in surveys])
        order = np.argsort(numbers, kind="stable")
        self._numbers, self._blocks = numbers[order], blocks[order]

    def of(self, number: int) -> U64:
        """Return which blocks an archive will hold, and how many messages of each."""
        source = self._collected.sources.names[number]
        known = dict(self._collected.taken.get(source, {}))
        first, stop = np.searchsorted(self._numbers, [number, number + 1])
        for at in self._blocks[first:stop].tolist():
            block = self._collected.blocks[at]
            known[block.identity] = max(block.count, known.get(block.identity, 0))
        known |= dict.fromkeys(self._collected.entries.identities_of(source), 1)
        return np.array(sorted(known.items()), np.uint64).reshape(-1, 2)


@dataclass(slots=True)
class NewArchive:
    """An archive in the making.

    Attributes
    ----------
    source : int or str
        Whose it is.
    recordings : uint64, shape (k, 2)
        Number and first row of each recording.
    file : ColumnFile
        What it is written to.
    end : int
        Bytes of payloads that are in it.
    """

    source: Source
    recordings: U64
    file: ColumnFile
    end: int = field(default=0)

    def add(self, part: Part) -> None:
        """Write the messages that come next."""
        ends = np.cumsum(part.lengths).astype(np.uint64) + np.uint64(self.end)
        if not self.file.begun:
            ends = np.concatenate([np.zeros(1, np.uint64), ends])
        payload = part.content()
        self.file.append({"timestamps": part.times, "offsets": ends, "payload": payload})
        self.end += len(payload)

    def finish(self, blocks: U64) -> None:
        """Write what remains; nothing is synced yet."""
        self.file.finish(
            {
                "recordings": self.recordings,
                "blocks": blocks,
                "source": np.array(self.source),
                "version": np.array(VERSION, np.uint64),
            }
        )


def begun(
    workshop: Path, sources: Sequence[Source], changed: Iterable[int], tally: Tally
) -> Iterator[tuple[int, NewArchive]]:
    """Make the files of archives, and yield them with the numbers of their sources."""
    counts = tally.counts
    for number in changed:
        count, size = int(counts[number]), int(tally.sizes[number])
        columns = {
            "timestamps": ("<u8", count),
            "offsets": ("<u8", count + 1),
            "payload": ("|u1", size),
        }
        file = ColumnFile(workshop / f"{number}.npz", columns)
        yield number, NewArchive(sources[number], tally.recordings(number), file)
