"""`apply`: a function of every field of a storage, in order, by one worker or several."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np

from holdfast.errors import InvalidInputError
from holdfast.fields._calls import positions
from holdfast.fields._extract import output
from holdfast.fields._field import Field, FieldCollection
from holdfast.fields._parallel import Task, results
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
    parallel: Any,
    progress: bool,
    kwargs: Mapping[str, Any],
) -> Any:
    """Do what `StorageBase.apply` says."""
    total = len(storage)
    if not total:
        return output(out)
    times = [float(time) for time in storage.times]
    task = Task(storage.form, func, positions(func, 2, kwargs), kwargs, times, storage)
    done = results(task, parallel)
    with closing(done):  # workers end with it, whatever happens
        return gathered(storage, shown(done, total, progress), out)


def gathered(storage: "StorageBase", done: Iterator[tuple[float, Any]], out: Any) -> Any:
    """Return results as a storage if they are fields, else as a list."""
    first = next(done)
    if is_field(first[1], storage):
        target = output(out)
        _store(storage, target, first, done)
        return target
    if out is not None:
        raise InvalidInputError(
            f"the function returned {first[1]!r} for the first field, which is no field to be "
            "stored; return a field, or leave out= away to get a list"
        )
    return [first[1], *(result for _, result in done)]


def _store(
    storage: "StorageBase",
    target: "StorageBase",
    first: tuple[float, Any],
    done: Iterator[tuple[float, Any]],
) -> None:
    target.start_writing(first[1])
    target.append(first[1], first[0])
    for time, result in done:
        if not is_field(result, storage):
            raise InvalidInputError(
                f"the function returned {result!r} for the field at time {time:g}, and fields "
                "before; return a field for each"
            )
        target.append(result, time)
    target.end_writing()
