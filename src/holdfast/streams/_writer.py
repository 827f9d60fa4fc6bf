"""`Streams`: writes named streams of rows into one file."""

import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from holdfast._sync import SyncMode
from holdfast.errors import InvalidInputError, StateError
from holdfast.hdf5 import AppendFile, RowType, row_type_of
from holdfast.streams._names import HAS_TIME, time_of

_TIME = np.dtype("<M8[ns]")
_open_here: "weakref.WeakValueDictionary[str, Streams]" = weakref.WeakValueDictionary()


class Streams:
    """Writes the streams of one file.

    Parameters
    ----------
    path : path
        The HDF5 file, made when missing.
    mode : {"a", "w"}
        Append to an existing file, or delete it first.
    compression : str, optional
        ``gzip``, ``lzf``, or a name of hdf5plugin, for datasets to come.
    compression_opts : int, optional
        Its level.
    shuffle : bool, optional
        Whether bytes of equal significance are stored together; on with a compression.
    timestamps : bool
        Whether new streams keep the wall-clock time of each row, in a stream ``<name>_time``.
    sync, interval, journal_bytes
        As `holdfast.hdf5.AppendFile` takes them: when rows reach the disk itself, seconds between
        checkpoints, and bytes that may wait for one.

    Raises
    ------
    LockedError
        If another process writes the file.
    FormatError
        If it is not HDF5.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        mode: Literal["a", "w"] = "a",
        *,
        compression: str | bool | None = None,
        compression_opts: int | None = None,
        shuffle: bool | None = None,
        timestamps: bool = False,
        sync: SyncMode = "background",
        interval: float = 5.0,
        journal_bytes: int = 256 << 20,
    ) -> None:
        key = os.path.abspath(path)
        older = _open_here.get(key)
        if mode == "w" and older is not None:
            older.close()  # a notebook's cell that is run again still holds the file
        self.file = AppendFile(
            path, mode, sync=sync, interval=interval, journal_bytes=journal_bytes
        )
        self._storage: dict[str, Any] = {
            "compression": compression,
            "level": compression_opts,
            "shuffle": shuffle,
        }
        self._timestamps = timestamps
        _open_here[key] = self
        self._mutex = threading.RLock()
        self.appenders: dict[str, Callable[[Any], None]] = {}

    @property
    def names(self) -> list[str]:
        """Names of the streams, sorted."""
        return self.file.names

    def append(self, name: str, value: npt.ArrayLike) -> None:
        """Append one row; a stream's first row defines its dtype and shape.

        Parameters
        ----------
        name : str
            Name of the stream, with ``/`` for groups.
        value : array_like
            A number, truth value, time, text, array, or structured row.

        Raises
        ------
        InvalidInputError
            If the row does not fit the stream, or HDF5 cannot hold it.
        OSError
            If the disk is full; the row is then not there, and a later call may succeed.
        StateError
            If the file is closed, or this is a forked child.
        """
        put = self.appenders.get(name)
        if put is None:
            put = self.begin(name, value)
        put(value)

    def log(self, values: Mapping[str, npt.ArrayLike]) -> None:
        """Append one row to each of several streams; new names are checked before any row."""
        puts = [
            (self.appenders.get(n) or self.begin(n, value), value) for n, value in values.items()
        ]
        for put, value in puts:
            put(value)

    def extend(self, name: str, rows: npt.ArrayLike) -> None:
        """Append several rows: an array whose first axis counts them.

        Raises
        ------
        InvalidInputError, OSError, StateError
            As `append`.
        """
        if name not in self.appenders:
            kind = row_type_of(name, rows)
            if not kind.shape:
                raise InvalidInputError(f"extend({name!r}) takes rows; append() takes one value")
            self._begin(name, RowType(kind.dtype, kind.shape[1:]))
        stream = self.file.stream(name)
        stream.extend(rows)
        if time_of(name) in self.appenders:
            _pad_times(self.file, name, now=True)

    def begin(
        self, name: str, value: npt.ArrayLike, *, timestamps: bool | None = None
    ) -> Callable[[Any], None]:
        """Return what appends to a stream; a new stream gets the dtype and shape of `value`.

        Parameters
        ----------
        name : str
            Name of the stream.
        value : array_like
            Its first row, which is not appended.
        timestamps : bool, optional
            Whether a new stream keeps the time of each row; as the constructor said if left out.
        """
        if self.file.closed:
            raise StateError(f"{self.file.path} is closed; open it again to append")
        return self._begin(name, row_type_of(name, value), timestamps=timestamps)

    def _begin(
        self, name: str, kind: RowType, *, timestamps: bool | None = None
    ) -> Callable[[Any], None]:
        with self._mutex:
            if name in self.appenders:
                return self.appenders[name]
            timed = self._timestamps if timestamps is None else timestamps
            timed = timed or time_of(name) in self.file.names
            stream = self.file.stream(name, kind, **self._storage)
            put = self._timed(name) if timed else stream.append
            self.appenders[name] = put
            return put

    def _timed(self, name: str) -> Callable[[Any], None]:
        """Return an ``append`` that keeps the time of each row in a stream beside it."""
        times = self.file.stream(time_of(name), RowType(_TIME), **self._storage)
        self.file.set_attribute(name, HAS_TIME, time_of(name))
        self.appenders[time_of(name)] = times.append
        rows = self.file.stream(name)
        lock = threading.RLock()

        def append(value: Any) -> None:
            with lock:
                if rows.length != times.length:
                    _pad_times(self.file, name, now=False)
                rows.append(value)
                times.append(np.datetime64(time.time_ns(), "ns"))

        return append

    def set_attributes(self, name: str = "", /, **attributes: Any) -> None:
        """Set attributes of a stream, or of the file where no name is given.

        Raises
        ------
        InvalidInputError
            If HDF5 cannot hold a value in an attribute.
        """
        for key, value in attributes.items():
            self.file.set_attribute(name, key, value)

    def checkpoint(self) -> None:
        """Show all rows to other tools now."""
        self.file.checkpoint()

    def close(self) -> None:
        """Bring all rows into the file and end; the file is then like any other HDF5 file.

        Raises
        ------
        OSError
            If the disk is full. Nothing is lost, the file is still open, call again.
        """
        self.file.close()
        self.appenders.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _pad_times(file: AppendFile, name: str, *, now: bool) -> None:
    """Give rows without a time (a kill between the two, or a block) one: now, or not-a-time."""
    times, rows = file.stream(time_of(name)), file.stream(name)
    missing = rows.length - times.length
    value = np.datetime64(time.time_ns(), "ns") if now else np.datetime64("NaT", "ns")
    if missing > 0:
        times.extend(np.full(missing, value))
