"""Messages of several sources, by time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from holdfast.acquisition._message import LogMessage, MessageArrays
from holdfast.acquisition._reader import LogArchiveReader
from holdfast.errors import InvalidInputError

_PIECE = 1 << 13


@dataclass(slots=True)
class _Window:
    """Some messages of one reader, the next ones to come."""

    reader: "LogArchiveReader"
    at: int = 0
    arrays: "MessageArrays | None" = None
    used: int = 0
    last: bool = field(default=False)

    def fill(self) -> bool:
        """Load messages where all were given; False at the end."""
        if self.arrays is not None and self.used < len(self.arrays.timestamps):
            return True
        count = self.reader.message_count
        if self.at >= count:
            return False
        stop = min(self.at + _PIECE, count)
        self.arrays, self.used = self.reader.part(self.at, stop), 0
        self.at, self.last = stop, stop == count
        return True


def merged(readers: "Sequence[LogArchiveReader]") -> "Iterator[LogMessage]":
    """Yield messages by time, piece by piece: up to the earliest end of a window.

    Raises
    ------
    InvalidInputError
        If one is no reader.
    """
    for reader in readers:
        if not isinstance(reader, LogArchiveReader):
            raise InvalidInputError(
                f"merge takes LogArchiveReaders, not {reader!r}; open each archive with "
                "LogArchiveReader(path), or LogArchiveReader.live(folder, source)"
            )
    return _merged(readers)


def _merged(readers: "Sequence[LogArchiveReader]") -> "Iterator[LogMessage]":
    windows = [_Window(reader) for reader in readers]
    while windows := [window for window in windows if window.fill()]:
        ends = [int(w.arrays.timestamps[-1]) for w in windows if w.arrays and not w.last]
        cut = np.uint64(min(ends)) if ends else None
        yield from _given(windows, cut)


def _given(windows: list[_Window], cut: "np.uint64 | None") -> "Iterator[LogMessage]":
    from holdfast.acquisition._message import LogMessage

    times, sources, rows = [], [], []
    for number, window in enumerate(windows):
        if window.arrays is None:
            continue
        stamps = window.arrays.timestamps
        stop = len(stamps) if cut is None else int(np.searchsorted(stamps, cut, "right"))
        times.append(stamps[window.used : stop])
        sources.append(np.full(stop - window.used, number))
        rows.append(np.arange(window.used, stop))
        window.used = max(stop, window.used)
    stamps, numbers, at = (np.concatenate(parts) for parts in (times, sources, rows))
    for place in np.argsort(stamps, kind="stable"):
        window = windows[numbers[place]]
        if window.arrays is None:
            continue
        _, offsets, payload = window.arrays
        row = at[place]
        content = payload[int(offsets[row]) : int(offsets[row + 1])]
        yield LogMessage(stamps[place], content, window.reader.source)
