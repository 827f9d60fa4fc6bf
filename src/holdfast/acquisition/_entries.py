"""Files of one message each, as ataraxis's logger leaves them, as runs."""

import contextlib
import os
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xxhash

from holdfast.acquisition._entry import npy_bytes
from holdfast.acquisition._gather import I64, U64, Part
from holdfast.acquisition._runs import Run, Source, Sources, survey_of
from holdfast.acquisition._spill import KeptRun, SpilledRun
from holdfast.acquisition._stored import READING, why_unreadable
from holdfast.errors import FormatError

ENTRIES_AT_ONCE = 1 << 16
BYTES_AT_ONCE = 64 << 20
"""How many files, and bytes of them, are held in memory until they are put away."""

_LAST_TIME = 2**64 - 1
_AT_ONCE = 1 << 16
_ENTRY = re.compile(r"\A(\d{3})_(\d{20})\.npy\Z", re.ASCII)


@dataclass(slots=True)
class Entries:
    """Files with one message each: what their names tell, and their identities.

    Attributes
    ----------
    folder : Path
        Where they are.
    sources : uint16, shape (n,)
        Who sent each, in order.
    times : uint64, shape (n,)
        Microseconds.
    identities : uint64, shape (n,)
        What archives call them.
    """

    folder: Path
    sources: npt.NDArray[np.uint16]
    times: U64
    identities: U64

    def of(self, source: Source) -> "Entries":
        """Return those of one source, which stand together."""
        return self.take(self._rows(source))

    def identities_of(self, source: Source) -> list[int]:
        """Return what archives call those of one source."""
        return [int(identity) for identity in self.identities[self._rows(source)].tolist()]

    def _rows(self, source: Source) -> I64:
        number = source if isinstance(source, int) else -1
        first, stop = np.searchsorted(self.sources.astype(np.int64), [number, number + 1])
        return np.arange(first, stop)

    def take(self, rows: I64) -> "Entries":
        """Return some of them."""
        return Entries(self.folder, self.sources[rows], self.times[rows], self.identities[rows])

    def paths(self) -> Iterator[str]:
        """Yield their paths."""
        for source, time in zip(self.sources.tolist(), self.times.tolist(), strict=True):
            yield f"{self.folder}/{source:03d}_{time:020d}.npy"


def entries_in(folder: Path) -> Entries:
    """Return the files of one message in a folder, by source and time, not yet read."""
    found, stamps = array("H"), array("Q")
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            matched = _ENTRY.match(entry.name)
            if matched and int(matched[2]) <= _LAST_TIME:
                found.append(int(matched[1]))
                stamps.append(int(matched[2]))
    sources, times = np.array(found, np.uint16), np.array(stamps, np.uint64)
    order = np.lexsort((times, sources))
    return Entries(folder, sources[order], times[order], np.zeros(len(order), np.uint64))


class EntryReader:
    """Reads files of one message each, and puts the messages away as runs.

    Parameters
    ----------
    sources : Sources
        The sources at hand.
    taken : mapping
        What archives hold of each source.
    spill : Path, optional
        Where messages are kept for a while; None: in memory.
    """

    def __init__(
        self, sources: Sources, taken: "dict[Source, dict[int, int]]", spill: Path | None
    ) -> None:
        self._sources, self._taken, self._spill = sources, taken, spill
        self.runs: list[Run] = []
        self.problems: list[str] = []

    def read(self, entries: Entries) -> Entries:
        """Read files, those left out that archives hold; return those that are sound."""
        sound = np.ones(len(entries.times), np.bool_)
        rows: list[int] = []
        payloads: list[bytes] = []
        filled = 0
        for row, path in enumerate(entries.paths()):
            content, problem = _read(path)
            if problem:
                self.problems.append(problem)
                sound[row] = False
                continue
            identity = xxhash.xxh3_64_intdigest(os.path.basename(path).encode() + content)
            entries.identities[row] = identity
            if identity in self._taken.get(int(entries.sources[row]), ()):
                continue
            rows.append(row)
            payloads.append(content[9:])
            filled += len(content)
            if len(rows) >= ENTRIES_AT_ONCE or filled >= BYTES_AT_ONCE:
                self._put_away(entries, np.array(rows), payloads)
                rows, payloads, filled = [], [], 0
        if rows:
            self._put_away(entries, np.array(rows), payloads)
        return entries.take(np.flatnonzero(sound))

    def _put_away(self, entries: Entries, rows: I64, payloads: list[bytes]) -> None:
        lengths = np.array([len(payload) for payload in payloads], np.int64)
        numbers = {int(s): self._sources.number(int(s)) for s in np.unique(entries.sources[rows])}
        sources = np.array([numbers[source] for source in entries.sources[rows].tolist()], np.int64)
        starts = np.cumsum(lengths) - lengths
        content = np.frombuffer(b"".join(payloads), np.uint8)
        part = Part(sources, entries.times[rows], starts, lengths, content).ordered()
        survey = survey_of(0, part.sources, part.times, part.lengths)
        run = (
            KeptRun(part, survey) if self._spill is None else SpilledRun(self._spill, part, survey)
        )
        self.runs.append(run)


def _read(path: str) -> tuple[bytes, str]:
    """Return the bytes of an entry's array, and what is wrong with it."""
    try:
        return npy_bytes(_content(path), path), ""
    except FormatError as error:
        return b"", str(error)
    except OSError as error:
        return b"", f"{path}: {why_unreadable(error)}"


def _content(path: str) -> bytes:
    descriptor = os.open(path, READING)
    try:
        content = os.read(descriptor, _AT_ONCE)
        while len(content) >= _AT_ONCE and (more := os.read(descriptor, 1 << 24)):
            content += more
    finally:
        os.close(descriptor)
    return content
