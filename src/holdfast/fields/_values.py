"""`StoredData`: the values of all fields of a storage as one array, read when it is sliced."""

import operator
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from holdfast.fields._forms import Array

if TYPE_CHECKING:
    from holdfast.fields._hooks import Hooks


class StoredData:
    """The values of all fields as an array, of which only what is asked for is read."""

    def __init__(self, storage: "Hooks") -> None:
        self._storage = storage

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of fields, then the shape of one."""
        return (len(self), *self._storage.data_shape)

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def dtype(self) -> "np.dtype[Any]":
        """The dtype of the values."""
        return self._storage.dtype

    def __len__(self) -> int:
        return len(self._storage)

    def __getitem__(self, index: Any) -> Any:
        first, *rest = self._without_ellipsis(index if isinstance(index, tuple) else (index,))
        if isinstance(first, slice):
            rows = range(len(self))[first]
            if _are_apart(rest):  # NumPy puts their axis before that of the rows
                return self._storage.read_values(rows)[(slice(None), *rest)]
            return self._storage.read_values(rows, tuple(rest))
        if _is_row(first):
            row = row_of(first, len(self), self._storage)
            if _are_apart([first, *rest]):
                return self._storage.read_values(range(row, row + 1))[(0, *rest)]
            return self._storage.read_values(range(row, row + 1), tuple(rest))[0]
        if _are_rows(first) and all(isinstance(item, slice) or _is_row(item) for item in rest):
            rows = np.arange(len(self))[first]
            each = [self[(int(row), *rest)] for row in rows]
            return np.stack(each) if each else self[(slice(0), *rest)]
        return self._storage.read_values(range(len(self)))[index]

    def _without_ellipsis(self, index: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return an index that begins with the row, where it is one of numbers and slices."""
        places = [place for place, item in enumerate(index) if item is Ellipsis]
        plain = all(isinstance(item, slice) or item is Ellipsis or _is_row(item) for item in index)
        if not index:
            return (slice(None),)
        if places != [0] or not plain:
            return index
        return (slice(None),) * (self.ndim - len(index) + 1) + index[1:]

    def __iter__(self) -> Iterator[Array]:
        return self._storage.frames(range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:  # noqa: FBT001 - NumPy's protocol
        values: Array = self[:]
        return values if dtype is None else values.astype(dtype)

    def __repr__(self) -> str:
        return f"<values of {self._storage!r}: shape {self.shape}, {self.dtype}>"


def row_of(index: Any, length: int, what: object) -> int:
    """Return the number of a row from an index that may count from the end.

    Raises
    ------
    IndexError
        If there is no such row.
    TypeError
        If it is no index.
    """
    if isinstance(index, bool | np.bool_) or not hasattr(index, "__index__"):
        raise TypeError(f"{what!r} takes a number or a slice, not {index!r}")
    row = operator.index(index)
    row += length if row < 0 else 0
    if not 0 <= row < length:
        raise IndexError(f"{what!r} has {length} fields, none with number {index}")
    return row


def _are_apart(index: Sequence[Any]) -> bool:
    """Whether an index has arrays, and slices between these and other arrays or numbers."""
    basic = [item is None or item is Ellipsis or isinstance(item, slice) for item in index]
    if all(plain or _is_row(item) for plain, item in zip(basic, index, strict=True)):
        return False
    return any(basic[basic.index(False) : len(basic) - basic[::-1].index(False)])


def _is_row(index: Any) -> bool:
    return isinstance(index, int | np.integer) and not isinstance(index, bool)


def _are_rows(index: Any) -> bool:
    """Whether an index is a list of numbers of rows, or says of each whether it is meant."""
    return isinstance(index, list | np.ndarray) and np.ndim(index) == 1
