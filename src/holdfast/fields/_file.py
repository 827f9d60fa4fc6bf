"""`FileStorage`: fields over time in an HDF5 file, in py-pde's layout."""

import atexit
import contextlib
import os
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast._process import ForkGuard
from holdfast._sync import SyncMode
from holdfast.errors import HoldfastError, StateError
from holdfast.fields._base import StorageBase, WriteMode
from holdfast.fields._file_box import box_of
from holdfast.fields._file_errors import names_file
from holdfast.fields._file_options import FileOptions, number_of_fields, tile_of
from holdfast.fields._file_reader import FileReader
from holdfast.fields._file_writer import FileWriter, begin_anew, erase, in_the_way
from holdfast.fields._forms import Array, Layout, dtype_of
from holdfast.fields._hooks import Stored
from holdfast.fields._mpi import is_main
from holdfast.hdf5 import closed_on_error

_writers: "dict[str, tuple[weakref.ref[FileStorage], FileWriter]]" = {}
"""Files that this process writes, also where the program has forgotten the storage."""


@atexit.register
def _end_all() -> None:
    """End what the program has left open; the engine would close it too, but not say how long."""
    for owner, _ in list(_writers.values()):
        storage = owner()
        if storage is not None:
            with contextlib.suppress(OSError, HoldfastError):  # the engine tries again, and says so
                storage.close()


