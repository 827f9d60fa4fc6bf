"""`FileOptions`: how a file of fields is written, and what its numbers may be."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from holdfast._atomic import make_folder
from holdfast._sync import Durability, SyncMode
from holdfast.errors import InvalidInputError
from holdfast.fields._forms import Layout
from holdfast.hdf5 import AppendFile, ChunkShape, Compression, RowType, check_options


@dataclass(frozen=True, slots=True)
class FileOptions:
    """How a file is written; see `FileStorage`."""

    compression: str | bool | None = None
    compression_opts: int | None = None
    shuffle: bool | None = None
    chunks: int | None = None
    chunk_shape: int | tuple[int, ...] | None = None
    sync: SyncMode = "background"
    interval: float = 5.0
    journal_bytes: int = 256 << 20

    def __post_init__(self) -> None:
        Compression.of(self.compression, self.compression_opts, shuffle=self.shuffle)
        Durability(self.sync)
        check_options(self.interval, self.journal_bytes)

    def open(self, path: Path) -> AppendFile:
        """Open a file to append to it."""
        make_folder(path.parent, Durability(self.sync))
        return AppendFile(
            path, sync=self.sync, interval=self.interval, journal_bytes=self.journal_bytes
        )

    def stored(self, layout: Layout) -> dict[str, Any]:
        """Return how a new dataset of values is stored.

        Raises
        ------
        InvalidInputError
            If the grid has another number of axes than `chunk_shape`, or such chunks cannot be.
        """
        tile = self._tile(layout)
        ChunkShape(self.chunks, tile).check("data", RowType(layout.dtype, layout.shape))
        return {
            "compression": self.compression,
            "level": self.compression_opts,
            "shuffle": self.shuffle,
            "chunk_rows": self.chunks,
            "tile": tile,
        }

    def _tile(self, layout: Layout) -> tuple[int, ...] | None:
        grid, shape = layout.form.grid, self.chunk_shape
        axes = len(layout.shape) if grid is None else grid.num_axes
        if isinstance(shape, int):
            return (shape,) * axes
        if grid is not None and shape is not None and len(shape) != axes:
            raise InvalidInputError(
                f"chunk_shape={shape} is for a grid of {len(shape)} axes, and this one has {axes}; "
                "give a number of cells for each"
            )
        return shape


def number_of_fields(name: str, number: Any) -> int:
    """Return a number of fields.

    Raises
    ------
    InvalidInputError
        If it is none, or not positive.
    """
    if not _is_count(number):
        raise InvalidInputError(f"{name} is a number of fields, at least 1, not {number!r}")
    return int(number)


def tile_of(chunk_shape: Any) -> int | tuple[int, ...] | None:
    """Return how many cells a chunk has along each axis; one number is for all.

    Raises
    ------
    InvalidInputError
        If it says something else.
    """
    if chunk_shape is None:
        return None
    if _is_count(chunk_shape):
        return int(chunk_shape)
    several = isinstance(chunk_shape, Sequence | np.ndarray)
    if not several or not len(chunk_shape) or not all(map(_is_count, chunk_shape)):
        raise InvalidInputError(
            f"chunk_shape is a number of cells for each axis of the grid, at least 1, such as "
            f"(64, 64), not {chunk_shape!r}"
        )
    return tuple(int(n) for n in chunk_shape)


def _is_count(number: Any) -> bool:
    whole = isinstance(number, int | np.integer) and not isinstance(number, bool)
    return whole and number >= 1
