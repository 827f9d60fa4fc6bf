"""What a row may be: dtypes that HDF5 holds, and turning a value into a row of a stream."""

import datetime as dt
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.ma import MaskedArray

from holdfast.errors import InvalidInputError

DType = np.dtype[Any]
TIME_UNIT = "holdfast_time_unit"
"""Attribute of a dataset that holds times as int64: NumPy's name of the dtype, ``<M8[ns]``."""


_TIMES = (dt.date, dt.timedelta)  # a datetime is a date

LARGEST_ROW = 1 << 32
"""A chunk of HDF5 is smaller than 4 GiB, and holds a row at least."""


@dataclass(frozen=True, slots=True)
class RowType:
    """The dtype and shape of the rows of a stream.

    Attributes
    ----------
    dtype : numpy.dtype
        As the user sees it.
    shape : tuple of int
        Shape of one row, ``()`` for scalars.
    """

    dtype: DType
    shape: tuple[int, ...] = ()

    @property
    def stored(self) -> DType:
        """The dtype on disk: times are int64 there."""
        return np.dtype("<i8") if self.dtype.kind in "mM" else self.dtype

    @property
    def items(self) -> int:
        """Items in a row."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of a row."""
        return self.dtype.itemsize * self.items

    def describe(self) -> dict[str, Any]:
        """Return plain data that `parse` reads."""
        description = np.lib.format.dtype_to_descr(self.dtype)
        return {"dtype": description, "shape": list(self.shape)}

    @classmethod
    def parse(cls, described: dict[str, Any]) -> "RowType":
        """Read what `describe` gave."""
        return cls(
            np.lib.format.descr_to_dtype(_tuples(described["dtype"])), tuple(described["shape"])
        )


def without_metadata(dtype: DType) -> DType:
    """Return a dtype without what h5py attaches to it, which equality and `describe` stumble on."""
    if dtype.names and dtype.fields is not None:
        parts = [dtype.fields[name] for name in dtype.names]
        described: Any = {
            "names": list(dtype.names),
            "formats": [without_metadata(part[0]) for part in parts],
            "offsets": [part[1] for part in parts],
            "itemsize": dtype.itemsize,
        }
        fields: DType = np.dtype(described)
        return fields
    if dtype.subdtype is not None:
        repeated: Any = (without_metadata(dtype.base), dtype.shape)
        array: DType = np.dtype(repeated)
        return array
    return np.dtype(dtype.str)


def bytes_of(array: npt.NDArray[Any]) -> memoryview:
    """Return the bytes of a contiguous array, not copied."""
    if not array.nbytes:
        return memoryview(b"")
    flat: Any = array.reshape(-1).view(np.uint8)
    return memoryview(flat)


def _tuples(description: Any) -> Any:
    """Turn the lists of JSON back into the tuples of a dtype's description."""
    if not isinstance(description, list):
        return description
    return [
        tuple(
            _tuples(part) if index == 1 else tuple(part) if isinstance(part, list) else part
            for index, part in enumerate(field)
        )
        for field in description
    ]


