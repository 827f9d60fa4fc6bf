"""Which box of a field's values an index means."""

from typing import Any

import numpy as np

from holdfast.hdf5 import Box


def box_of(
    rest: tuple[Any, ...], shape: tuple[int, ...]
) -> tuple[Box, tuple[int | slice, ...]] | None:
    """Return the smallest box that holds what an index means, and which of its values that are.

    None for an index that means whole fields, nothing, or something else than numbers and slices.
    """
    if not rest or len(rest) > len(shape):
        return None
    box, within = [], []
    for size, part in zip(shape, rest, strict=False):
        found = _interval(part, size)
        if found is None:
            return None
        box.append(found[0])
        within.append(found[1])
    box += [(0, size) for size in shape[len(rest) :]]
    if all(interval == (0, size) for interval, size in zip(box, shape, strict=True)):
        return None
    return tuple(box), tuple(within)


def _interval(part: Any, size: int) -> tuple[tuple[int, int], int | slice] | None:
    if isinstance(part, int | np.integer) and not isinstance(part, bool):
        if not -size <= part < size:
            return None
        number = int(part) % size
        return (number, number + 1), 0
    if not isinstance(part, slice):
        return None
    numbers = range(*part.indices(size))
    if not numbers or numbers.step < 0:
        return None
    return (numbers[0], numbers[-1] + 1), slice(None, None, numbers.step)
