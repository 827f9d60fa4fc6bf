"""What archives hold already, as runs."""

from collections.abc import Callable
from typing import ClassVar

import numpy as np

from holdfast.acquisition._columns import Messages, ends_of
from holdfast.acquisition._gather import Part
from holdfast.acquisition._runs import Run, survey_of

ROWS_A_RUN = 1 << 18
BYTES_A_RUN = 32 << 20
"""What is loaded at once has so many messages, and bytes of payloads, or is one message."""

Opened = Callable[[], Messages]
"""Gives an archive; it may be another object each time, for not all can be open at once."""


class ArchiveRun:
    """Rows of an archive, or of messages in memory, of one recording.

    Parameters
    ----------
    opened : callable
        Gives the archive that they are rows of.
    number : int
        The number of their source.
    recording : int
        Their recording.
    start, stop : int
        The rows.
    """

    ordered: ClassVar[bool] = True

    def __init__(self, opened: Opened, number: int, recording: int, start: int, stop: int) -> None:
        self._opened, self._number, self._start, self._stop = opened, number, start, stop
        messages = opened()
        messages.check(start, stop)
        _, lengths = ends_of(messages.offsets[start : stop + 1])
        sources = np.full(stop - start, number, np.int64)
        self.survey = survey_of(recording, sources, messages.times[start:stop], lengths)

    def scan(self) -> Part:
        """Return all messages; their bytes are mapped."""
        messages = self._opened()
        starts, lengths = ends_of(messages.offsets[self._start : self._stop + 1])
        sources = np.full(len(lengths), self._number, np.int64)
        times = messages.times[self._start : self._stop]
        return Part(sources, times, starts, lengths, messages.payload)

    def bytes_of(self, part: Part, start: int, length: int) -> bytes:
        """Return the payload of a message of what `scan` gave."""
        return part.payload[start : start + length].tobytes()

    def release(self) -> None:
        """Do nothing: the archive is replaced by the new one."""

    def load(self, low: int, high: int) -> Part | None:
        """Return the messages with times from `low` to `high`, both included."""
        messages = self._opened()
        times = messages.times[self._start : self._stop]
        first = self._start + int(np.searchsorted(times, np.uint64(low), "left"))
        stop = self._start + int(np.searchsorted(times, np.uint64(high), "right"))
        if first == stop:
            return None
        messages.check(first, stop)
        starts, lengths = ends_of(messages.offsets[first : stop + 1])
        begin, end = int(starts[0]), int(starts[-1] + lengths[-1])
        return Part(  # copies: a view would keep the archive open
            np.full(stop - first, self._number, np.int64),
            messages.times[first:stop].copy(),
            starts - begin,
            lengths,
            messages.payload[begin:end].copy(),
        )


def archive_runs(opened: Opened, number: int) -> list[Run]:
    """Return the rows of an archive as runs, one recording at a time."""
    messages = opened()
    firsts = [int(first) for first in messages.recordings[:, 1].tolist()]
    stops = [*firsts[1:], len(messages.times)]
    runs: list[Run] = []
    for recording, first, stop in zip(
        messages.recordings[:, 0].tolist(), firsts, stops, strict=True
    ):
        start = first
        while start < stop:
            end = _end_of_run(messages, start, stop)
            runs.append(ArchiveRun(opened, number, int(recording), start, end))
            start = end
    return runs


def _end_of_run(messages: Messages, first: int, stop: int) -> int:
    ends = messages.offsets[first : min(first + ROWS_A_RUN, stop) + 1]
    fitting = np.searchsorted(ends - ends[0], np.uint64(BYTES_A_RUN), "right")
    return first + max(int(fitting) - 1, 1)
