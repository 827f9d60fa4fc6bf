"""`MainIndex`: lengths, dtypes and chunk addresses of an HDF5 file, collected at one moment.

With these, rows in full chunks are read by ``pread`` and in memory, since full chunks never change.
Datasets that other programs have made otherwise are read by HDF5 when they are asked for.
"""

import contextlib
import itertools
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from holdfast.errors import FormatError
from holdfast.hdf5._commit import read_redo
from holdfast.hdf5._dataset import OTHER, compression_of, is_raw, kind_of
from holdfast.hdf5._overlay import Overlay
from holdfast.hdf5._rows import RowType, bytes_of
from holdfast.hdf5._superblock import committed_size
from holdfast.hdf5._tiles import Box, Chunking, Tile, TileReader, run_of


class OpenFile:
    """A file descriptor that is closed with the last index that refers to it."""

    __slots__ = ("descriptor",)

    def __init__(self, path: Path) -> None:
        self.descriptor = -1
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read_into(self, buffer: memoryview, offset: int) -> None:
        """Fill a buffer from an offset on.

        Raises
        ------
        FormatError
            If the file ends before.
        """
        while buffer:
            count = os.preadv(self.descriptor, [buffer], offset)
            if not count:
                raise FormatError(f"the file ends at byte {offset}; restore it from a copy")
            buffer, offset = buffer[count:], offset + count

    def __del__(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)


_memory_names = itertools.count()


@dataclass(slots=True)
class DatasetIndex:
    """One dataset as it was.

    Attributes
    ----------
    kind : RowType
        Its rows.
    length : int
        How many there are.
    attributes : dict
        Its attributes.
    step : int
        Rows a chunk; 0 where only HDF5 can read the dataset.
    plain : bool
        Whether a chunk is rows as they are, one behind the other.
    tiles : dict
        Chunks by their number along the row axis.
    properties : Any
        How the dataset was made, as HDF5 tells it, where it is not plain.
    chunking : Chunking or None
        How chunks are cut and compressed, where that can be undone without HDF5.
    """

    kind: RowType
    length: int
    attributes: dict[str, Any]
    step: int = 0
    plain: bool = False
    tiles: dict[int, list[Tile]] = field(default_factory=dict)
    properties: Any = None
    chunking: Chunking | None = None

    @property
    def settled(self) -> int:
        """How many rows are in full chunks, which never change again."""
        return self.length // self.step * self.step if self.step else 0


