"""`AppendFile`: named streams appended to one HDF5 file, every row kept when its call returns."""

import itertools
import os
import threading
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from holdfast._names import safe_name
from holdfast._sync import Durability, SyncMode
from holdfast.errors import InvalidInputError, StateError
from holdfast.hdf5._attributes import attribute_event, declaration_event
from holdfast.hdf5._checkpoint import Stored
from holdfast.hdf5._chunks import ChunkShape, Compression
from holdfast.hdf5._engine import Engine
from holdfast.hdf5._names import Names
from holdfast.hdf5._open import closed_at_exit, no_longer_open
from holdfast.hdf5._rows import RowType, check_kind, row_type_of
from holdfast.hdf5._stream import StreamWriter

CHECKPOINT_INTERVAL = 5.0
JOURNAL_BYTES = 256 << 20


class AppendFile:
    """Appends rows to named streams of an HDF5 file.

    Parameters
    ----------
    path : path
        The file. What a crashed writer left in its journal is brought in first.
    mode : {"a", "w"}
        ``a`` appends to an existing file, ``w`` deletes it first.
    sync : {"background", "always"}
        When rows reach the disk itself: within about a second, or before each call returns. Where
        that fails ``always`` takes the row back: no reader has seen it, and the call can be made
        again.
    interval : float
        Seconds between two checkpoints, after which other tools see the rows.
    journal_bytes : int
        Size of the journal at which its rows are moved into the file and its space is given back.
        It bounds the disk space and the mapped memory that rows take before; at twice this size
        appending waits for the checkpoint, and raises what it meets if it fails.

    Raises
    ------
    LockedError
        If another process writes the file (the message names it), or another program does.
    FormatError
        If the file is not HDF5.
    IntegrityError
        If HDF5 cannot open it, or rows are missing between it and its journal.
    OSError
        If the folder cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        mode: Literal["a", "w"] = "a",
        *,
        sync: SyncMode = "background",
        interval: float = CHECKPOINT_INTERVAL,
        journal_bytes: int = JOURNAL_BYTES,
    ) -> None:
        if mode not in ("a", "w"):
            raise InvalidInputError(f"mode must be 'a' or 'w', not {mode!r}")
        check_options(interval, journal_bytes)
        self.path = Path(os.path.abspath(path))
        self._mutex = threading.RLock()
        self._streams: dict[str, StreamWriter] = {}
        self._beginning: set[str] = set()
        self._identities = itertools.count(1)
        self._names = Names()
        self._engine = Engine(
            self.path,
            self._names,
            every_call=Durability(sync).mode == "always",
            interval=interval,
            journal_bytes=journal_bytes,
            delete=mode == "w",
        )
        closed_at_exit(self)

    @property
    def interval(self) -> float:
        """Seconds between two checkpoints; may be set at any time."""
        return self._engine.interval

    @interval.setter
    def interval(self, seconds: float) -> None:
        self._engine.interval = seconds

    @property
    def journal_bytes(self) -> int:
        """Size of the journal at which its rows are moved into the file."""
        return self._engine.room.bound

    # Streams

    @property
    def names(self) -> list[str]:
        """Names of the streams of the file, old and new, sorted."""
        with self._mutex:
            return sorted(self._names.datasets)

    def stream(
        self,
        name: str,
        kind: RowType | None = None,
        *,
        compression: str | bool | None = None,
        level: int | None = None,
        shuffle: bool | None = None,
        chunk_rows: int | None = None,
        tile: tuple[int, ...] | None = None,
    ) -> StreamWriter:
        """Return the writer of a stream, which is made if `kind` is given.

        Parameters
        ----------
        name : str
            Its name, with ``/`` for groups.
        kind : RowType, optional
            Type of its rows, needed for a new stream.
        compression, level, shuffle
            How a new dataset is compressed: ``gzip``, ``lzf``, or a name of hdf5plugin.
        chunk_rows : int, optional
            Rows a chunk of a new dataset.
        tile : tuple of int, optional
            Items a chunk of a new dataset along the last axes of a row; whole rows if left out.

        Raises
        ------
        InvalidInputError
            If the name, the compression or the chunks cannot be, or the stream is new and `kind` is
            missing.
        StateError
            If the file is closed.
        """
        known = self._streams.get(name)
        if known is not None:
            return known
        self._check()
        how = Compression.of(compression, level, shuffle=shuffle)
        chunk_shape = ChunkShape(chunk_rows, tile)
        chunk_shape.check(name, kind)
        with self._mutex:
            if name in self._beginning:  # the mutex lets a handler of the same thread in
                raise StateError(
                    f"stream {name!r} was begun when a signal handler or a finaliser used it; "
                    "set a flag there and append in the program's own course"
                )
            if name not in self._streams:
                self._beginning.add(name)
                try:
                    self._streams[name] = self._begin_stream(name, kind, how, chunk_shape)
                finally:
                    self._beginning.discard(name)
            return self._streams[name]

    def _begin_stream(
        self, name: str, kind: RowType | None, how: Compression, chunk_shape: ChunkShape
    ) -> StreamWriter:
        self._names.check_dataset(name)
        known = name in self._names.datasets
        existing = (
            self._engine.run(lambda: self._engine.checkpointer.adopt(name)) if known else None
        )
        kind = existing.kind if existing else self._names.kind_of_declared(name, kind)
        if kind is None:
            raise InvalidInputError(f"stream {name!r} is new; append a row, or give its RowType")
        check_kind(name, kind)
        # A number is never used again, even if this fails: rows may stand under it already.
        identity = next(self._identities)
        options = {**how.describe(), **chunk_shape.describe()}
        self._engine.journal.define(identity, {"name": name, **kind.describe(), **options})
        stream = StreamWriter(name, identity, kind, self._engine, existing.full if existing else 0)
        # Before its rows: else a checkpoint that gives their generation up would not carry them.
        self._engine.checkpointer.streams[name] = Stored(stream, how, chunk_shape)
        try:
            if existing and len(existing.rest):
                stream.put(existing.rest)
        except BaseException:
            del self._engine.checkpointer.streams[name]
            raise
        self._names.add_dataset(name)
        self._names.declared.pop(name, None)
        return stream

    def append(self, name: str, value: npt.ArrayLike) -> None:
        """Append one row to a stream, which its first row defines.

        Raises
        ------
        InvalidInputError
            If the row does not fit the stream, or HDF5 cannot hold it.
        OSError
            If the disk is full, or the journal is at twice its bound since checkpoints fail; the
            row is then not there, and a later call may succeed.
        """
        stream = self._streams.get(name)
        if stream is None:
            self._check()
            stream = self._existing(name) or self.stream(name, row_type_of(name, value))
        stream.append(value)

    def extend(self, name: str, rows: npt.ArrayLike) -> None:
        """Append several rows: an array whose first axis counts them.

        Raises
        ------
        InvalidInputError, OSError
            As `append`.
        """
        stream = self._streams.get(name)
        if stream is None:
            self._check()
            stream = self._existing(name)
        if stream is None:
            kind = row_type_of(name, rows)
            if not kind.shape:
                raise InvalidInputError(f"extend({name!r}) takes rows; append() takes one value")
            stream = self.stream(name, RowType(kind.dtype, kind.shape[1:]))
        stream.extend(rows)

    def _existing(self, name: str) -> StreamWriter | None:
        safe_name(name, "stream name")
        with self._mutex:
            whole = name in self._names.datasets and name not in self._names.declared
            return self.stream(name) if whole else None

    # Attributes and declarations

    def set_attribute(self, name: str, key: str, value: Any) -> None:
        """Set an attribute of a stream or group (``""``: of the file).

        Where there is neither a stream nor a group of that name when the file is closed, a group is
        made.

        Raises
        ------
        InvalidInputError
            If HDF5 cannot hold the value in an attribute, or the name cannot be.
        OSError
            If the disk is full.
        """
        self._check()
        with self._mutex:
            self._names.check_owner(name)
            self._note(attribute_event(name, key, value))
            self._names.add_owner(name)
            self._engine.noted()

    def declare(self, name: str, ndim: int, dtype: npt.DTypeLike) -> None:
        """Make an empty dataset, of which only the dimensions (the row axis counted) are known.

        A dataset that exists already is left as it is.

        Raises
        ------
        InvalidInputError
            If the name, the dimensions or the dtype cannot be.
        AlreadyExistsError
            If it was declared otherwise.
        OSError
            If the disk is full.
        """
        if not 1 <= ndim <= 32:
            raise InvalidInputError(f"dataset {name!r}: ndim counts the row axis, so not {ndim}")
        kind = np.dtype(dtype).newbyteorder("=")
        if kind.kind not in "biufcS" or kind.itemsize in (0, 32):
            raise InvalidInputError(f"dataset {name!r}: dtype {kind} cannot be declared")
        self._check()
        with self._mutex:
            self._names.check_dataset(name)
            if self._names.declare(name, ndim, kind):
                self._note(declaration_event(name, ndim, kind))
            self._engine.noted()

    def _note(self, event: dict[str, Any]) -> None:
        """Keep a line of the catalogue until it is in the file.

        It is among the lines that a checkpoint carries over before it is in the journal: else one
        that gives the journal up in between would drop it.
        """
        self._check()
        events = self._engine.checkpointer.events
        events.append(event)
        try:
            self._engine.journal.note(event)
        except (OSError, StateError):
            if event in events:
                events.remove(event)
            raise

    # Checkpoints and the end

    def checkpoint(self) -> None:
        """Move all rows into the file now, for other tools to see.

        Raises
        ------
        OSError
            If the disk is full or fails; the rows are in the journal still.
        """
        self._check()
        self._engine.checkpoint()

    def sync(self) -> None:
        """Bring all rows to the disk now.

        Raises
        ------
        OSError
            If the disk fails.
        """
        self._check()
        self._engine.sync()

    def close(self) -> None:
        """Move all rows into the file and end the journal.

        Threads that append meanwhile get a `StateError`.

        Raises
        ------
        OSError
            If the disk is full or fails. Nothing is lost, the file is still open, call again.
        """
        if self._engine.guard:  # a forked child has nothing to close
            self._engine.check_thread()
            with self._mutex:
                try:
                    self._engine.close(self._streams.values())
                finally:
                    if self._engine.ended:
                        no_longer_open(self)

    @property
    def closed(self) -> bool:
        """Whether the file has been closed."""
        return self._engine.ended

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check(self) -> None:
        self._engine.check()

    def forked(self) -> None:
        """Make every append in a forked child take the way that refuses it."""
        for stream in self._streams.values():
            stream.forked()

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{len(self._streams)} streams open"
        return f"AppendFile({str(self.path)!r}, {state})"


def check_options(interval: float, journal_bytes: int) -> None:
    """Refuse what cannot be: see `AppendFile`.

    Raises
    ------
    InvalidInputError
        If one is not a positive number.
    """
    number: Any = interval
    if isinstance(number, bool) or not isinstance(number, Real) or not float(number) > 0:
        raise InvalidInputError(
            f"interval is a positive number of seconds between checkpoints, not {interval!r}"
        )
    number = journal_bytes
    if isinstance(number, bool) or not isinstance(number, Integral) or number < 1:
        raise InvalidInputError(
            f"journal_bytes is a whole number of bytes, at least 1, not {journal_bytes!r}"
        )