def to_row_array(name: str, value: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return a value as an array that HDF5 can hold, in native byte order, text as bytes.

    Raises
    ------
    InvalidInputError
        If its parts differ in length, or it has a dtype that HDF5 does not hold.
    """
    if isinstance(value, MaskedArray):
        raise InvalidInputError(
            f"row of {name!r} has a mask, which HDF5 cannot hold; append its .filled(...) values, "
            "and its .mask under another name"
        )
    try:
        array = np.asarray(_as_numpy_time(value))
    except ValueError as error:
        raise InvalidInputError(
            f"row of {name!r} is ragged ({error}); pad it to one length, or append each part under "
            "a name of its own"
        ) from None
    if array.dtype.kind == "U":
        array = np.char.encode(array, "utf-8") if array.size else array.astype("S1")
    if array.dtype.hasobject or not _holds(array.dtype):
        raise InvalidInputError(
            f"row of {name!r} has dtype {array.dtype}, which a stream cannot hold; append numbers, "
            "truth values, times, text, or structured rows of them"
        )
    return np.asarray(array, dtype=array.dtype.newbyteorder("="))


def _as_numpy_time(value: Any) -> Any:
    """Return times of Python as NumPy's, to the microsecond; everything else as it is.

    A date becomes its midnight, so that a stream takes both.
    """
    if isinstance(value, dt.datetime):
        if value.tzinfo is not None:
            value = value.astimezone(dt.UTC).replace(tzinfo=None)
        return np.datetime64(value, "us")
    if isinstance(value, dt.date):
        return np.datetime64(value, "us")
    if isinstance(value, dt.timedelta):
        return np.timedelta64(value, "us")
    if isinstance(value, list | tuple) and value and isinstance(value[0], _TIMES):
        return [_as_numpy_time(item) for item in value]
    return value


def _holds(dtype: DType) -> bool:
    if dtype.names:
        fields = [dtype[name] for name in dtype.names]
        return bool(fields) and all(_holds(f.base) and f.base.kind not in "mM" for f in fields)
    return dtype.kind in "biufcSmM" and not (dtype.kind == "c" and dtype.itemsize > 16)


def row_type_of(name: str, value: npt.ArrayLike) -> RowType:
    """Return the type of a stream whose first row is `value`.

    Raises
    ------
    InvalidInputError
        As `to_row_array`.
    """
    array = to_row_array(name, value)
    dtype = without_metadata(array.dtype)
    if dtype.kind == "S" and dtype.itemsize == 0:
        dtype = np.dtype("S1")
    kind = RowType(dtype, array.shape)
    check_kind(name, kind)
    return kind


def check_kind(name: str, kind: RowType) -> None:
    """Refuse rows that HDF5 cannot hold.

    Raises
    ------
    InvalidInputError
        If there is no such dtype in HDF5, or there are too many dimensions, or rows are too large.
    """
    if kind.dtype.hasobject or kind.dtype.subdtype or not _holds(kind.dtype):
        raise InvalidInputError(
            f"stream {name!r} cannot hold dtype {kind.dtype}; use numbers, truth values, times, "
            "bytes, or structured rows of them"
        )
    if kind.dtype.kind in "mM" and np.datetime_data(kind.dtype)[0] == "generic":
        raise InvalidInputError(
            f"a row of {name!r} is a time without a unit; give one: np.datetime64('NaT', 'ns')"
        )
    if len(kind.shape) > 31 or kind.nbytes >= LARGEST_ROW:
        raise InvalidInputError(
            f"a row of {name!r} has {len(kind.shape)} dimensions and {kind.nbytes} bytes; HDF5 "
            "takes 31 and less than 4 GiB: append parts of it"
        )


def convert(name: str, kind: RowType, value: npt.ArrayLike, *, block: bool) -> npt.NDArray[Any]:
    """Return a value as a row, or a block of rows, of a stream.

    Integers become floats and narrow numbers wide ones; nothing loses its fraction or its sign.

    Raises
    ------
    InvalidInputError
        If the shape or the dtype does not fit.
    """
    array = to_row_array(name, value)
    if block and array.ndim == 0:
        raise InvalidInputError(
            f"extend({name!r}) takes an array of rows of shape {kind.shape}, not one value; use "
            "append() for one row"
        )
    shape = array.shape[1:] if block else array.shape
    if shape != kind.shape:
        what = "rows" if block else "a row"
        raise InvalidInputError(
            f"stream {name!r} has rows of shape {kind.shape}, not {what} of shape {shape}; append "
            "values of another shape under another name"
        )
    if array.dtype == kind.dtype:
        return np.ascontiguousarray(array).reshape(array.shape)
    if not _casts(array, kind.dtype):
        if kind.dtype.kind in "iu" and array.dtype.kind == "f":
            raise InvalidInputError(
                f"stream {name!r} holds {kind.dtype}, which its first row fixed, and "
                f"{array.dtype} does not fit without loss; a first row of 0.0 instead of 0 makes "
                "a stream of floats: begin one under another name"
            )
        raise InvalidInputError(
            f"stream {name!r} holds {kind.dtype}, and {array.dtype} does not fit without loss; "
            f"append {kind.dtype} values, or use another name"
        )
    with np.errstate(over="ignore"):
        cast = np.ascontiguousarray(array.astype(kind.dtype)).reshape(array.shape)
    if cast.dtype.kind in "fc" and not np.array_equal(np.isinf(cast), np.isinf(array)):
        raise InvalidInputError(
            f"stream {name!r} holds {kind.dtype}, and a value is larger than that can be; append "
            "under another name"
        )
    return cast


def _casts(array: npt.NDArray[Any], target: DType) -> bool:
    source = array.dtype
    if source.kind == target.kind == "S":
        longest = int(np.char.str_len(array).max(initial=0))
        return longest <= target.itemsize
    if source.kind in "iu" and target.kind in "iu":  # Python's int is int64, whatever its value
        limits = np.iinfo(target)
        return not array.size or (int(array.min()) >= limits.min and int(array.max()) <= limits.max)
    if target.kind in "mM":  # a coarser unit would lose the fraction
        return bool(np.can_cast(source, target, casting="safe"))
    return bool(np.can_cast(source, target, casting="same_kind"))


def always_fit(kind: RowType) -> tuple[frozenset[type], tuple[int, int]]:
    """Return types of values that always fit, and the least and largest integer that do."""
    dtype = kind.dtype
    if kind.shape or dtype.kind not in "fiub":
        return frozenset(), (1, 0)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return frozenset([dtype.type]), (int(limits.min), int(limits.max))
    python = {"f8": float, "b1": bool}.get(dtype.str[1:], dtype.type)
    whole = 1 << 53 if dtype.str[1:] == "f8" else 0
    return frozenset([dtype.type, python]), (-whole, whole) if whole else (1, 0)
