"""`H5Logger`: streams with the calls of the h5logger package."""

import os
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from holdfast.errors import InvalidInputError
from holdfast.streams._names import with_extension
from holdfast.streams._reader import StreamsReader
from holdfast.streams._writer import Streams

LIVE_INTERVAL = 0.5
"""Seconds between checkpoints once plain HDF5 readers are to follow a file."""


class _Open:
    """``H5Logger.open``: of an instance it takes nothing, of the class a file name."""

    def __get__(self, logger: "H5Logger | None", owner: type) -> Callable[..., "StreamsReader"]:
        if logger is None:
            return lambda filename: StreamsReader(with_extension(filename))
        return lambda: StreamsReader(logger.filename)


class H5Logger:
    """Appends to named datasets of an HDF5 file, as the h5logger package does; kept at once.

    Parameters
    ----------
    filename : path
        The file; ``.h5`` is added to a name without extension.
    replace_if_exists : bool
        Delete an existing file first, instead of appending to it.
    concurrent_readers : bool
        Show new rows to plain HDF5 readers every half second. Holdfast's own readers see every row
        at once in any case.
    datasets : mapping, optional
        Datasets to make before their first rows: ``{"name": (ndim, dtype)}``, where ndim counts the
        row axis.
    n_datasets : int, optional
        Turn `concurrent_readers` on when so many datasets have begun.
    **options
        As for `Streams`: ``compression``, ``timestamps``, ``sync``, …

    Raises
    ------
    InvalidInputError
        If the extension is another one, or a declaration cannot be read.
    LockedError
        If another process writes the file.

    Examples
    --------
    >>> with H5Logger("training") as logger:
    ...     for step in range(3):
    ...         logger.log("loss", 1 / (step + 1))
    >>> with H5Logger.open("training") as data:
    ...     print(data["loss"])
    ...     print(data["loss"][:2])
    <HDF5 dataset "loss": shape (3,), type "<f8">
    [1.  0.5]
    """

    open = _Open()

    def __init__(
        self,
        filename: str | os.PathLike[str],
        replace_if_exists: bool = False,  # noqa: FBT001, FBT002 - positions that the documents fix
        concurrent_readers: bool = False,  # noqa: FBT001, FBT002
        datasets: Mapping[str, tuple[int, npt.DTypeLike]] | None = None,
        n_datasets: int | None = None,
        **options: Any,
    ) -> None:
        self.filename = str(with_extension(filename))
        self._streams = Streams(self.filename, "w" if replace_if_exists else "a", **options)
        self.concurrent_readers = False
        self._n_datasets = n_datasets
        for name, declared in (datasets or {}).items():
            self._declare(name, declared)
        if concurrent_readers:
            self.enable_concurrent_readers()

    def _declare(self, name: str, declared: tuple[int, npt.DTypeLike]) -> None:
        try:
            ndim, dtype = declared
            kind = np.dtype(dtype)
        except (TypeError, ValueError):
            raise InvalidInputError(
                f"datasets[{name!r}] is {declared!r}; pass (number of dimensions, dtype)"
            ) from None
        self._streams.file.declare(name, int(ndim), kind)

    def log(self, name: str, value: npt.ArrayLike) -> None:
        """Append one row; see `Streams.append`."""
        put = self._streams.appenders.get(name)
        if put is None:
            put = self._streams.begin(name, value)
            put(value)
            if self._n_datasets is not None and len(self._streams.appenders) >= self._n_datasets:
                self.enable_concurrent_readers()
            return
        put(value)

    append = log

    def extend(self, name: str, block: npt.ArrayLike) -> None:
        """Append several rows; see `Streams.extend`."""
        self._streams.extend(name, block)

    def set_attributes(self, name: str = "", /, **attributes: Any) -> None:
        """Set attributes of a dataset (``units="m"``), or of the file where no name is given."""
        self._streams.set_attributes(name, **attributes)

    def enable_concurrent_readers(self) -> None:
        """Show rows to plain HDF5 readers now and every half second; later calls do nothing."""
        if not self.concurrent_readers:
            self.concurrent_readers = True
            self._streams.file.interval = min(self._streams.file.interval, LIVE_INTERVAL)
            self._streams.checkpoint()

    def keys(self) -> list[str]:
        """Return the names of all datasets, sorted."""
        return self._streams.names

    def checkpoint(self) -> None:
        """Show all rows to other tools now."""
        self._streams.checkpoint()

    def close(self) -> None:
        """Bring all rows into the file; a program that ends without does so at its exit."""
        self._streams.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"H5Logger({self.filename!r}, {len(self.keys())} datasets)"


h5logger = H5Logger
