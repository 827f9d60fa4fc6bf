"""`StorageView`: one field of the collections in a storage, over time."""

from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast._names import listing
from holdfast.errors import InvalidInputError
from holdfast.fields._base import StorageBase
from holdfast.fields._forms import Array, Layout, Part
from holdfast.fields._hooks import Hooks


class NoCollectionError(InvalidInputError, TypeError, RuntimeError):
    """A part was asked for of what has no parts; py-pde's errors are of these two types."""


class NoPartError(InvalidInputError, IndexError):
    """A collection has no part with a number; an ``IndexError``, as in py-pde."""


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
    kind = InvalidInputError if isinstance(field_id, str) else NoPartError
    raise kind(
        f"{storage!r} has no field {field_id!r}; it has {len(labels)}, with the labels: {named}"
    )


class StorageView(StorageBase):
    """One field of the collections in a storage, over time: a storage to read, which holds nothing.

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
        super().__init__(write_mode="readonly")
        self.storage, self._part = storage, part_of(storage, field)
        self._keep(Layout(self._part.shape, storage.dtype, self._part.form))

    @property
    def label(self) -> str | None:
        """The field's label in its collection."""
        return self._part.label

    def __len__(self) -> int:
        return len(self.storage)

    def _read_times(self) -> npt.NDArray[np.float64]:
        return np.asarray(self.storage.times, np.float64)

    def _read_data(self, start: int, stop: int) -> Array:
        found = self.storage.read_values(range(start, stop), (self._part.place,))
        # Copied: else a field that is kept would keep the others of its collection.
        return np.array(found).reshape(stop - start, *self._part.shape)

    def _where(self) -> str:
        return f"{self.storage!r}, {self.label!r}"