class FileStorage(StorageBase):
    """Keeps fields over time in an HDF5 file; each is kept when its append returns.

    The file is the same as py-pde's: datasets ``data`` and ``times`` with a row for each field,
    and attributes in JSON. It can be read while it is written, by this class from any process.

    Parameters
    ----------
    filename : path
        The file.
    info : mapping, optional
        Plain values to keep with the fields. They win over what the file has.
    write_mode : {"truncate_once", "truncate", "truncate_always", "append", "readonly"}
        What becomes of fields that are in the file when writing starts; they are not removed before
        the first new one is in place.
    max_length : int, optional
        Refuse more fields than that.
    compression : str or bool, optional
        ``gzip`` (or True), ``lzf``, or a name of hdf5plugin.
    compression_opts : int, optional
        Its level.
    shuffle : bool, optional
        Whether bytes of equal significance are stored together; on with a compression.
    dtype : dtype, optional
        In which values are stored, such as ``float32``; their own if left out.
    every : int
        Store one of so many fields that are appended, the first included.
    chunks : int, optional
        Fields a chunk of a new file; chosen by their size if left out.
    chunk_shape : int or tuple of int, optional
        Cells a chunk of a new file along each axis of the grid, or along all, so that the series
        at a point is read without the rest, compressed or not; whole fields if left out.
    allow_backwards : bool
        Whether a field may be earlier than the one before it.
    keep_opened : bool
        For py-pde's programs; appended fields are kept either way.
    check_mpi : bool
        Whether processes of an MPI program but the first leave the file alone.
    sync, interval, journal_bytes
        As `holdfast.hdf5.AppendFile` takes them: when fields reach the disk itself, seconds between
        checkpoints, and bytes that may wait for one.

    Raises
    ------
    InvalidInputError
        If an option cannot be.
    MissingDependencyError
        If the compression needs hdf5plugin, which is not installed.

    Examples
    --------
    >>> with FileStorage("heat.h5", compression="gzip") as storage:
    ...     for step in range(100):
    ...         storage.append(np.full((8, 8), step), time=step / 10)
    >>> storage = FileStorage("heat.h5", write_mode="readonly")
    >>> len(storage), storage.times[-1], storage.data[10:20, 0, 0].tolist()
    (100, np.float64(9.9), [10, 11, 12, 13, 14, 15, 16, 17, 18, 19])
    """

    def __init__(
        self,
        filename: str | os.PathLike[str],
        *,
        info: Mapping[str, Any] | None = None,
        write_mode: WriteMode = "truncate_once",
        max_length: int | None = None,
        compression: str | bool | None = None,
        keep_opened: bool = True,
        check_mpi: bool = True,
        compression_opts: int | None = None,
        shuffle: bool | None = None,
        dtype: npt.DTypeLike | None = None,
        every: int = 1,
        chunks: int | None = None,
        chunk_shape: int | Sequence[int] | None = None,
        allow_backwards: bool = False,
        sync: SyncMode = "background",
        interval: float = 5.0,
        journal_bytes: int = 256 << 20,
    ) -> None:
        super().__init__(info=info, write_mode=write_mode, allow_backwards=allow_backwards)
        self._every = number_of_fields("every", every)
        self._max_length = (
            None if max_length is None else number_of_fields("max_length", max_length)
        )
        chunks = None if chunks is None else number_of_fields("chunks", chunks)
        self._filename, self._path = Path(filename), Path(os.path.abspath(filename))
        self.keep_opened = keep_opened
        self._dtype = None if dtype is None else dtype_of(dtype)
        self._options = FileOptions(
            compression,
            compression_opts,
            shuffle,
            chunks,
            tile_of(chunk_shape),
            sync,
            interval,
            journal_bytes,
        )
        self._to_replace = False
        self._seen = self._rows = 0
        self._idle = check_mpi and not is_main()
        self._begin_unopened()

    def _begin_unopened(self) -> None:
        self._reader = FileReader(self._path)
        self._writer: FileWriter | None = None
        self._guard = ForkGuard()
        # Threads that feed one storage: a field is two rows, which must have the same number.
        self._lock = threading.RLock()

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy, also in another process, needs to open the file by itself.

        There is one writer of a file: the copy of a storage that is writing reads.
        """
        own = ("_reader", "_writer", "_guard", "_lock")
        state = {key: value for key, value in vars(self).items() if key not in own}
        if self._is_writing:
            changed = {"_write_mode": "readonly", "_is_writing": False, "_to_replace": False}
            state.update(changed, _layout=None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._begin_unopened()

    @property
    def filename(self) -> Path:
        """The file, as it was given."""
        return self._filename

    @property
    def live(self) -> bool:
        """Whether a process has the file open for writing."""
        self._look()
        return self._reader.live

    def write(self, data: Any, *, info: Mapping[str, Any] | None = None) -> None:
        """Append a field, or the fields of another storage or of a sequence.

        Parameters
        ----------
        data : field, storage or sequence of fields
            What to append; a storage brings its times.
        info : mapping, optional
            Plain values to keep with the fields; ``t`` is the time of a single one.

        Raises
        ------
        InvalidInputError, OSError, StateError
            As `append`.
        """
        named = dict(info or {})
        time = named.pop("t", None)
        self.add_info(named)
        if isinstance(data, StorageBase):
            for moment, field in data.items:
                self.append(field, moment)
        elif isinstance(data, list | tuple):
            for field in data:
                self.append(field)
        else:
            self.append(data, time)
        if self._writer is not None:
            self._writer.describe(self._info)

    def append(
        self, field: Any = None, time: Any = None, info: Any = None, *, data: Any = None
    ) -> None:
        """Add a field, or skip it by `every`; see `StorageBase.append`.

        Raises
        ------
        InvalidInputError, OSError, StateError
            As there.
        """
        if self._idle:
            return
        with self._lock:
            if self._seen % self._every == 0:
                super().append(field, time, info, data=data)
            self._seen += 1  # after it: writing may have started

    def start_writing(self, field: Any, info: Mapping[str, Any] | None = None) -> None:
        """Prepare for fields like this one; see `StorageBase.start_writing`.

        Raises
        ------
        StateError, InvalidInputError, OSError
            As there.
        LockedError
            If another process writes the file.
        """
        if not self._idle:
            super().start_writing(field, info)

    def clear(self, clear_data_shape: bool = False) -> None:  # noqa: FBT001, FBT002 - py-pde's order
        """Remove all fields; see `StorageBase.clear`.

        Raises
        ------
        StateError
            As there.
        LockedError
            If another process writes the file.
        """
        if not self._idle:
            super().clear(clear_data_shape)

    def close(self) -> None:
        """Bring everything into the file and end; it is then like any other HDF5 file.

        Raises
        ------
        OSError
            If the disk is full. Nothing is lost, call again.
        """
        if self._to_replace:  # nothing came to replace the old fields with
            self._to_replace = self._is_writing = False
            self._layout = None
        if self._guard:
            super().close()
        self._reader.forget()

    # What the contract asks for

    def _where(self) -> str:
        return repr(str(self._path))

    def _stored_dtype(self) -> "npt.DTypeLike | None":
        return self._dtype

    def _stored(self) -> Stored | None:
        self._look()
        return None if self._to_replace else self._reader.stored()

    def _look(self) -> None:
        if self._reader.refresh() and self._writer is None:
            self._forget()

    @names_file
    def _begin(self, layout: Layout, *, truncate: bool) -> None:
        self._guard.check(f"{self!r}")
        self._end_older(truncate=truncate)
        self._seen = self._rows = 0
        there = in_the_way(self._path)
        self._to_replace = truncate and there
        if not self._to_replace:
            begin = FileWriter.continuing if there else FileWriter
            self._open(begin, layout)

    def _end_older(self, *, truncate: bool) -> None:
        """End this storage's last writing, and of others here what would be replaced."""
        if self._writer is not None:
            self._end()
        owner, older = _writers.get(str(self._path), (None, None))
        if older is not None and owner is not None and (truncate or owner() is None):
            older.close()  # a notebook's cell that is run again has left the file open
            del _writers[str(self._path)]

    def _open(self, begin: Callable[..., FileWriter], layout: Layout) -> None:
        with closed_on_error(self._path):
            writer = begin(self._path, layout, self._options, self._info)
            rows = writer.rows
        self._writer, self._rows = writer, rows
        _writers[str(self._path)] = weakref.ref(self), writer

    @names_file
    def _append_data(self, data: Array, time: float) -> None:
        if self._max_length is not None and self._rows >= self._max_length:
            raise StateError(
                f"{self!r} has max_length={self._max_length} fields; pass a larger one, or none"
            )
        if self._writer is None:
            self._replace((data, time))
            self._open(FileWriter, self.layout)
        else:
            self._writer.append(data, time)
            self._rows += 1

    def _replace(self, first: tuple[Array, float] | None) -> None:
        begin_anew(self._path, self.layout, self._options, self._info, first)
        self._to_replace = False
        self._reader.forget()

    @names_file
    def _end(self) -> None:
        if self._to_replace:
            self._replace(None)
        if self._writer is not None:
            self._writer.end(self._info)
            self._let_go()
        self._reader.forget()

    def _let_go(self) -> None:
        if _writers.get(str(self._path), (None, None))[1] is self._writer:
            del _writers[str(self._path)]
        self._writer = None

    @names_file
    def _erase(self) -> None:
        layout = self._layout if self._is_writing else None
        if self._writer is not None:
            self._writer.close()
            self._let_go()
        self._to_replace = False
        erase(self._path)
        self._reader.forget()
        if layout is not None:
            self._open(FileWriter, layout)

    def __len__(self) -> int:
        if self._to_replace:
            return 0
        self._look()
        return self._reader.known

    def _row(self, index: Any) -> int:
        # What the last look has found is still there: no other look, which takes longer than to
        # read a small field.
        if type(index) is int and 0 <= index < self._reader.known and not self._to_replace:
            return index
        return super()._row(index)

    def _read_times(self) -> npt.NDArray[np.float64]:
        if self._to_replace:
            return np.empty(0)
        self._look()
        return self._reader.times()

    def read_values(self, rows: range, rest: tuple[Any, ...] = ()) -> Array:
        """Return some values of some fields; of a point or a region little else is read."""
        found = box_of(rest, self.data_shape) if rows and rows.step == 1 else None
        if found is None:
            return super().read_values(rows, rest)
        box, within = found
        return self._reader.box(rows.start, rows.stop, box)[(slice(None), *within)]

    def _read_data(self, start: int, stop: int) -> Array:
        return self._reader.data(start, stop)
