"""Chunks that fit the data, and the filters that compress them."""

import math
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from holdfast._names import listing
from holdfast.errors import InvalidInputError, MissingDependencyError
from holdfast.hdf5._rows import RowType, bytes_of

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

    def decode(self, chunk: "bytes | memoryview", itemsize: int) -> "bytes | memoryview":
        """Undo what `encode` does, for ``gzip``, shuffle and neither.

        Raises
        ------
        ValueError
            If the chunk is damaged.
        """
        try:
            content = zlib.decompress(chunk) if self.name == "gzip" else chunk
        except zlib.error as error:
            raise ValueError(str(error)) from None
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
