"""Segments: published rows of one stream, wherever they stand in a journal's files."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a named pipe in the folder must not make a reader wait
    | getattr(os, "O_BINARY", 0)
)


class GenerationFile:
    """An open generation, closed when the last snapshot that refers to it goes."""

    __slots__ = ("descriptor", "path")

    def __init__(self, path: Path) -> None:
        self.descriptor = -1
        self.descriptor = os.open(path, _FLAGS)
        self.path = path

    @property
    def size(self) -> int:
        """Bytes of the file now."""
        return os.fstat(self.descriptor).st_size

    def some(self, offset: int, length: int) -> bytes:
        """Return the bytes at an offset, fewer where the file ends."""
        return os.pread(self.descriptor, length, offset)

    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes at an offset.

        Raises
        ------
        OSError
            If the file ends before.
        """
        parts = []
        while length > 0:
            part = os.pread(self.descriptor, length, offset)
            if not part:
                raise OSError(f"{self.path} ends at byte {offset}; restore it from a copy")
            parts.append(part)
            offset, length = offset + len(part), length - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def __del__(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)


@dataclass(slots=True)
class Segment:
    """Published rows of one stream in one block.

    Attributes
    ----------
    first, count : int
        Absolute number of the first row, and how many there are.
    row_bytes : int
        Bytes a row.
    """

    first: int
    count: int
    row_bytes: int
    _file: GenerationFile
    _offset: int

    @property
    def stop(self) -> int:
        """Absolute number of the row after the last."""
        return self.first + self.count

    def within(self, start: int, stop: int) -> "Segment":
        """Return the part with the rows from `start` to `stop`."""
        offset = self._offset + (start - self.first) * self.row_bytes
        return Segment(start, stop - start, self.row_bytes, self._file, offset)

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes of rows, by absolute numbers.

        Raises
        ------
        OSError
            If the disk fails.
        """
        low = self._offset + (start - self.first) * self.row_bytes
        return self._file.read(low, (stop - start) * self.row_bytes)


def in_order(
    segments: list[Segment], *, compare: bool, after_reboot: bool
) -> tuple[list[Segment], str]:
    """Order segments by row number, each row once, up to the first gap.

    While the writer lives a gap only means that one block was looked at before another, and after a
    power loss that a sync was under way. Else it can only be damage. What follows it cannot be told
    from rows that were never accepted.

    Parameters
    ----------
    segments : list of Segment
        Of one stream.
    compare : bool
        Whether to compare rows that stand in two segments.
    after_reboot : bool
        Whether only what had been synced is here.

    Returns
    -------
    list of Segment
        Without overlap.
    str
        What was left out, ``""`` if nothing was.
    """
    result: list[Segment] = []
    for segment in sorted(segments, key=lambda s: (s.first, -s.count)):
        end = result[-1].stop if result else segment.first
        if result and segment.row_bytes != result[-1].row_bytes:
            return result, f"rows from {segment.first} on have another size"
        if segment.first > end:
            missing = f"rows {end} to {segment.first} are missing; later ones are left out"
            return result, "" if after_reboot else missing
        shared = min(end, segment.stop)
        if compare and shared > segment.first and _differ(result, segment, shared):
            kept = [_cut(s, segment.first) for s in result if s.first < segment.first]
            return kept, f"rows {segment.first} to {shared} stand there twice and differ"
        if segment.stop > end:
            result.append(segment.within(end, segment.stop))
    return result, ""


def _cut(segment: Segment, stop: int) -> Segment:
    return segment.within(segment.first, min(segment.stop, stop))


def _differ(known: list[Segment], segment: Segment, stop: int) -> bool:
    return read_rows(known, segment.first, stop) != segment.read(segment.first, stop)


def read_rows(segments: Iterable[Segment], start: int, stop: int) -> bytes:
    """Return the bytes of rows by absolute numbers, all of which the segments must hold."""
    parts = [
        segment.read(max(start, segment.first), min(stop, segment.stop))
        for segment in segments
        if segment.first < stop and segment.stop > start
    ]
    return parts[0] if len(parts) == 1 else b"".join(parts)
