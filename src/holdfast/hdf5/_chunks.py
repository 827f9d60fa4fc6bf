"""Chunks that fit the data, and the filters that compress them."""

import math
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from holdfast._names import listing
from holdfast.errors import InvalidInputError, MissingDependencyError
from holdfast.hdf5._rows import LARGEST_ROW, RowType, bytes_of

LARGEST_CHUNK = 1 << 20
SMALLEST_CHUNK = 1 << 10
SMALLEST_LIVE_CHUNK = 2 << 10
"""While a stream is written its length is not known yet; this bounds the chunks of a slow one."""

_PLUGINS = (
    "bitshuffle",
    "blosc",
    "blosc2",
    "bzip2",
    "fcidecomp",
    "htj2k",
    "lz4",
    "sperr",
    "sz",
    "sz3",
    "zfp",
    "zstd",
)
"""Names that hdf5plugin has, to tell a misspelling where it is not installed."""

ROW_A_CHUNK = 32 << 10
"""Rows of this size and more have a chunk each, so that one is read without its neighbours."""


TILED_CHUNK = 128 << 10
"""Bytes of a chunk of tiles, which are for series: the rows of one are read together."""

KEPT_BYTES = 16 << 20
"""Bytes of decoded chunks that a reader keeps: all tiles of some rows, to read these in turn."""


@dataclass(frozen=True, slots=True)
class Compression:
    """How chunks are compressed.

    Attributes
    ----------
    name : str or None
        ``gzip``, ``lzf``, a name of hdf5plugin such as ``zstd``, or None.
    level : int or None
        The filter's option.
    shuffle : bool
        Whether bytes of equal significance are stored together first.
    """

    name: str | None = None
    level: int | None = None
    shuffle: bool = False

    @classmethod
    def of(
        cls,
        compression: str | bool | None,  # noqa: FBT001 - True means gzip, as in h5py
        level: int | None = None,
        *,
        shuffle: bool | None = None,
    ) -> "Compression":
        """Read what a user passes; True means gzip. Shuffle is on unless said otherwise.

        Raises
        ------
        InvalidInputError
            If the name is unknown or the level is out of range.
        MissingDependencyError
            If the name is one of hdf5plugin's, which is not installed.
        """
        if compression is None or compression is False:
            return cls(None, None, bool(shuffle))
        name = "gzip" if compression is True else str(compression).lower()
        if name == "gzip":
            level = 4 if level is None else level
            if not 0 <= level <= 9:
                raise InvalidInputError(f"gzip takes a level from 0 to 9, not {level}")
        elif name != "lzf":
            _plugin(name)
        return cls(name, level, True if shuffle is None else shuffle)

    def dataset_options(self) -> dict[str, Any]:
        """Return the keywords for ``h5py.Group.create_dataset``."""
        options: dict[str, Any] = {"shuffle": True} if self.shuffle else {}
        if self.name in ("gzip", "lzf"):
            options["compression"] = self.name
            if self.level is not None and self.name == "gzip":
                options["compression_opts"] = self.level
        elif self.name is not None:
            options.update(
                _plugin(self.name)(**({} if self.level is None else {"clevel": self.level}))
            )
        return options

    def encode(self, chunk: "bytes | memoryview", itemsize: int) -> "bytes | memoryview | None":
        """Compress a chunk as HDF5's filters would; None where only HDF5 can.

        zlib works without the interpreter's lock, so that appending goes on meanwhile.
        """
        if self.name not in (None, "gzip"):
            return None
        if self.shuffle and itemsize > 1:
            array = np.frombuffer(chunk, np.uint8).reshape(-1, itemsize)
            chunk = bytes_of(np.ascontiguousarray(array.T))
        if self.name is None:
            return chunk
        return zlib.compress(chunk, 4 if self.level is None else self.level)

    def decode(self, chunk: "bytes | memoryview", itemsize: int, size: int) -> "bytes | memoryview":
        """Undo what `encode` does, for ``gzip``, shuffle and neither; `size` is what comes out.

        Raises
        ------
        ValueError
            If the chunk is damaged.
        """
        try:
            content = zlib.decompress(chunk, bufsize=size) if self.name == "gzip" else chunk
        except zlib.error as error:
            raise ValueError(str(error)) from None
        if len(content) != size:
            raise ValueError(f"it has {len(content)} bytes, not {size}")
        if not self.shuffle or itemsize == 1:
            return content
        array = np.frombuffer(content, np.uint8).reshape(itemsize, -1)
        return bytes_of(np.ascontiguousarray(array.T))

    def describe(self) -> dict[str, Any]:
        """Return plain data that `parse` reads."""
        return {"compression": self.name, "level": self.level, "shuffle": self.shuffle}

    @classmethod
    def parse(cls, described: dict[str, Any]) -> "Compression":
        """Read what `describe` gave."""
        return cls(
            described.get("compression"), described.get("level"), bool(described.get("shuffle"))
        )


