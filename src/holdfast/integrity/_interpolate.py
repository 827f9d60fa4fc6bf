"""`interpolate_data`: values at other coordinates, exact for 64-bit times."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.errors import InvalidInputError

Numbers = NDArray[np.number[Any]]


def interpolate_data(
    source_coordinates: Numbers,
    source_values: Numbers,
    target_coordinates: Numbers,
    *,
    is_discrete: bool,
) -> Numbers:
    """Return the values at `target_coordinates`.

    Whole coordinates are compared and subtracted as whole numbers, so nanoseconds since 1970,
    which lie beyond 2^53, lose nothing. Coordinates outside the source take its first or last
    value.

    Parameters
    ----------
    source_coordinates : ndarray, shape (n,)
        Coordinates of the values, increasing; of equal ones the last counts.
    source_values : ndarray, shape (n,)
        The values.
    target_coordinates : ndarray, shape (m,)
        Where values are wanted, in any order.
    is_discrete : bool
        Take the last known value at or before each coordinate, rather than a linear interpolation.

    Returns
    -------
    ndarray, shape (m,)
        With the dtype of `source_values` if discrete, otherwise float64. At a coordinate that is
        NaN: the last value if discrete, otherwise NaN.

    Raises
    ------
    InvalidInputError
        If an array is not one-dimensional or holds no real numbers, the source is empty or not
        increasing, or coordinates and values differ in length.
    """
    source = _numbers(source_coordinates, "source_coordinates")
    target = _numbers(target_coordinates, "target_coordinates")
    values = _numbers(source_values, "source_values", is_discrete=is_discrete)
    _check(source, values)
    source, target = _comparable(source, target)
    if is_discrete:
        last = np.searchsorted(source, target, side="right") - 1
        result: Numbers = values[np.clip(last, 0, None)]
        return result
    if source.dtype.kind == "f" and source.dtype.itemsize <= 8:
        between: Numbers = np.interp(target, source, values.astype(np.float64))
        return between
    return _linear(source, values.astype(np.float64), target)


def _numbers(array: Any, what: str, *, is_discrete: bool = False) -> NDArray[Any]:
    found = np.asarray(array)
    if found.ndim != 1:
        raise InvalidInputError(f"{what} has {found.ndim} dimensions; pass a one-dimensional array")
    if found.dtype.kind not in "iufb" and not (is_discrete and found.dtype.kind in "cSUmM"):
        if found.size == 0:
            return found.astype(np.float64)
        raise InvalidInputError(f"{what} holds {found.dtype}; pass real numbers")
    if found.dtype.kind == "b" and not is_discrete:
        return found.astype(np.uint8)
    return found


def _check(source: NDArray[Any], values: NDArray[Any]) -> None:
    if len(source) != len(values):
        raise InvalidInputError(
            f"there are {len(source)} source_coordinates but {len(values)} source_values; pass "
            "one value for each coordinate"
        )
    if not len(source):
        raise InvalidInputError("source_coordinates is empty; there is nothing to interpolate from")
    rising = source[1:] >= source[:-1]
    if not rising.all():
        place = int(np.argmin(rising)) + 1
        raise InvalidInputError(
            f"source_coordinates must increase, but [{place}] is {source[place]} after "
            f"{source[place - 1]}; sort both arrays by coordinate"
        )
    if source.dtype.kind == "f" and np.isnan(source).any():
        raise InvalidInputError("source_coordinates holds NaN; leave those values out")


def _comparable(source: NDArray[Any], target: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return both in one dtype that holds all their values exactly.

    NumPy alone would compare int64 with uint64, or with floats, as float64.
    """
    kinds = {source.dtype.kind, target.dtype.kind}
    if kinds == {"f"}:
        common = np.promote_types(source.dtype, target.dtype)
        return source.astype(common), target.astype(common)
    if "f" in kinds:
        return source.astype(np.longdouble), target.astype(np.longdouble)
    both = [array for array in (source, target) if len(array)]
    low, high = min(int(a.min()) for a in both), max(int(a.max()) for a in both)
    if high < 2**63:
        return source.astype(np.int64), target.astype(np.int64)
    if low >= 0:
        return source.astype(np.uint64), target.astype(np.uint64)
    # Negative ones beside ones above 2^63: what lies outside the source is clamped in any case.
    limits = np.iinfo(source.dtype)
    return source, np.clip(target.astype(object), limits.min, limits.max).astype(source.dtype)


def _linear(source: NDArray[Any], values: NDArray[Any], target: NDArray[Any]) -> NDArray[Any]:
    last = np.searchsorted(source, target, side="right") - 1
    left = np.clip(last, 0, len(source) - 1)
    right = np.clip(left + 1, None, len(source) - 1)
    span = _difference(source[right], source[left])
    inside = (last >= 0) & (span > 0)
    passed = _difference(target, source[left])
    fraction = np.divide(passed, span, out=np.zeros(len(target)), where=inside)
    slope = np.where(inside & (fraction != 0), values[right] - values[left], 0.0)
    result: NDArray[Any] = np.asarray(values[left] + slope * fraction, dtype=np.float64)
    if target.dtype.kind == "f":
        result[np.isnan(target)] = np.nan
    return result


def _difference(high: NDArray[Any], low: NDArray[Any]) -> NDArray[Any]:
    """Return ``high - low`` as float64, taken before the rounding.

    Unsigned subtraction wraps to the true difference even where int64 would overflow.
    """
    if high.dtype.kind in "iu":
        unsigned = high.astype(np.uint64) - low.astype(np.uint64)
        return unsigned.astype(np.float64)
    return np.asarray(high - low, dtype=np.float64)