@dataclass(slots=True)
class MainIndex:
    """An HDF5 file as it was: its datasets by name, the attributes of groups by theirs."""

    path: Path
    file: OpenFile | None = None
    size: int = 0
    datasets: dict[str, DatasetIndex] = field(default_factory=dict)
    attributes: dict[str, dict[str, Any]] = field(default_factory=dict)
    patches: dict[int, bytearray] = field(default_factory=dict)
    decoder: TileReader = field(default_factory=TileReader)

    def read(self, name: str, start: int, stop: int) -> npt.NDArray[Any]:
        """Read rows by absolute numbers; from `DatasetIndex.settled` on they may have changed.

        Raises
        ------
        FormatError
            If the file is not as its index says.
        """
        index = self.datasets[name]
        if not index.step:
            return self._read_by_hdf5(name, start, stop)
        out = np.empty((stop - start, *index.kind.shape), index.kind.stored)
        if not out.nbytes:
            return out
        if index.plain:
            self._read_plain(index, out, start, stop)
        elif not self.read_tiles(name, start, out, tuple((0, n) for n in index.kind.shape)):
            with self._decoding(name):
                self._read_filtered(index, out, start, stop)
        return out

    def read_tiles(self, name: str, start: int, out: npt.NDArray[Any], box: Box) -> bool:
        """Fill an array with a box of each row; tell whether that was possible without HDF5.

        Raises
        ------
        FormatError
            If the file is not as its index says.
        """
        index = self.datasets[name]
        if index.chunking is None:
            return False
        with self._decoding(name):
            return self.decoder.fill(out, start, box, index.tiles, index.chunking, self._fill)

    @contextlib.contextmanager
    def _decoding(self, name: str) -> Iterator[None]:
        try:
            yield
        except (OSError, RuntimeError, ValueError) as error:
            raise FormatError(
                f"a chunk of {name!r} in {self.path} cannot be decoded ({error}); restore the file "
                "from a copy"
            ) from error

    def _read_plain(
        self, index: DatasetIndex, out: npt.NDArray[Any], start: int, stop: int
    ) -> None:
        target = bytes_of(out)
        width, step, row = index.kind.nbytes, index.step, start
        while row < stop:
            number, within = divmod(row, step)
            rows = min(step - within, stop - row)
            part = target[(row - start) * width : (row - start + rows) * width]
            if number in index.tiles:
                ((_, address, _, _),) = index.tiles[number]
                self._fill(part, address + within * width)
            else:
                part[:] = bytes(len(part))  # never written
            row += rows

    def _fill(self, part: memoryview, offset: int) -> None:
        if self.file is None:
            raise AssertionError
        self.file.read_into(part, offset)
        if self.patches:
            view = Overlay(self.file.descriptor, offset + len(part), self.patches)
            view.seek(offset)
            view.readinto(part)

    def read_box(self, name: str, start: int, out: npt.NDArray[Any], box: Box) -> bool:
        """Fill an array with a box of each row; tell whether less than whole rows was to be read.

        Raises
        ------
        FormatError
            If the file is not as its index says.
        """
        index = self.datasets[name]
        if not index.plain:
            return self.read_tiles(name, start, out, box)
        first = run_of(box, index.kind.shape)
        if first is None or not out.nbytes:
            return False
        self._read_run(index, start, out, first * out.itemsize)
        return True

    def _read_run(self, index: DatasetIndex, start: int, out: npt.NDArray[Any], first: int) -> None:
        """Fill an array with bytes of each row from number `first` on, of a plain dataset."""
        count = out.nbytes // len(out)
        target = bytes_of(out)
        for row in range(len(out)):
            number, within = divmod(start + row, index.step)
            part = target[row * count : (row + 1) * count]
            if number in index.tiles:
                ((_, address, _, _),) = index.tiles[number]
                self._fill(part, address + within * index.kind.nbytes + first)
            else:
                part[:] = bytes(count)  # never written

    def _read_filtered(
        self, index: DatasetIndex, out: npt.NDArray[Any], start: int, stop: int
    ) -> None:
        """Decode chunks by HDF5 itself, which knows all filters, in a file in memory."""
        step, shape = index.step, index.kind.shape
        first, last = start // step, (stop - 1) // step
        name = f"memory-{next(_memory_names)}"
        with h5py.File(name, "w", driver="core", backing_store=False) as memory:
            space = h5py.h5s.create_simple(
                ((last - first + 1) * step, *shape), (h5py.h5s.UNLIMITED,) * (1 + len(shape))
            )
            kind = h5py.h5t.py_create(index.kind.stored, logical=True)
            raw = h5py.h5d.create(memory.id, b"rows", kind, space, index.properties)
            for number in range(first, last + 1):
                for beyond, address, size, mask in index.tiles.get(number, ()):
                    content = bytearray(size)
                    self._fill(memoryview(content), address)
                    raw.write_direct_chunk(((number - first) * step, *beyond), content, mask)
            # Opened anew: HDF5 takes it that a chunk just written so had all filters.
            del raw
            memory["rows"].read_direct(out, np.s_[start - first * step : stop - first * step])

    def _read_by_hdf5(self, name: str, start: int, stop: int) -> npt.NDArray[Any]:
        with self.opened() as content:
            dataset = content[name]
            if dataset.external or dataset.is_virtual:
                raise FormatError(
                    f"dataset {name!r} in {self.path} keeps its data in other files, which are not "
                    "followed; read it with h5py, if you trust the file"
                )
            if dataset.shape:
                return np.asarray(dataset[start:stop])
            return np.asarray(dataset[()]).reshape(1)[start:stop]

    @contextlib.contextmanager
    def opened(self) -> Iterator[h5py.File]:
        """Open the file in HDF5, with what belongs over it.

        Raises
        ------
        FormatError
            If HDF5 cannot read it.
        OSError
            If the disk fails.
        """
        if self.file is None:
            raise AssertionError
        overlay = Overlay(self.file.descriptor, self.size, dict(self.patches))
        try:
            with h5py.File(overlay, "r", driver="fileobj") as content:
                yield content
        except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
            if overlay.failure is not None:
                raise overlay.failure from None
            if isinstance(error, FormatError):
                raise
            raise FormatError(
                f"{self.path} cannot be read as HDF5 ({error}); restore it from a copy"
            ) from error


