"""`Streams`: writes named streams of rows into one file."""

import contextlib
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from holdfast._sync import SyncMode
from holdfast.errors import InvalidInputError, StateError
from holdfast.hdf5 import AppendFile, Compression, RowType, StreamWriter, row_type_of
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
    InvalidInputError
        If the compression is unknown.
    MissingDependencyError
        If it needs hdf5plugin, which is not installed.
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
        Compression.of(compression, compression_opts, shuffle=shuffle)  # now, not at the first row
        key = os.path.abspath(path)
        older = _open_here.get(key)
        if mode == "w" and older is not None:
            with contextlib.suppress(StateError):  # its folder was deleted: nothing is in the way
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
        self._timed: dict[str, _Timed] = {}
        self._checks: dict[str, Callable[[Any], None]] = {}
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
        """Append one row to each of several streams, all of them or, if a value does not fit, none.

        Raises
        ------
        InvalidInputError, OSError, StateError
            As `append`; after an ``OSError`` streams named before the one that failed have a row.
        """
        appenders, checks = self.appenders, self._checks
        if not appenders.keys() >= values.keys():
            self._begin_all(values)
        if len(values) > 1:
            for name, value in values.items():
                checks[name](value)
        for name, value in values.items():
            appenders[name](value)

    def _begin_all(self, values: Mapping[str, npt.ArrayLike]) -> None:
        """Begin the streams that are new, once every value is known to make a row."""
        self._refuse_after_end()
        new = {n: row_type_of(n, v) for n, v in values.items() if n not in self.appenders}
        for name, value in values.items():
            if name not in new:
                self._checks[name](value)
        for name, kind in new.items():
            self._begin(name, kind)

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
        timed = self._timed.get(name)
        if timed is not None:
            timed.extend(rows)
        else:
            self.file.stream(name).extend(rows)

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

        Raises
        ------
        InvalidInputError
            If the value cannot be a row, or `timestamps` comes after a stream's first row.
        StateError
            If the file is closed.
        """
        put = self.appenders.get(name)
        if put is not None:
            if timestamps and name not in self._timed:
                raise _too_late(name)
            return put
        self._refuse_after_end()
        return self._begin(name, row_type_of(name, value), timestamps=timestamps)

    def _refuse_after_end(self) -> None:
        if self.file.closed:
            raise StateError(f"{self.file.path} is closed; open it again to append")

    def _begin(
        self, name: str, kind: RowType, *, timestamps: bool | None = None
    ) -> Callable[[Any], None]:
        with self._mutex:
            if name in self.appenders:
                return self.appenders[name]
            has_times = self._has_times(name)
            stream = self.file.stream(name, kind, **self._storage)
            if timestamps and stream.length and not has_times:
                raise _too_late(name)
            wanted = self._timestamps if timestamps is None else timestamps
            put = stream.append
            if has_times or (wanted and not stream.length):
                timed = self._timed[name] = self._keep_times(name, stream)
                put = timed.append
            self._checks[name] = stream.check
            self.appenders[name] = put
            return put

    def _has_times(self, name: str) -> bool:
        """Whether a stream of times is there, and not one of a user's own that has its name."""
        other = time_of(name)
        return other in self.file.names and self.file.stream(other, RowType(_TIME)).kind == RowType(
            _TIME
        )

    def _keep_times(self, name: str, rows: StreamWriter) -> "_Timed":
        if time_of(name) in self.file.names and not self._has_times(name):
            raise InvalidInputError(
                f"the times of stream {name!r} would be kept in {time_of(name)!r}, which is a "
                "stream of its own; use another name for it"
            )
        times = self.file.stream(time_of(name), RowType(_TIME), **self._storage)
        self.file.set_attribute(name, HAS_TIME, time_of(name))
        self._checks[time_of(name)] = times.check
        self.appenders[time_of(name)] = times.append
        return _Timed(rows, times)

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

    def __exit__(self, *_: object) -> None:
        self.close()


class _Timed:
    """A stream, and the stream of its rows' times, which never has more rows.

    One lock keeps them in step. A row is accepted when it is in its stream: a time that does not
    fit (a full disk, a kill between the two) is not-a-time later, and no error, since who tries
    again would have the row twice.
    """

    def __init__(self, rows: StreamWriter, times: StreamWriter) -> None:
        self._rows, self._times = rows, times
        self._lock = threading.RLock()

    def append(self, value: npt.ArrayLike) -> None:
        """Append a row and its time."""
        with self._lock:
            self._rows.append(value)
            self._note(1)

    def extend(self, rows: npt.ArrayLike) -> None:
        """Append rows, which get one time."""
        with self._lock:
            before = self._rows.length
            self._rows.extend(rows)
            self._note(self._rows.length - before)

    def _note(self, new: int) -> None:
        missing = self._rows.length - self._times.length
        if missing <= 0:
            return  # a signal handler that appended in between has done it
        now = np.datetime64(time.time_ns(), "ns")
        # A `StateError`: this is a signal handler, in the middle of an append to the times.
        with contextlib.suppress(OSError, StateError):
            if missing == 1 == new:
                self._times.append(now)
                return
            times = np.full(missing, now)
            times[: max(missing - new, 0)] = np.datetime64("NaT", "ns")
            self._times.extend(times)


def _too_late(name: str) -> InvalidInputError:
    return InvalidInputError(
        f"stream {name!r} began without times; ask for timestamps=True with its first row, or "
        "append under another name"
    )
