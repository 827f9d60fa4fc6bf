"""Files of one message each, as ataraxis's logger leaves them, as runs."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import xxhash

from holdfast.acquisition._entry import npy_bytes
from holdfast.acquisition._gather import Part
from holdfast.acquisition._runs import Source, Sources, Survey, survey_of, within

_ENTRY = re.compile(r"\A(\d{3})_(\d{20})\.npy\Z")


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

    ordered: ClassVar[bool] = True
    part: Part
    survey: Survey

    def load(self, low: int, high: int) -> Part | None:
        """Return the messages with times from `low` to `high`, both included."""
        rows = within(self.part.times, low, high)
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
    if not parts:
        return None
    return EntryRun(part, survey_of(0, part.sources, part.times, lengths))


def entries_in(folder: Path) -> Iterator[Entry]:
    """Yield the files of one message in a folder, by name."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in sorted(names):
        matched = _ENTRY.match(name)
        if matched:
            yield Entry(folder / name, int(matched[1]), int(matched[2]))
