"""`DatasetWriter`: one stream in HDF5, made and extended on the HDF5 thread."""

from collections.abc import Callable
from typing import Any

import h5py
import numpy as np

from holdfast.errors import FormatError
from holdfast.hdf5._chunks import Compression, rows_per_chunk
from holdfast.hdf5._overlay import Overlay
from holdfast.hdf5._rows import TIME_UNIT, RowType, without_metadata


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
    chunk_rows : int, optional
        Rows a chunk of a new dataset; chosen by what there is when left out.
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
        chunk_rows: int | None = None,
        *,
        overlay: Overlay,
    ) -> None:
        self._overlay = overlay
        self._file, self.name, self.kind = file, name, kind
        self._compression, self._chunk_rows = compression, chunk_rows
        self._dataset: Any = None
        self.length = self.full = 0
        self._by_chunk = False
        self._step = 1
        if name in file:
            self._adopt(file[name])

    def _adopt(self, dataset: Any) -> None:
        check_appendable(dataset)
        self._dataset = dataset
        self.length = dataset.shape[0]
        chunks = dataset.chunks
        self._chunk_rows = self._step = chunks[0]
        self._by_chunk = chunks[1:] == self.kind.shape
        self._compression = compression_of(dataset)
        self.full = self.length // chunks[0] * chunks[0]

    def _create(self, rows: int, *, final: bool) -> None:
        chunk_rows = self._chunk_rows or rows_per_chunk(self.kind, rows, final=final)
        dataset = self._file.create_dataset(
            self.name,
            shape=(0, *self.kind.shape),
            # Along an axis without items HDF5 takes no chunks, unless the axis may grow.
            maxshape=(None, *(n or None for n in self.kind.shape)),
            chunks=(chunk_rows, *(max(n, 1) for n in self.kind.shape)),
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
        step = self._step
        if not self._by_chunk or not self.kind.nbytes:
            self._write_rows(shown, stop, read)
            self.full = stop // step * step
        else:
            self._write_chunks(shown, stop, read)
        self.length = stop

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes of rows that are in the dataset."""
        return np.asarray(self._dataset[start:stop]).tobytes()

    def _write_chunks(self, shown: int, stop: int, read: Callable[[int, int], Any]) -> None:
        """Write whole chunks directly, and a part of one row by row where that is possible."""
        step = self._step
        start = self.full
        while start < stop:
            end = min(start + step, stop)
            partly = shown > start or end < start + step
            if partly and self._compression.name is None and not self._compression.shuffle:
                self._write_rows(max(shown, start), end, read)
            else:
                self._write_chunk(start, end, read(start, end))
            self._overlay.drain()
            start += step
        self.full = stop // step * step

    def _write_chunk(self, start: int, end: int, content: Any) -> None:
        missing = (start + self._step - end) * self.kind.nbytes
        if missing:
            content = bytes(content) + bytes(missing)
        encoded = self._compression.encode(content, self.kind.dtype.itemsize)
        if encoded is None:
            rows = end - start
            self._store(start, end, bytes(content)[: rows * self.kind.nbytes])
            return
        origin = (start, *(0 for _ in self.kind.shape))
        with self._overlay.lend(encoded):
            self._dataset.id.write_direct_chunk(origin, encoded)

    def _write_rows(self, start: int, end: int, read: Callable[[int, int], Any]) -> None:
        self._store(start, end, read(start, end))

    def _store(self, start: int, end: int, content: Any) -> None:
        rows = np.frombuffer(content, self.kind.stored) if self.kind.nbytes else np.empty(0)
        shape = (end - start, *self.kind.shape)
        if self.kind.nbytes:
            self._dataset[(slice(start, end), *(slice(0, n) for n in self.kind.shape))] = (
                rows.reshape(shape)
            )

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
    names = set(dataset._filters)  # noqa: SLF001 - the only place h5py tells all filters
    known = {"gzip", "shuffle"}
    if names - known:
        return Compression("other", None, shuffle="shuffle" in names)
    return Compression(
        "gzip" if "gzip" in names else None, dataset.compression_opts, "shuffle" in names
    )
