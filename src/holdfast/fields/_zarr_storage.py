"""`ZarrStorage`: fields over time in a Zarr store, chunked and sharded."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast._process import ForkGuard
from holdfast._sync import Durability, SyncMode
from holdfast.errors import InvalidInputError, LockedError
from holdfast.fields._base import StorageBase, Stored, WriteMode
from holdfast.fields._exit import closed_at_exit, no_longer_open
from holdfast.fields._forms import Array, Layout, dtype_of
from holdfast.fields._mpi import is_main
from holdfast.fields._pictures import axes_of
from holdfast.fields._zarr_commit import Content
from holdfast.fields._zarr_format import (
    DATA,
    TIME,
    Plan,
    check_dtype,
    check_installed,
    check_whole,
)
from holdfast.fields._zarr_reader import Snapshot
from holdfast.fields._zarr_recover import leave_nothing
from holdfast.fields._zarr_writer import ZarrWriter
from holdfast.journal import journal_folder, writer_lives


class ZarrStorage(StorageBase):
    """Keeps fields over time in a Zarr store (version 3); each is kept when its append returns.

    The store is a folder that xarray, dask and zarr open as it is: an array ``data`` whose first
    dimension is ``time``, and coordinates ``time`` and of the axes. Fields wait in a journal beside
    it until they fill a shard, which is then written whole; what is in the journal is read too.

    Parameters
    ----------
    filename : path
        The folder, such as ``heat.zarr``.
    info : mapping, optional
        Plain values to keep with the fields, as attributes of the store.
    write_mode : {"truncate_once", "truncate", "truncate_always", "append", "readonly"}
        What becomes of fields that are there when writing starts; they stay until the first new
        ones are committed.
    compression : {"zstd", None}
        How chunks are compressed.
    level : int
        Its level, from 1 to 22.
    chunks : int or sequence of int, optional
        Fields in a chunk, the least that is read at once; about 256 KiB if left out. Or the shape
        of a chunk, such as ``(256, 16, 16)``: of a tile of many fields, for a fast series at a
        point.
    shards : int, optional
        Fields in a shard, which is one file; about 8 MiB if left out.
    dtype : dtype, optional
        In which values are stored, such as ``float32``; their own if left out.
    allow_backwards : bool
        Whether a field may be earlier than the one before it.
    sync : {"background", "always"}
        When fields reach the disk itself: within about a second, or before each call returns.

    Raises
    ------
    InvalidInputError
        If an option cannot be.

    Examples
    --------
    >>> with ZarrStorage("heat.zarr") as storage:
    ...     for step in range(100):
    ...         storage.append(np.full((8, 8), step), time=step / 10)
    >>> len(storage), storage.data[10:12, 0, 0].tolist()
    (100, [10, 11])
    """

    def __init__(
        self,
        filename: str | os.PathLike[str],
        *,
        info: Mapping[str, Any] | None = None,
        write_mode: WriteMode = "truncate_once",
        compression: str | None = "zstd",
        level: int = 3,
        chunks: int | Sequence[int] | None = None,
        shards: int | None = None,
        dtype: npt.DTypeLike | None = None,
        allow_backwards: bool = False,
        sync: SyncMode = "background",
    ) -> None:
        super().__init__(info=info, write_mode=write_mode, allow_backwards=allow_backwards)
        inner, tile = _chunk_shape(chunks)
        if shards is not None and not _is_whole(shards):
            raise InvalidInputError(f"shards is a number of fields, at least 1, not {shards!r}")
        if inner is not None and shards is not None:
            check_whole(inner, shards)
        if compression not in ("zstd", None) or not _is_whole(level) or level > 22:
            raise InvalidInputError(
                f"compression is 'zstd' with a level from 1 to 22, or None, not {compression!r} "
                f"with {level!r}"
            )
        self._path = Path(os.path.abspath(filename))
        self._plan: dict[str, Any] = {
            "chunks": inner,
            "tile": tile,
            "shards": None if shards is None else int(shards),
            "level": int(level) if compression else None,
        }
        self._dtype = None if dtype is None else check_dtype(dtype_of(dtype))
        self._sync = Durability(sync).mode
        self._begin_unopened()

    def _begin_unopened(self) -> None:
        self._writer: ZarrWriter | None = None
        self._snapshot: Snapshot | None = None
        self._guard = ForkGuard()

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy, also in another process, needs to open the store by itself.

        There is one writer of a store: the copy of a storage that is writing reads.
        """
        own = ("_writer", "_snapshot", "_guard")
        state = {key: value for key, value in vars(self).items() if key not in own}
        if self._is_writing:
            state.update(_write_mode="readonly", _is_writing=False, _layout=None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._begin_unopened()

    @property
    def filename(self) -> Path:
        """The store's folder."""
        return self._path

    @property
    def live(self) -> bool:
        """Whether a process has the store open for writing."""
        return writer_lives(Path(journal_folder(str(self._path))))

    def checkpoint(self) -> None:
        """Bring all fields into the store now, for other tools to see.

        Raises
        ------
        OSError
            If the disk is full; the fields are in the journal still.
        """
        if self._writer is not None:
            self._writer.checkpoint()

    # What the contract asks for

    def _where(self) -> str:
        return repr(str(self._path))

    def _stored_dtype(self) -> "npt.DTypeLike | None":
        return self._dtype

    def _stored(self) -> Stored | None:
        found = self._look()
        if found is None:
            return None
        return Stored(found.attributes, found.plan.shape, np.dtype(found.plan.dtype))

    def _look(self) -> Snapshot | None:
        before = self._snapshot
        self._snapshot = found = Snapshot.take(self._path)
        if before is None or self._writer is not None:
            return found
        if found is None or found.identity != before.identity:
            self._forget()
        return found

    def _begin(self, layout: Layout, *, truncate: bool) -> None:
        self._guard.check(repr(self))
        if not is_main():
            return
        check_installed()
        if self._writer is not None:
            self._end()
        if truncate and self.live:
            raise LockedError(
                f"{self._path} is being written; close it there, wait for its end, or use another"
            )
        found = None if truncate else self._look()
        if found is None:
            content = self._new_content(layout)
        else:
            content = Content(found.identity, found.plan, {}, *_described(layout))
        content.attributes = self._info
        there = truncate and self._path.exists()
        self._writer = ZarrWriter(self._path, content, self._sync, replaces=there)
        closed_at_exit(self)

    def _new_content(self, layout: Layout) -> Content:
        coordinates, notes = _described(layout)
        dims = _dimensions(layout)
        plan = Plan.choose(layout.shape, layout.dtype, dims, **self._plan)
        return Content(os.urandom(16).hex(), plan, {}, coordinates, notes)

    def _append_data(self, data: Array, time: float) -> None:
        if self._writer is not None:
            self._writer.append(data, time)

    def _end(self) -> None:
        if self._writer is not None and self._guard:
            self._writer.content.attributes = self._info
            self._writer.close()
            self._writer = None
        self._snapshot = None
        no_longer_open(self)

    def _erase(self) -> None:
        layout = self._layout if self._is_writing else None
        if self._writer is not None:
            self._writer.discard()
            self._writer = None
        leave_nothing(self._path)
        self._snapshot = None
        if layout is not None:
            self._begin(layout, truncate=False)

    def __len__(self) -> int:
        if self._writer is not None:
            return self._writer.rows
        found = self._look()
        return 0 if found is None else found.rows

    def _read_times(self) -> npt.NDArray[np.float64]:
        found = self._look()
        return np.empty(0) if found is None else found.times(0, found.rows)

    def _read_data(self, start: int, stop: int) -> Array:
        if self._snapshot is None or self._snapshot.rows < stop:
            self._look()
        if self._snapshot is None:
            return self._nothing()
        return self._snapshot.data(start, stop)

    def read_values(self, rows: range, rest: tuple[Any, ...] = ()) -> Array:
        """Return the values of some fields as one array, of tiles that `rest` touches alone."""
        plain = all(_is_plain(item) for item in rest)
        if not rest or not plain or rows.step != 1 or not rows:
            return super().read_values(rows, rest)
        cells = np.broadcast_to(np.empty(()), self.data_shape)
        if not cells[rest].size:  # which is an IndexError where there is no such cell
            return super().read_values(rows, rest)
        if self._snapshot is None or self._snapshot.rows < rows.stop:
            self._look()
        if self._snapshot is None:
            return super().read_values(rows, rest)
        return self._snapshot.data(rows.start, rows.stop, rest)


def _is_plain(index: Any) -> bool:
    """Whether an index is a number or a slice forwards."""
    if isinstance(index, slice):
        return index.step is None or index.step > 0
    return isinstance(index, int | np.integer) and not isinstance(index, bool)


def _chunk_shape(chunks: Any) -> tuple[int | None, tuple[int, ...] | None]:
    """Return the fields in a chunk and the shape of its part of each; None where not chosen."""
    if chunks is None:
        return None, None
    if _is_whole(chunks):
        return int(chunks), None
    if isinstance(chunks, list | tuple) and chunks and all(map(_is_whole, chunks)):
        inner, *tile = map(int, chunks)
        return inner, tuple(tile)
    raise InvalidInputError(
        "chunks is a number of fields, at least 1, or the shape of a chunk, such as (256, 16, 16), "
        f"not {chunks!r}"
    )


def _is_whole(number: Any) -> bool:
    """Whether something is a whole number, at least 1."""
    return (
        isinstance(number, int | np.integer) and not isinstance(number, bool) and bool(number > 0)
    )


def _dimensions(layout: Layout) -> list[str]:
    """Return names for the dimensions of a field's values, all different."""
    names = [axis.name for axis in _axes(layout)]
    count = len(layout.shape) - len(names)
    names = [*("component", "component_2", "component_3")[:count], *names]
    return [f"{name}_" if name in (TIME, DATA) else name for name in names]


def _axes(layout: Layout) -> Any:
    return axes_of(layout.form, layout.shape)


def _described(layout: Layout) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Return coordinates of the axes, and attributes of the array of values."""
    axes = _axes(layout)
    names = _dimensions(layout)[len(layout.shape) - len(axes) :]
    coordinates = {name: axis.centres.tolist() for name, axis in zip(names, axes, strict=True)}
    parts = layout.form.parts
    return coordinates, {} if parts is None else {"parts": [part.label for part in parts]}