def _plugin(name: str) -> Any:
    try:
        import hdf5plugin
    except ImportError:
        if name not in _PLUGINS:
            raise InvalidInputError(
                f"compression {name!r} is unknown; choose among "
                f"{listing(['gzip', 'lzf', *_PLUGINS])}"
            ) from None
        raise MissingDependencyError(
            f"compression {name!r} is not gzip or lzf; others need hdf5plugin: "
            "pip install hdf5plugin"
        ) from None
    known = {n.lower(): n for n in dir(hdf5plugin) if hasattr(getattr(hdf5plugin, n), "filter_id")}
    if name not in known:
        raise InvalidInputError(
            f"compression {name!r} is unknown; choose among {listing(['gzip', 'lzf', *known])}"
        )
    return getattr(hdf5plugin, known[name])


@dataclass(frozen=True, slots=True)
class ChunkShape:
    """What is asked of the chunks of a new dataset; chosen by what there is where left out.

    Attributes
    ----------
    rows : int or None
        Rows of each.
    tile : tuple of int or None
        Items of each along the last axes of a row; all of those before.
    """

    rows: int | None = None
    tile: tuple[int, ...] | None = None

    def check(self, name: str, kind: RowType | None) -> None:
        """Refuse what cannot be.

        Raises
        ------
        InvalidInputError
            If a number is none, or not positive, rows have fewer axes than a tile, or a chunk would
            be larger than HDF5 takes.
        """
        if self.rows is not None and not _is_count(self.rows):
            raise InvalidInputError(
                f"stream {name!r}: a chunk has at least 1 row, not {self.rows!r}"
            )
        if self.tile is not None and not _are_counts(self.tile):
            raise InvalidInputError(
                f"stream {name!r}: a tile has at least 1 item along each axis, such as (64, 64), "
                f"not {self.tile!r}"
            )
        if self.tile is not None and kind is not None and len(self.tile) > len(kind.shape):
            raise InvalidInputError(
                f"stream {name!r} has rows of shape {kind.shape}, which have no tiles of shape "
                f"{self.tile}: give a number for each of the last axes at most"
            )
        if self.rows is not None and kind is not None:
            size = math.prod(self.of(kind, 1, final=False)) * kind.dtype.itemsize
            if size >= LARGEST_ROW:
                raise InvalidInputError(
                    f"stream {name!r}: a chunk of {self.rows} rows takes {size} bytes, and HDF5 "
                    "takes less than 4 GiB; choose fewer rows"
                )

    def of(self, kind: RowType, rows: int, *, final: bool) -> tuple[int, ...]:
        """Return the shape of a chunk of a new dataset; see `rows_per_chunk`."""
        whole = tuple(max(n, 1) for n in kind.shape)
        if self.tile is None:
            return (self.rows or rows_per_chunk(kind, rows, final=final), *whole)
        axes = len(whole) - len(self.tile)
        cut = (min(n, tile) for n, tile in zip(whole[axes:], self.tile, strict=True))
        tile = (*whole[:axes], *cut)
        size = math.prod(tile) * kind.dtype.itemsize
        several = min(TILED_CHUNK // max(size, 1), KEPT_BYTES // max(kind.nbytes, 1))
        return (self.rows or max(several, 1), *tile)

    def describe(self) -> dict[str, Any]:
        """Return plain data that `parse` reads."""
        return {
            "chunk_rows": None if self.rows is None else int(self.rows),
            "tile": None if self.tile is None else [int(n) for n in self.tile],
        }

    @classmethod
    def parse(cls, described: dict[str, Any]) -> "ChunkShape":
        """Read what `describe` gave."""
        tile = described.get("tile")
        return cls(described.get("chunk_rows"), None if tile is None else tuple(tile))


def _is_count(number: Any) -> bool:
    whole = isinstance(number, int | np.integer) and not isinstance(number, bool)
    return whole and number >= 1


def _are_counts(numbers: Any) -> bool:
    return isinstance(numbers, tuple | list) and all(map(_is_count, numbers))


def rows_per_chunk(kind: RowType, rows: int, *, final: bool) -> int:
    """Return how many rows a chunk of a new dataset holds.

    Parameters
    ----------
    kind : RowType
        The rows.
    rows : int
        How many there are now.
    final : bool
        Whether the file is being closed, so that no more are expected soon.
    """
    if kind.nbytes >= ROW_A_CHUNK:
        return 1
    row = max(kind.nbytes, 1)
    wanted = rows * row if final else 8 * rows * row
    least = SMALLEST_CHUNK if final else SMALLEST_LIVE_CHUNK
    size = min(max(1 << math.ceil(math.log2(max(wanted, 1))), least), LARGEST_CHUNK)
    return max(size // row, 1)
