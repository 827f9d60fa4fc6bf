"""Storages of collections: several storages joined, or a collection taken for a series in time."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from holdfast.errors import InvalidInputError
from holdfast.fields._field import Field, FieldCollection

if TYPE_CHECKING:
    from holdfast.fields._base import StorageBase


def joined(
    storages: "Sequence[StorageBase]", label: str | None, rtol: float, atol: float
) -> tuple[Any, list[Any]]:
    """Return times and collections, of which each has a field of every storage.

    Raises
    ------
    InvalidInputError
        If their times differ.
    """
    times = np.asarray(storages[0].times)
    for storage in storages[1:]:
        other = np.asarray(storage.times)
        if other.shape != times.shape or not np.allclose(times, other, rtol=rtol, atol=atol):
            raise InvalidInputError(
                f"{storages[0]!r} and {storage!r} have different times; extract_time_range() the "
                "same from both, or pass larger rtol or atol"
            )
    return times, [collection_of(fields, label) for fields in zip(*storages, strict=True)]


def collection_of(fields: Sequence[Any], label: str | None) -> Any:
    """Return a collection of fields, of py-pde if they are its fields.

    Raises
    ------
    InvalidInputError
        If they are neither its fields nor `Field` objects.
    """
    if all(isinstance(field, Field) for field in fields):
        return FieldCollection(fields, label=label)
    if all(hasattr(field, "attributes_serialized") for field in fields):
        from holdfast.fields._pde import collection

        return collection(fields, label)
    raise InvalidInputError(
        f"fields of type {', '.join(sorted({type(field).__name__ for field in fields}))} make no "
        "collection; use Field objects on one grid, or fields of py-pde"
    )


def over_time(collection: Any, times: Any) -> tuple[Any, list[Any]]:
    """Return times and fields of one collection: itself, or its fields one after another."""
    several = times is not None and np.size(times) > 1
    return times, list(collection) if several else [collection]
