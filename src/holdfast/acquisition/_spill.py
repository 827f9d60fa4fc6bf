"""Runs that are in order of time: written to a file for a while, or kept in memory."""

import os
from itertools import count
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np

from holdfast.acquisition._gather import I64, U64, Part
from holdfast.acquisition._npz import read_at, write_all
from holdfast.acquisition._runs import Survey

_STEP: Final = 1 << 10
"""Of so many times one stays in memory, to find the others."""

_numbers = count()


class SpilledRun:
    """Messages in order of time, in a file.

    Parameters
    ----------
    folder : Path
        Where the file is made; whoever calls for this deletes it.
    part : Part
        The messages, in order.
    survey : Survey
        What they are.

    Raises
    ------
    OSError
        If the disk is full.
    """

    ordered: ClassVar[bool] = True

    def __init__(self, folder: Path, part: Part, survey: Survey) -> None:
        self.survey = survey
        self._path = folder / f"{next(_numbers)}.run"
        self._count = len(part.times)
        self._marks = part.times[::_STEP].copy()
        ends = np.cumsum(part.lengths)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
        descriptor = os.open(self._path, flags, 0o666)
        try:
            at = 0
            for column in (part.times, part.sources, ends, part.content()):
                write_all(descriptor, np.ascontiguousarray(column).view(np.uint8).data, at)
                at += column.nbytes
        finally:
            os.close(descriptor)

    def load(self, low: int, high: int) -> Part | None:
        """Return the messages with times from `low` to `high`, both included."""
        with self._path.open("rb", buffering=0) as file:
            first = self._row(file, np.uint64(low), "left")
            stop = self._row(file, np.uint64(high), "right")
            if first == stop:
                return None
            ends = self._column(file, 2, max(first - 1, 0), stop).view(np.int64)
            if not first:
                ends = np.concatenate([[0], ends])
            begin = int(ends[0])
            payload = read_at(file, 24 * self._count + begin, int(ends[-1]) - begin)
            return Part(
                self._column(file, 1, first, stop).view(np.int64),
                self._column(file, 0, first, stop),
                ends[:-1] - begin,
                np.diff(ends),
                payload,
            )

    def _row(self, file: Any, time: np.uint64, side: Any) -> int:
        mark = int(np.searchsorted(self._marks, time, side))
        start = max(mark - 1, 0) * _STEP
        near = self._column(file, 0, start, min(mark * _STEP, self._count))
        return start + int(np.searchsorted(near, time, side))

    def _column(self, file: Any, number: int, start: int, stop: int) -> U64:
        return read_at(file, 8 * (number * self._count + start), 8 * (stop - start)).view(np.uint64)

    def scan(self) -> Part:
        """Return all messages."""
        part = self.load(self.survey.low, self.survey.high)
        if part is None:
            raise AssertionError
        return part

    def bytes_of(self, part: Part, start: int, length: int) -> bytes:
        """Return the payload of a message of what `scan` gave."""
        return part.payload[start : start + length].tobytes()

    def release(self) -> None:
        """Do nothing: an assembly that verifies its archives loads the messages again."""


class KeptRun:
    """Messages in order of time, in memory.

    Parameters
    ----------
    part : Part
        The messages, in order.
    survey : Survey
        What they are.
    """

    ordered: ClassVar[bool] = True

    def __init__(self, part: Part, survey: Survey) -> None:
        lengths: I64 = part.lengths
        starts = np.cumsum(lengths) - lengths
        self._part = Part(part.sources, part.times, starts, lengths, part.content())
        self.survey = survey

    def load(self, low: int, high: int) -> Part | None:
        """Return the messages with times from `low` to `high`, both included."""
        part = self._part
        first = int(np.searchsorted(part.times, np.uint64(low), "left"))
        stop = int(np.searchsorted(part.times, np.uint64(high), "right"))
        if first == stop:
            return None
        begin = int(part.starts[first])
        end = int(part.starts[stop - 1] + part.lengths[stop - 1])
        return Part(
            part.sources[first:stop],
            part.times[first:stop],
            part.starts[first:stop] - begin,
            part.lengths[first:stop],
            part.payload[begin:end],
        )

    def scan(self) -> Part:
        """Return all messages."""
        return self._part

    def bytes_of(self, part: Part, start: int, length: int) -> bytes:
        """Return the payload of a message of what `scan` gave."""
        return part.payload[start : start + length].tobytes()

    def release(self) -> None:
        """Do nothing."""
