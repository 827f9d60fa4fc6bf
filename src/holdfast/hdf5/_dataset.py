"""`DatasetWriter`: one stream in HDF5, made and extended on the HDF5 thread."""

import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from holdfast.errors import FormatError
from holdfast.hdf5._ahead import in_order
from holdfast.hdf5._chunks import ChunkShape, Compression
from holdfast.hdf5._overlay import Overlay
from holdfast.hdf5._rows import TIME_UNIT, RowType, bytes_of, without_metadata

OTHER = "other"
"""In place of a compression's name: chunks that only HDF5 can make and read."""

_KNOWN_FILTERS: tuple[list[int], ...] = (
    [],
    [h5py.h5z.FILTER_DEFLATE],
    [h5py.h5z.FILTER_SHUFFLE],
    [h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE],
)
"""In their order."""

_Tile = tuple[tuple[int, ...], "bytes | memoryview"]
"""The first items of a chunk, and its bytes."""


class DatasetWriter:
    """Writes the rows of one stream into its dataset.

    Parameters
    ----------
    file : h5py.File
        The file.
    name : str
        Name of the dataset, with ``/`` for groups.
    kind : RowType
        Its rows.
    compression : Compression
        How a new dataset is compressed.
    chunk_shape : ChunkShape
        What is asked of the chunks of a new dataset.
    overlay : Overlay
        What is under the file; drained after each chunk, so that memory holds one at a time.

    Attributes
    ----------
    length : int
        Rows in the dataset.
    full : int
        Rows in full chunks, which never change again.
    """

    def __init__(
        self,
        file: h5py.File,
        name: str,
        kind: RowType,
        compression: Compression,
        chunk_shape: ChunkShape,
        *,
        overlay: Overlay,
    ) -> None:
        self._overlay = overlay
        self._file, self.name, self.kind = file, name, kind
        self._compression, self._chunk_shape = compression, chunk_shape
        self._dataset: Any = None
        self.length = self.full = 0
        self._chunk: tuple[int, ...] = (1,)
        if name in file:
            self._adopt(file[name])

    def _adopt(self, dataset: Any) -> None:
        check_appendable(dataset)
        self._dataset = dataset
        self.length = dataset.shape[0]
        chunks = dataset.chunks
        self._chunk = chunks
        self._compression = compression_of(dataset)
        self.full = self.length // chunks[0] * chunks[0]

    def _create(self, rows: int, *, final: bool) -> None:
        dataset = self._file.create_dataset(
            self.name,
            shape=(0, *self.kind.shape),
            # Along an axis without items HDF5 takes no chunks, unless the axis may grow.
            maxshape=(None, *(n or None for n in self.kind.shape)),
            chunks=self._chunk_shape.of(self.kind, rows, final=final),
            dtype=self.kind.stored,
            fill_time="never",
            **self._compression.dataset_options(),
        )
        if self.kind.dtype.kind in "mM":
            dataset.attrs[TIME_UNIT] = self.kind.dtype.str
        self._adopt(dataset)

    def write(self, stop: int, read: Callable[[int, int], Any], *, final: bool) -> None:
        """Bring the rows up to number `stop` into the dataset.

        Parameters
        ----------
        stop : int
            Absolute number of the row after the last.
        read : callable
            Returns the bytes of rows by absolute numbers.
        final : bool
            Whether the file is being closed.
        """
        if self._dataset is None:
            self._create(stop, final=final)
        if stop <= self.length:
            return
        self._fit_declared_shape()
        shown = self.length
        self._dataset.resize((stop, *self._dataset.shape[1:]))
        if self.kind.nbytes:
            self._write_chunks(shown, stop, read)
        self.full = stop // self._step * self._step
        self.length = stop

    @property
    def _step(self) -> int:
        return self._chunk[0]

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes of rows that are in the dataset."""
        return np.asarray(self._dataset[start:stop]).tobytes()

    def _write_chunks(self, shown: int, stop: int, read: Callable[[int, int], Any]) -> None:
        """Write whole chunks directly, and a part of one row by row where that is possible."""
        step, how = self._step, self._compression
        start, whole = self.full, stop // self._step * self._step
        if how.name not in (None, "gzip"):  # only HDF5 can
            self._write_rows(start, stop, read)
            return
        filtered = how.name is not None or how.shuffle
        if not filtered and shown > start:
            end = min(start + step, stop)
            self._write_rows(shown, end, read)
            start = end
        self._write_tiles(start, whole if not filtered else stop, read)
        if not filtered and stop > max(start, whole):
            self._write_rows(max(start, whole), stop, read)

    def _write_tiles(self, start: int, stop: int, read: Callable[[int, int], Any]) -> None:
        """Write chunks from the first row of one on, the last one filled up with zeros."""
        itemsize = self.kind.stored.itemsize
        size = math.prod(self._chunk) * itemsize

        def encode(tile: _Tile) -> tuple[tuple[int, ...], Any]:
            origin, content = tile
            return origin, self._compression.encode(content, itemsize)

        # What is not compressed is not worth a thread.
        chunks = -(-(stop - start) // self._step) * len(self._origins())
        count = chunks if self._compression.name is not None else 1
        encoded = in_order(encode, self._tiles(start, stop, read), size=size, count=count)
        with closing(encoded):
            for origin, content in encoded:
                with self._overlay.lend(content):
                    self._dataset.id.write_direct_chunk(origin, content)
                self._overlay.drain()

    def _tiles(self, start: int, stop: int, read: Callable[[int, int], Any]) -> "Iterator[_Tile]":
        """Yield the first items and the bytes of each chunk."""
        origins = self._origins()
        for first in range(start, stop, self._step):
            end = min(first + self._step, stop)
            content = read(first, end)
            missing = (first + self._step - end) * self.kind.nbytes
            if missing:
                content = bytes(content) + bytes(missing)
            if self._chunk[1:] == self.kind.shape:
                yield (first, *origins[0]), content
                continue
            rows = np.frombuffer(content, self.kind.stored).reshape(self._step, *self.kind.shape)
            for origin in origins:
                yield (first, *origin), self._cut(rows, origin)

    def _origins(self) -> list[tuple[int, ...]]:
        """Return the first items of all tiles of a row."""
        axes = zip(self.kind.shape, self._chunk[1:], strict=True)
        return list(itertools.product(*(range(0, n, tile) for n, tile in axes)))

    def _cut(self, rows: npt.NDArray[Any], origin: tuple[int, ...]) -> memoryview:
        """Return the bytes of a tile, of which what is beyond a row's end is zero."""
        within = tuple(slice(o, o + n) for o, n in zip(origin, self._chunk[1:], strict=True))
        part = rows[(slice(None), *within)]
        if part.shape == self._chunk:
            return bytes_of(np.ascontiguousarray(part))
        tile = np.zeros(self._chunk, rows.dtype)
        tile[tuple(slice(0, n) for n in part.shape)] = part
        return bytes_of(tile)

    def _write_rows(self, start: int, stop: int, read: Callable[[int, int], Any]) -> None:
        """Write rows by HDF5 itself, a chunk's at a time."""
        while start < stop:
            end = min(start // self._step * self._step + self._step, stop)
            self._store(start, end, read(start, end))
            self._overlay.drain()
            start = end

    def _store(self, start: int, end: int, content: Any) -> None:
        rows = np.frombuffer(content, self.kind.stored).reshape(end - start, *self.kind.shape)
        self._dataset[(slice(start, end), *(slice(0, n) for n in self.kind.shape))] = rows

    def _fit_declared_shape(self) -> None:
        """Set the row shape of a dataset that was declared with only its number of dimensions."""
        if self._dataset.shape[1:] != self.kind.shape:
            self._dataset.resize((self._dataset.shape[0], *self.kind.shape))


def check_appendable(dataset: Any) -> None:
    """Refuse a dataset that rows cannot be appended to.

    Raises
    ------
    FormatError
        If it is no dataset, or it cannot grow.
    """
    if not isinstance(dataset, h5py.Dataset):
        raise FormatError(f"{dataset.name!r} in the file is a group; choose another name")
    if not dataset.shape or dataset.chunks is None or dataset.maxshape[0] is not None:
        raise FormatError(
            f"dataset {dataset.name!r} has a fixed length; append under another name, or copy it "
            "into a dataset that can grow"
        )


def kind_of(dataset: Any) -> RowType:
    """Return the type of a dataset's rows."""
    dtype = dataset.dtype
    if TIME_UNIT in dataset.attrs:
        dtype = np.dtype(dataset.attrs[TIME_UNIT])
    return RowType(without_metadata(dtype), tuple((dataset.shape or ())[1:]))


def compression_of(dataset: Any) -> Compression:
    """Return how a dataset is compressed, as far as this module can do so itself."""
    made = dataset.id.get_create_plist()
    filters = [made.get_filter(n)[0] for n in range(made.get_nfilters())]
    shuffle = h5py.h5z.FILTER_SHUFFLE in filters
    if not is_raw(dataset) or filters not in _KNOWN_FILTERS:
        return Compression(OTHER, None, shuffle)
    gzip = h5py.h5z.FILTER_DEFLATE in filters
    return Compression("gzip" if gzip else None, dataset.compression_opts, shuffle)


def is_raw(dataset: Any) -> bool:
    """Whether items are on disk, filters aside, as NumPy has them in memory."""
    dtype = dataset.dtype
    if dtype.hasobject or dtype.subdtype:
        return False
    return bool(dataset.id.get_type() == h5py.h5t.py_create(dtype, logical=True))
