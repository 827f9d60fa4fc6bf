"""`StreamsReader` and `Stream`: reading streams, live or not."""

import os
import time
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from holdfast.errors import InvalidInputError, MissingDependencyError
from holdfast.hdf5 import AppendReader, RowType
from holdfast.streams._names import HAS_TIME


class StreamsReader(Mapping[str, "Stream"]):
    """The streams of a file as a mapping, live or not, without a lock and without writing.

    Parameters
    ----------
    path : path
        The HDF5 file.

    Raises
    ------
    MissingFileError
        If there is neither the file nor a journal of it.
    FormatError
        If it is not HDF5.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._reader = AppendReader(path)

    @property
    def attrs(self) -> dict[str, Any]:
        """The attributes of the file."""
        self._reader.refresh()
        return self._reader.attributes()

    @property
    def live(self) -> bool:
        """Whether a process has the file open for writing."""
        return self._reader.live

    @property
    def problems(self) -> list[str]:
        """Damage that was found and left out."""
        return self._reader.problems

    def _names(self) -> list[str]:
        self._reader.refresh()
        names = self._reader.names
        hidden = {self._reader.attributes(name).get(HAS_TIME) for name in names}
        return [name for name in names if name not in hidden]

    def __getitem__(self, name: str) -> "Stream":
        """Return a stream.

        Raises
        ------
        NotFoundError
            If there is none of this name; it is a ``KeyError`` too.
        """
        self._reader.refresh()
        self._reader.kind(name)
        return Stream(self._reader, name)

    def __contains__(self, name: object) -> bool:
        self._reader.refresh()
        return name in self._reader.names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def close(self) -> None:
        """Do nothing: nothing is held but what the last snapshot needs."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"StreamsReader({str(self._reader.path)!r}, {len(self)} streams)"


