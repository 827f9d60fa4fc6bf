"""Rows out of compressed and tiled chunks, decoded without HDF5, several at once.

A *tile* is a chunk's part of a row: the whole row, or a box of its items. A *box* is the first item
and the one behind the last along each axis of a row.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast.hdf5._ahead import in_order
from holdfast.hdf5._chunks import KEPT_BYTES, Compression

Tile = tuple[tuple[int, ...], int, int, int]
"""Of a chunk: its first items beyond the row axis, byte offset in the file, stored bytes, mask."""

Box = tuple[tuple[int, int], ...]

_Part = tuple[tuple[slice, ...], tuple[slice, ...]]


@dataclass(frozen=True, slots=True)
class Chunking:
    """How rows are cut into chunks.

    Attributes
    ----------
    step : int
        Rows a chunk.
    shape : tuple of int
        Items of a chunk along each axis of a row.
    compression : Compression
        What undoes the compression of one.
    dtype : numpy.dtype
        The items.
    """

    step: int
    shape: tuple[int, ...]
    compression: Compression
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """Bytes of a chunk."""
        return self.step * math.prod(self.shape) * self.dtype.itemsize

    def decode(self, content: memoryview) -> npt.NDArray[Any]:
        """Return the items of a chunk.

        Raises
        ------
        ValueError
            If it is damaged.
        """
        decoded = self.compression.decode(content, self.dtype.itemsize, self.nbytes)
        return np.frombuffer(decoded, self.dtype).reshape(self.step, *self.shape)


@dataclass(slots=True)
class TileReader:
    """Decodes chunks, and keeps those of the last rows.

    Attributes
    ----------
    kept : dict
        Decoded chunks by their address.
    """

    kept: dict[int, npt.NDArray[Any]] = field(default_factory=dict)

    def fill(
        self,
        out: npt.NDArray[Any],
        start: int,
        box: Box,
        tiles: dict[int, list[Tile]],
        chunking: Chunking,
        fetch: Callable[[memoryview, int], None],
    ) -> bool:
        """Fill an array with the items of a box, of rows from `start` on.

        Parameters
        ----------
        out : numpy.ndarray
            The array, one axis more than the box has.
        start : int
            Number of its first row.
        box : Box
            Which items of a row.
        tiles : dict
            Chunks by their number along the row axis.
        chunking : Chunking
            How they are cut.
        fetch : callable
            Fills a buffer from an offset in the file.

        Returns
        -------
        bool
            Whether that was possible: False if a filter was left out for a chunk.
        """
        wanted = list(_wanted(tiles, chunking, start, len(out), box))
        if any(tile[3] for tile, _ in wanted):
            return False
        if sum(out[part[0]].size for _, part in wanted) < out.size:
            out.reshape(-1).view(np.uint8).fill(0)  # of chunks that were never written
        kept = self.kept  # looked at once: several threads may read

        def place(chosen: tuple[Tile, _Part]) -> tuple[int, npt.NDArray[Any]]:
            (_, address, size, _), (target, source) = chosen
            items = kept.get(address)
            if items is None:
                content = memoryview(bytearray(size))
                fetch(content, address)
                items = chunking.decode(content)
            out[target] = items[source]
            return address, items

        fresh: dict[int, npt.NDArray[Any]] = {}
        several = max(KEPT_BYTES // max(chunking.nbytes, 1), 1)
        placed = in_order(place, wanted, size=chunking.nbytes, count=len(wanted))
        with closing(placed):
            for address, items in placed:
                fresh[address] = items
                if len(fresh) > several:
                    del fresh[next(iter(fresh))]
        self.kept = fresh
        return True


def _wanted(
    tiles: dict[int, list[Tile]], chunking: Chunking, start: int, count: int, box: Box
) -> Iterator[tuple[Tile, _Part]]:
    """Yield each tile that has some of the items, and which of them lie where in it."""
    step, stop = chunking.step, start + count
    for number in range(start // step, -(-stop // step)):
        rows = _common(number * step, step, start, stop)
        for tile in tiles.get(number, ()):
            axes = [
                _common(first, size, low, high)
                for first, size, (low, high) in zip(tile[0], chunking.shape, box, strict=True)
            ]
            if all(there.start < there.stop for there, _ in axes):
                there, within = zip(rows, *axes, strict=True)
                yield tile, (there, within)


def _common(first: int, size: int, low: int, high: int) -> tuple[slice, slice]:
    """Return what a tile and an interval share, by numbers within each."""
    begin, end = max(first, low), min(first + size, high)
    return slice(begin - low, end - low), slice(begin - first, end - first)


def run_of(box: Box, shape: tuple[int, ...]) -> int | None:
    """Return the first item of a box whose items lie one behind the other; None for others."""
    axes = list(zip(box, shape, strict=True))
    while axes and axes[-1][0] == (0, axes[-1][1]):
        axes.pop()
    if any(high - low != 1 for (low, high), _ in axes[:-1]):
        return None
    first = 0
    for (low, _), size in zip(box, shape, strict=True):
        first = first * size + low
    return first
