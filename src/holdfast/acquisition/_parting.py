"""Messages in no order, parted by span of time: kept in files for a while, or in memory.

Blocks whose times are in no order would have to be read whole for each span; parted once, each span
is read by itself, and put in order in memory.
"""

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from holdfast.acquisition._gather import U64, Part, concatenated, grouped, in_order
from holdfast.acquisition._npz import read_at, write_all

_COLUMNS = 24
"""Bytes of a message's time, source and length."""


class _Piece(NamedTuple):
    """Messages that were written together: how many, and bytes of their payloads."""

    messages: int
    size: int

    @property
    def total(self) -> int:
        return _COLUMNS * self.messages + self.size


class Parting:
    """Messages of one recording by span of time.

    Parameters
    ----------
    lows : uint64
        Where spans begin.
    folder : Path, optional
        Where files are made, one a span; None: in memory. Whoever calls for this deletes what an
        assembly left that was killed.
    """

    def __init__(self, lows: U64, folder: Path | None) -> None:
        self._lows, self._folder = lows, folder
        self._kept: dict[int, list[Part]] = {}
        self._written: dict[int, list[_Piece]] = {}
        self._ends: dict[int, int] = {}

    def add(self, part: Part) -> None:
        """Part some more messages, which come after those before where times are the same.

        Raises
        ------
        OSError
            If the disk is full.
        """
        spans = np.searchsorted(self._lows, part.times, "right") - 1
        order, borders = grouped(spans)
        if not in_order(part.times):
            spans, part = spans[order], part.take(order)
        content, ends = part.content(), np.cumsum(part.lengths)
        for first, stop in pairwise(borders):
            starts = ends[first:stop] - part.lengths[first:stop]
            begin, end = int(starts[0]), int(ends[stop - 1])
            own = Part(
                part.sources[first:stop],
                part.times[first:stop],
                starts - begin,
                part.lengths[first:stop],
                content[begin:end],
            )
            self._keep(int(spans[first]), own)

    def _keep(self, span: int, part: Part) -> None:
        if self._folder is None:
            self._kept.setdefault(span, []).append(part)
            return
        pieces = self._written.setdefault(span, [])
        columns = (part.times, part.sources, part.lengths, part.payload)
        content = b"".join([column.view(np.uint8).data for column in columns])
        # Opened for each piece: there may be more spans than a process may have files open.
        flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
        descriptor = os.open(self._path(self._folder, span), flags, 0o666)
        try:
            write_all(descriptor, memoryview(content), self._ends.get(span, 0))
        finally:
            os.close(descriptor)
        self._ends[span] = self._ends.get(span, 0) + len(content)
        pieces.append(_Piece(len(part.times), len(part.payload)))

    def _path(self, folder: Path, span: int) -> Path:
        return folder / f"{span}.span"

    def take(self, span: int, budget: int | None) -> Iterator[Part]:
        """Yield the messages of a span as they were added, and forget them.

        At most `budget` bytes are read at a time, if that is not None, but a piece at least.
        """
        yield from self._kept.pop(span, ())
        pieces = self._written.pop(span, [])
        self._ends.pop(span, None)
        if self._folder is None or not pieces:
            return
        path, at = self._path(self._folder, span), 0
        with path.open("rb", buffering=0) as file:
            for group in _together(pieces, budget):
                size = sum(piece.total for piece in group)
                yield _part_of(read_at(file, at, size), group)
                at += size
        path.unlink()  # at once: the archive gets its memory


def _together(pieces: list[_Piece], budget: int | None) -> Iterator[list[_Piece]]:
    group: list[_Piece] = []
    filled = 0
    for piece in pieces:
        if budget is not None and group and filled + piece.total > budget:
            yield group
            group, filled = [], 0
        group.append(piece)
        filled += piece.total
    yield group


def _part_of(content: "np.ndarray[tuple[int], np.dtype[np.uint8]]", pieces: list[_Piece]) -> Part:
    """Return the messages of pieces; their bytes stay where they are, between the columns."""
    parts, at = [], 0
    none = content[:0]
    for piece in pieces:
        payload_at = at + _COLUMNS * piece.messages
        columns = content[at:payload_at].copy().view(np.int64).reshape(3, piece.messages)
        times, sources, lengths = columns
        starts = np.cumsum(lengths) - lengths + payload_at
        parts.append(Part(sources, times.view(np.uint64), starts, lengths, none))
        at = payload_at + piece.size
    part = concatenated(parts)
    part.payload = content
    return part
