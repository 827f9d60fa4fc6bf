"""`StorageView`: one field of the collections in a storage, over time."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast._names import listing
from holdfast.errors import InvalidInputError
from holdfast.fields._forms import Part
from holdfast.fields._hooks import Hooks
from holdfast.fields._reading import Items
from holdfast.fields._values import row_of


class NoCollectionError(InvalidInputError, TypeError):
    """A part was asked for of what has no parts; a ``TypeError``, as in py-pde."""


def part_of(storage: Hooks, field_id: Any) -> Part:
    """Return a part of a storage's collections, by number or label.

    Raises
    ------
    InvalidInputError
        If there is none. If there are no collections it is a ``TypeError`` too.
    """
    form = storage.form
    if form.parts is None:
        raise NoCollectionError(
            f"{storage!r} holds fields of type {form.name}, which have no field {field_id!r} in "
            "them; only collections have"
        )
    labels = [part.label for part in form.parts]
    if isinstance(field_id, str) and field_id in labels:
        return form.parts[labels.index(field_id)]
    if isinstance(field_id, int | np.integer) and -len(labels) <= field_id < len(labels):
        return form.parts[field_id]
    named = listing(label for label in labels if label is not None)
    raise InvalidInputError(
        f"{storage!r} has no field {field_id!r}; it has {len(labels)}, with the labels: {named}"
    )


class StorageView:
    """One field of the collections in a storage, over time; it holds nothing itself.

    Parameters
    ----------
    storage : StorageBase
        The storage.
    field : int or str
        Number or label of the field.

    Raises
    ------
    InvalidInputError
        If there is no such field.
    """

    def __init__(self, storage: Hooks, field: int | str) -> None:
        self.storage, self._part = storage, part_of(storage, field)

    has_collection = False

    @property
    def times(self) -> npt.NDArray[np.float64]:
        """Times of the fields."""
        times: npt.NDArray[np.float64] = self.storage.times
        return times

    @property
    def grid(self) -> Any:
        """The grid of the fields."""
        return self._part.form.grid

    @property
    def label(self) -> str | None:
        """The field's label in its collection."""
        return self._part.label

    def __len__(self) -> int:
        return len(self.storage)

    def __getitem__(self, index: Any) -> Any:
        """Return the field with a number, or a list of those in a slice."""
        rows = range(len(self))
        if isinstance(index, slice):
            return list(self._fields(rows[index]))
        row = row_of(index, len(self), self)
        return next(self._fields(rows[row : row + 1]))

    def __iter__(self) -> Iterator[Any]:
        return self._fields(range(len(self)))

    @property
    def items(self) -> Items:
        """Pairs of time and field, to be iterated over: as a property or as a method."""
        return Items(self)

    def _fields(self, rows: range) -> Iterator[Any]:
        for values in self.storage.frames(rows):
            yield self._part.form.restore(self._part.of(values).copy())

    def __repr__(self) -> str:
        return f"StorageView({self.storage!r}, {self.label!r})"
