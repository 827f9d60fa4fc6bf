"""`FileWriter`: brings fields into an HDF5 file, each kept when the call returns.

How a file is replaced, and what becomes of a field whose time did not fit any more, stands in
``design/009-fields.md``.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from holdfast._atomic import temporary_beside
from holdfast._sync import Durability
from holdfast.errors import FormatError, IntegrityError, LockedError
from holdfast.fields._file_options import FileOptions
from holdfast.fields._file_reader import DATA, LENGTH, TIMES, FileReader, encoded
from holdfast.fields._forms import Array, Layout
from holdfast.hdf5 import AppendFile, RowType, closed_on_error, recover
from holdfast.journal import WriterLock, journal_folder, writer_lives

COPIED_BYTES = 8 << 20
"""Bytes that are copied at once when a file is written anew."""

CHUNK_BYTES = 64 << 10
"""Bytes of a chunk of small fields, in a file that replaces another."""


class FileWriter:
    """Appends fields of one layout to a file.

    Parameters
    ----------
    path : Path
        The file, made when missing.
    layout : Layout
        Shape and dtype of the values.
    options : FileOptions
        How it is written.
    info : mapping
        What is to be kept with the fields, that about their form included.

    Raises
    ------
    LockedError
        If another process writes the file.
    FormatError
        If it is not HDF5.
    """

    def __init__(
        self, path: Path, layout: Layout, options: FileOptions, info: Mapping[str, Any]
    ) -> None:
        self._owed: float | None = None
        self._kind = RowType(layout.dtype, layout.shape)
        stored = options.stored(layout)  # first: what is refused leaves no file
        self._file = options.open(path)
        try:
            self.describe(info)  # first: rows without it would be taken for plain arrays
            self._data = self._file.stream(DATA, self._kind, **stored)
            self._times = self._file.stream(TIMES, RowType(np.dtype(np.float64)))
        except BaseException:
            self._file.close()
            raise
        self.put = self._data.append

    @classmethod
    def continuing(
        cls, path: Path, layout: Layout, options: FileOptions, info: Mapping[str, Any]
    ) -> Self:
        """Return a writer that goes on behind the fields of a file, which is mended if need be."""
        writer = cls._continuing(path, layout, options, info)
        if writer is None:
            rewrite(path, layout, options)
            writer = cls(path, layout, options, info)
        return writer

    @classmethod
    def _continuing(
        cls, path: Path, layout: Layout, options: FileOptions, info: Mapping[str, Any]
    ) -> Self | None:
        try:
            writer = cls(path, layout, options, info)
        except FormatError:  # of a fixed length, as py-pde can make it
            return None
        if writer._is_even():
            return writer
        writer.close()
        return None

    def _is_even(self) -> bool:
        """Whether there are as many times as fields, of this layout, and all of them count."""
        reader = FileReader(self._file.path)
        reader.refresh()
        even = self._data.length == self._times.length == reader.known
        if not even or self._data.kind != self._kind:
            return False
        if reader.counts_rows:  # py-pde would see no more than that, after a kill too
            self._file.set_attribute("", LENGTH, encoded(None))
        return True

    @property
    def rows(self) -> int:
        """How many fields are in the file."""
        return min(self._data.length, self._times.length)

    def describe(self, info: Mapping[str, Any]) -> None:
        """Keep information in attributes of the file, as JSON."""
        for key, value in info.items():
            self._file.set_attribute("", key, encoded(value))

    def append(self, values: Array, time: float) -> None:
        """Add a field."""
        if self._data.length != self._times.length and self._settles(time):
            return
        self._owed = time
        self.put(values)
        self._times.append(time)

    def _settles(self, time: float) -> bool:
        """Bring in the time of a field whose values alone had fitted; tell if it is this field."""
        owed = time if self._owed is None else self._owed
        self._times.append(owed)
        return owed == time

    def end(self, info: Mapping[str, Any]) -> None:
        """Bring everything into the file."""
        if not self._file.closed:
            self.describe({**info, LENGTH: self.rows})
        self._file.close()

    def close(self) -> None:
        """Bring all rows into the file, and change nothing else."""
        self._file.close()


def in_the_way(path: Path) -> bool:
    """Whether there is a file, or what a killed writer left of one.

    Raises
    ------
    LockedError
        If another writer has it open.
    """
    folder = Path(journal_folder(str(path)))
    if writer_lives(folder):
        raise LockedError(
            f"{path} is being written; close it there, wait for its end, or use another file"
        )
    return path.exists() or folder.exists()


def write_whole(
    path: Path,
    layout: Layout,
    options: FileOptions,
    info: Mapping[str, Any],
    fields: Iterable[tuple[Array, float]],
) -> None:
    """Replace a file by one with these fields, which is whole before the old one goes."""
    temporary = temporary_beside(path)
    try:
        with closed_on_error(temporary):
            _write_at(temporary, layout, options, info, fields)
        _put_in_place(temporary, path, options)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _write_at(
    path: Path,
    layout: Layout,
    options: FileOptions,
    info: Mapping[str, Any],
    fields: Iterable[tuple[Array, float]],
) -> None:
    writer = FileWriter(path, layout, options, info)
    try:
        for values, time in fields:
            writer.append(values, time)
    finally:
        writer.close()


def begin_anew(
    path: Path, layout: Layout, options: FileOptions, info: Mapping[str, Any], first: Any
) -> None:
    """Replace a file by one with a first field, or with none where `first` is None."""
    # Its chunks are chosen for the rows to come, not for the one that there is.
    if options.chunks is None and options.chunk_shape is None:
        size = RowType(layout.dtype, layout.shape).nbytes
        options = replace(options, chunks=max(CHUNK_BYTES // max(size, 1), 1))
    write_whole(path, layout, options, info, [] if first is None else [first])


def rewrite(path: Path, layout: Layout, options: FileOptions) -> None:
    """Replace a file by one with the same fields, whose datasets can grow and are equally long."""
    reader = FileReader(path)
    reader.refresh()
    found = reader.stored()
    write_whole(path, layout, options, {} if found is None else found.info, _copied(reader, layout))


def _copied(reader: FileReader, layout: Layout) -> Iterator[tuple[Array, float]]:
    times = reader.times()
    several = max(COPIED_BYTES // max(RowType(layout.dtype, layout.shape).nbytes, 1), 1)
    for start in range(0, len(times), several):
        stop = min(start + several, len(times))
        yield from zip(reader.data(start, stop), times[start:stop].tolist(), strict=True)


def _put_in_place(temporary: Path, path: Path, options: FileOptions) -> None:
    """Rename a whole file over another, whose journal is brought in first.

    Rows in a journal that stayed would be taken for rows of the new file.
    """
    if path.exists() or os.path.exists(journal_folder(str(path))):
        try:
            recover(path)
        except (FormatError, IntegrityError):  # it is damaged, and to be replaced
            AppendFile(path, "w").close()
    folder = Path(journal_folder(str(path)))
    lock: WriterLock | None = None
    try:
        lock = WriterLock(folder)
        os.replace(temporary, path)
    finally:
        if lock is not None:
            lock.remove()
        with contextlib.suppress(OSError):  # what was damaged has been put aside in it
            folder.rmdir()
    Durability(options.sync).renamed(path)


def erase(path: Path) -> None:
    """Delete a file and its journal.

    Raises
    ------
    LockedError
        If another writer has it open.
    """
    if in_the_way(path):
        AppendFile(path, "w").close()
