"""What is taken out of storages: a field of the collections, a range of times, a copy."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from holdfast.errors import InvalidInputError
from holdfast.fields._forms import FORM_KEYS, Layout
from holdfast.fields._progress import shown
from holdfast.fields._view import NoPartError, StorageView

if TYPE_CHECKING:
    from holdfast.fields._base import StorageBase
    from holdfast.fields._memory import MemoryStorage


def extract_field(
    storage: "StorageBase", indices: Sequence[Any], label: str | None, options: Mapping[str, Any]
) -> Any:
    """Do what `StorageBase.extract_field` says."""
    unknown = options.keys() - {"copy", "field_id"}
    if unknown:
        raise InvalidInputError(f"extract_field takes no {', '.join(sorted(unknown))}")
    wanted = [options["field_id"], *indices] if "field_id" in options else list(indices)
    if not wanted:
        raise InvalidInputError("extract_field takes the number or the label of a field")
    if label is None and len(wanted) == 2 and _is_new_label(storage, wanted[1]):
        *wanted, label = wanted
    if len(wanted) > 1:
        return _part_of_field(storage[wanted[0]], wanted[1:], label)
    if "copy" not in options:
        return _over_time(storage, wanted[0], label)
    if storage.form.parts is None:
        return _labelled(storage[wanted[0]], label)
    return _labelled(StorageView(storage, wanted[0])[-1], label)


def _is_new_label(storage: "StorageBase", text: Any) -> bool:
    """Whether a second position is py-pde's `label`, not the name of a part."""
    parts = storage.form.parts
    return isinstance(text, str) and parts is not None and text not in [p.label for p in parts]


def _part_of_field(field: Any, indices: Sequence[Any], label: str | None) -> Any:
    for index in indices:
        try:
            field = field[index]
        except (LookupError, TypeError, ValueError) as error:
            raise NoPartError(f"{field!r} has no part {index!r} ({error})") from None
    return _labelled(field, label)


def _labelled(field: Any, label: str | None) -> Any:
    if label is not None:
        setattr(field, "name" if hasattr(field, "dims") else "label", label)
    return field


def _over_time(storage: "StorageBase", field_id: Any, label: str | None) -> "MemoryStorage":
    view = StorageView(storage, field_id)
    layout = view.layout
    if label is not None:
        example = view.form.restore(np.zeros(layout.shape, layout.dtype))
        layout = Layout.of(_labelled(example, label))
    times = view.times
    frames = list(view.frames(range(len(times))))
    return _memory().holding(layout, times, frames, info=_own_info(storage))


def _memory() -> "type[MemoryStorage]":
    from holdfast.fields._memory import MemoryStorage

    return MemoryStorage


def _own_info(storage: "StorageBase") -> dict[str, Any]:
    return {key: value for key, value in storage.info.items() if key not in FORM_KEYS}


def time_bounds(
    bounds: Sequence[Any], start: float | None, end: float | None
) -> tuple[float, float]:
    """Return first and last time from the ways in which a range may be written.

    Raises
    ------
    InvalidInputError
        If they are no range of time.
    """
    if len(bounds) == 1 and np.ndim(bounds[0]):
        bounds = list(bounds[0])
    if len(bounds) == 1 and start is None:  # the first by position, if the last is named
        bounds = (None, *bounds) if end is None else (*bounds, end)
        end = None
    if bounds:
        if len(bounds) != 2 or (start, end) != (None, None):
            raise InvalidInputError("a range of times is a last time, or a first and a last one")
        start, end = bounds
    try:
        low = -np.inf if start is None else float(start)
        high = np.inf if end is None else float(end)
    except (TypeError, ValueError):
        raise InvalidInputError(f"times are numbers, not {start!r} and {end!r}") from None
    if not low <= high:
        raise InvalidInputError(f"the range of times from {low:g} to {high:g} holds none")
    return low, high


def extract_time_range(
    storage: "StorageBase", low: float, high: float, *, copy: bool
) -> "MemoryStorage":
    """Return fields of times from `low` to `high` in memory."""
    info = _own_info(storage)
    if storage.shape is None:
        return _memory()(info=info)
    times = np.asarray(storage.times, np.float64)  # a storage of a user's own has a list
    (rows,) = np.nonzero((times >= low) & (times <= high))
    in_memory = storage.data if isinstance(storage.data, list) else None
    if in_memory is not None and not copy:
        frames = [in_memory[row] for row in rows]
    else:
        frames = [f for first, stop in _runs(rows) for f in storage.frames(range(first, stop))]
    return _memory().holding(storage.layout, times[rows], frames, info=info)


def _runs(rows: Any) -> list[tuple[int, int]]:
    """Return where numbers in order follow each other without a gap, as first and stop."""
    if not len(rows):
        return []
    ends = np.flatnonzero(np.diff(rows) > 1)
    firsts, lasts = [rows[0], *rows[ends + 1]], [*rows[ends], rows[-1]]
    return [(int(first), int(last) + 1) for first, last in zip(firsts, lasts, strict=True)]


def output(out: Any) -> "StorageBase":
    """Return the storage that is meant by a storage, a path or nothing.

    Raises
    ------
    InvalidInputError
        If it is none of these.
    """
    if out is None:
        return _memory()(allow_backwards=True)
    if isinstance(out, str | os.PathLike):
        from holdfast.fields._file import FileStorage

        storage: StorageBase = FileStorage(out, allow_backwards=True)
        return storage
    if not hasattr(out, "start_writing"):
        raise InvalidInputError(f"out is a storage or the path of a file, not {out!r}")
    found: StorageBase = out
    return found


def copy_into(storage: "StorageBase", target: "StorageBase", *, progress: bool) -> "StorageBase":
    """Append all fields of a storage to another, with its information."""
    info = _own_info(storage)
    if not len(storage):
        target.add_info(info)
        return target
    for number, (time, field) in enumerate(shown(storage.items, len(storage), progress)):
        if not number:
            target.start_writing(field, info)
        target.append(field, time)
    target.end_writing()
    return target