class Stream:
    """One stream as it is now: lengths and slices follow a live writer.

    Slices read only the rows they need: ``stream[-1]``, ``stream[10:20]``, ``stream[::2, 0]``.
    """

    def __init__(self, reader: AppendReader, name: str) -> None:
        self._reader, self.name = reader, name

    @property
    def kind(self) -> RowType:
        """The dtype and shape of its rows."""
        return self._reader.kind(self.name)

    @property
    def dtype(self) -> "np.dtype[Any]":
        """The dtype of its values."""
        return self.kind.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of rows, then the shape of a row."""
        return (len(self), *self.kind.shape)

    @property
    def ndim(self) -> int:
        """Number of dimensions, the row axis counted."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values."""
        return len(self) * self.kind.items

    @property
    def attrs(self) -> dict[str, Any]:
        """The stream's attributes."""
        self._reader.refresh()
        return self._reader.attributes(self.name)

    @property
    def times(self) -> "npt.NDArray[np.datetime64] | None":
        """Wall-clock time of each row, UTC, to the nanosecond; None if the stream keeps none."""
        name = self.attrs.get(HAS_TIME)
        if name is None:
            return None
        return self._reader.read(str(name), 0, self._reader.length(str(name)))

    def __len__(self) -> int:
        self._reader.refresh()
        return self._reader.length(self.name)

    def __getitem__(self, index: Any) -> Any:
        first, *rest = index if isinstance(index, tuple) and index else (index,)
        if first is Ellipsis or first is None:
            return self.to_numpy()[index]
        length = len(self)
        if isinstance(first, slice):
            rows = self._slice(first, length)
            return rows[(slice(None), *rest)] if rest else rows
        if isinstance(first, int | np.integer) and not isinstance(first, bool):
            row = int(first) + (length if first < 0 else 0)
            if not 0 <= row < length:
                raise IndexError(
                    f"stream {self.name!r} has {length} rows, none with number {first}"
                )
            value = self._reader.read(self.name, row, row + 1)[0]
            return value[tuple(rest)] if rest else value
        return self._reader.read(self.name, 0, length)[index]

    def _slice(self, rows: slice, length: int) -> npt.NDArray[Any]:
        start, stop, step = rows.indices(length)
        if step > 0:
            found = self._reader.read(self.name, start, max(start, stop))
            return found[::step] if step != 1 else found
        wanted = range(start, stop, step)
        if not wanted:
            return self._reader.read(self.name, 0, 0)
        return self._reader.read(self.name, wanted[-1], start + 1)[::-1][::-step]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.to_numpy())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:  # noqa: FBT001 - NumPy's protocol
        rows = self.to_numpy()
        return rows if dtype is None else rows.astype(dtype)

    def to_numpy(self) -> npt.NDArray[Any]:
        """Return all rows."""
        return self._reader.read(self.name, 0, len(self))

    def follow(self, start: int = 0, *, poll: float = 0.05) -> Iterator[Any]:
        """Yield rows from number `start` on, those to come included, until the writer has ended.

        Parameters
        ----------
        start : int
            First row; negative counts from the present end.
        poll : float
            Seconds between two looks when there is nothing new.
        """
        row = max(start + len(self), 0) if start < 0 else start
        while True:
            live = self._reader.live
            length = len(self)
            if length > row:
                yield from self._reader.read(self.name, row, length)
                row = length
            elif not live:
                return
            else:
                time.sleep(poll)

    def to_xarray(self) -> Any:
        """Return an ``xarray.DataArray`` with dimension ``row`` first, and times if there are any.

        Raises
        ------
        MissingDependencyError
            If xarray is not installed.
        """
        try:
            import xarray as xr
        except ImportError:
            raise MissingDependencyError(
                "to_xarray() needs xarray; install it with: pip install 'holdfast[fields]'"
            ) from None
        rows = self.to_numpy()
        dims = ["row", *(f"dim_{axis}" for axis in range(1, rows.ndim))]
        times = self.times
        coords = {} if times is None else {"time": ("row", _fitted(times, len(rows)))}
        return xr.DataArray(rows, dims=dims, coords=coords, name=self.name, attrs=self.attrs)

    def to_pandas(self) -> Any:
        """Return a ``pandas.Series``, or a ``DataFrame`` for vectors and structured rows.

        Raises
        ------
        MissingDependencyError
            If pandas is not installed.
        InvalidInputError
            If rows have more than one dimension.
        """
        try:
            import pandas as pd
        except ImportError:
            raise MissingDependencyError(
                "to_pandas() needs pandas; install it with: pip install 'holdfast[tables]'"
            ) from None
        rows = self.to_numpy()
        times = self.times
        index = None if times is None else pd.Index(_fitted(times, len(rows)), name="time")
        if rows.ndim > 2:
            raise InvalidInputError(
                f"stream {self.name!r} has rows of shape {rows.shape[1:]}; use to_xarray()"
            )
        if rows.ndim == 2 or rows.dtype.names:
            return pd.DataFrame(rows, index=index)
        return pd.Series(rows, index=index, name=self.name)

    def _repr_html_(self) -> str:
        shape, attrs = " x ".join(map(str, self.shape)), self.attrs
        shown = [(key, value) for key, value in attrs.items() if key != HAS_TIME]
        lines = [f"<b>{escape(self.name)}</b>: {shape}, {escape(str(self.dtype))}"]
        lines += [f"{escape(key)}: {escape(_short(value))}" for key, value in shown[:10]]
        return f"<div>{'<br>'.join(lines)}</div>"

    def __repr__(self) -> str:
        return f'<HDF5 dataset "{self.name}": shape {self.shape}, type "{self.dtype.str}">'


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def _fitted(times: npt.NDArray[Any], length: int) -> npt.NDArray[Any]:
    """Return times for so many rows: a kill may have come between a row and its time."""
    missing = max(length - len(times), 0)
    return np.concatenate([times[:length], np.full(missing, np.datetime64("NaT", "ns"))])
