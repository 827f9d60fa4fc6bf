"""`apply`: a function of every field of a storage, in order, by one worker or several."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from holdfast.errors import InvalidInputError
from holdfast.fields._calls import positions
from holdfast.fields._extract import output
from holdfast.fields._field import Field, FieldCollection
from holdfast.fields._progress import shown

if TYPE_CHECKING:
    from holdfast.fields._base import StorageBase


def is_field(result: Any, storage: "StorageBase") -> bool:
    """Whether a result is a field; an array is one only of a storage of arrays."""
    if isinstance(result, np.ndarray):
        return result.ndim > 0 and storage.form.name == "array"
    return (
        isinstance(result, Field | FieldCollection)
        or hasattr(result, "attributes_serialized")
        or (hasattr(result, "dims") and hasattr(result, "coords"))
    )


def apply(
    storage: "StorageBase",
    func: Callable[..., Any],
    out: Any,
    *,
    parallel: Any,  # noqa: ARG001
    progress: bool,
    kwargs: Mapping[str, Any],
) -> Any:
    """Do what `StorageBase.apply` says."""
    given = positions(func, 2, kwargs)
    results = (
        (time, func(*(field, time)[:given], **kwargs))
        for time, field in shown(storage.items, len(storage), progress)
    )
    return gathered(storage, results, out)


def gathered(storage: "StorageBase", results: Iterator[tuple[float, Any]], out: Any) -> Any:
    """Return results as a storage if they are fields, else as a list."""
    first = next(results, None)
    if first is None or is_field(first[1], storage):
        target = output(out)
        if first is not None:
            _store(storage, target, first, results)
        return target
    if out is not None:
        raise InvalidInputError(
            f"the function returned {first[1]!r} for the first field, which is no field to be "
            "stored; return a field, or leave out= away to get a list"
        )
    return [first[1], *(result for _, result in results)]


def _store(
    storage: "StorageBase",
    target: "StorageBase",
    first: tuple[float, Any],
    results: Iterator[tuple[float, Any]],
) -> None:
    target.start_writing(first[1])
    target.append(first[1], first[0])
    for time, result in results:
        if not is_field(result, storage):
            raise InvalidInputError(
                f"the function returned {result!r} for the field at time {time:g}, and fields "
                "before; return a field for each"
            )
        target.append(result, time)
    target.end_writing()