def read_main(path: Path, *, redo: Path | None = None) -> MainIndex:
    """Collect the index of a file; of a missing one an empty index.

    Parameters
    ----------
    path : Path
        The file.
    redo : Path, optional
        The journal's folder, if a commit that was cut short is to be laid over the file.

    Raises
    ------
    FormatError
        If the file is not HDF5, or HDF5 cannot read it. While a commit is applied to it that is no
        proof of damage.
    OSError
        If the disk fails.
    """
    index = MainIndex(path)
    try:
        file = OpenFile(path)
    except FileNotFoundError:
        return index
    found = read_redo(redo) if redo is not None else None
    index.file, index.size = file, committed_size(file.descriptor, path)
    if found is not None:
        index.size, index.patches = max(found[0], index.size), found[1]
    with index.opened() as content:
        _collect(index, content)
    return index


def _collect(index: MainIndex, content: h5py.File) -> None:
    index.attributes[""] = _attributes(content)

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            index.datasets[name] = _index_of(item)
        elif isinstance(item, h5py.Group):
            index.attributes[name] = _attributes(item)

    content.visititems(visit)  # hard links only: external and soft links are not followed


def _attributes(item: Any) -> dict[str, Any]:
    """Return attributes by name; a name in another encoding than UTF-8 is shown as Python can."""
    return {
        name if isinstance(name, str) else name.decode(errors="surrogateescape"): value
        for name, value in item.attrs.items()
    }


def _index_of(dataset: Any) -> DatasetIndex:
    kind, attributes = kind_of(dataset), _attributes(dataset)
    if dataset.shape is None:
        return DatasetIndex(kind, 0, attributes)
    index = DatasetIndex(kind, dataset.shape[0] if dataset.shape else 1, attributes)
    if not dataset.shape or not is_raw(dataset) or dataset.is_virtual or dataset.external:
        return index
    if dataset.chunks is None:
        address = dataset.id.get_offset()
        if address is not None:
            index.step, index.plain = max(index.length, 1), True
            index.tiles[0] = [((), address, 0, 0)]
        return index
    if _has_filled_gaps(dataset):
        return index
    index.step = dataset.chunks[0]
    index.plain = dataset.chunks[1:] == dataset.shape[1:] and not dataset._filters  # noqa: SLF001 - the only place h5py tells all filters
    if not index.plain:
        index.properties = dataset.id.get_create_plist().copy()
        how = compression_of(dataset)
        if how.name != OTHER:
            index.chunking = Chunking(index.step, dataset.chunks[1:], how, kind.stored)
    if dataset.id.get_num_chunks():

        def chunk(info: Any) -> None:
            number = info.chunk_offset[0] // index.step
            tile = (tuple(info.chunk_offset[1:]), info.byte_offset, info.size, info.filter_mask)
            index.tiles.setdefault(number, []).append(tile)

        dataset.id.chunk_iter(chunk)
    return index


def _has_filled_gaps(dataset: Any) -> bool:
    """Whether items of chunks that were never written are something else than zeros."""
    if not np.asarray(dataset.fillvalue).tobytes().strip(b"\0"):
        return False
    sizes = zip(dataset.shape, dataset.chunks, strict=True)
    return bool(dataset.id.get_num_chunks() < math.prod(-(-n // chunk) for n, chunk in sizes))
