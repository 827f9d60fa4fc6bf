"""What `put` takes: sources, times and payloads, checked where something is wrong with them."""

import operator
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast._names import safe_component
from holdfast.acquisition._format import MAX_NUMBER
from holdfast.errors import InvalidInputError

ARCHIVE = "_log.npz"
"""How the names of archives end."""

MAX_PAYLOAD = 1 << 30
"""Bytes that one message may have."""

MAX_TIME = 2**64 - 1


def source_number(source: Any) -> int | None:
    """Return the number of a source, None for one with a name.

    Raises
    ------
    InvalidInputError
        If it is neither a number from 0 to 65535 nor a name that can be a file's.
    """
    if isinstance(source, str):
        safe_component(source, "source", suffix=ARCHIVE)
        if source.isdecimal():
            raise InvalidInputError(
                f"source {source!r} is text that reads like a number; pass {int(source)} itself"
            )
        return None
    # A float that is whole is taken, because it is found where the number itself is known.
    whole = isinstance(source, float) and source.is_integer()
    number = int(source) if whole else _integer(source, "source")
    if not 0 <= number <= MAX_NUMBER:
        raise InvalidInputError(
            f"source must be a whole number from 0 to {MAX_NUMBER} or a name, not {source!r}"
        )
    return number


def checked_time(time: Any) -> int:
    """Return a time as a whole number of microseconds.

    Raises
    ------
    InvalidInputError
        If it is none, or out of range.
    """
    number = _integer(time, "time")
    if not 0 <= number <= MAX_TIME:
        raise InvalidInputError(
            f"time must be a number of microseconds from 0 to 2**64 - 1, not {time!r}"
        )
    return number


def _integer(value: Any, what: str) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise InvalidInputError(
            f"{what} must be a whole number, not {type(value).__name__}: {value!r}"
        ) from None


def as_bytes(payload: Any) -> memoryview:
    """Return the bytes of a payload: of ``bytes``, or of a contiguous array of any dtype.

    Raises
    ------
    InvalidInputError
        If it has no bytes of its own, or too many.
    """
    try:
        view = memoryview(payload)
        content = view.cast("B") if view.nbytes else memoryview(b"")
    except (TypeError, ValueError):
        return _as_bytes_of_array(payload)
    if view.format == "O":
        return _as_bytes_of_array(payload)  # which says that Python objects have no bytes
    if len(content) > MAX_PAYLOAD:
        raise InvalidInputError(
            f"a payload has {len(content)} bytes, and a message at most {MAX_PAYLOAD}; split it"
        )
    return content


def _as_bytes_of_array(payload: Any) -> memoryview:
    # Structured and datetime arrays have no memoryview that could be cast, but they have bytes.
    if isinstance(payload, np.ndarray | np.generic) and not payload.dtype.hasobject:
        return as_bytes(np.ascontiguousarray(payload).reshape(-1).view(np.uint8))
    raise InvalidInputError(
        f"a payload must be bytes or a contiguous array, not {type(payload).__name__}: "
        f"{str(payload)[:60]!r}"
    )


def checked_times(times: npt.ArrayLike) -> "npt.NDArray[np.uint64]":
    """Return times as an array of ``uint64``, as `checked_time` does each.

    Raises
    ------
    InvalidInputError
        If one is negative, or not a whole number.
    """
    given = np.asarray(times)
    if given.ndim != 1 or (given.dtype.kind not in "ui" and given.size):
        raise InvalidInputError(
            f"times must be a list of whole numbers, not {given.dtype} of shape {given.shape}"
        )
    if given.dtype.kind == "i" and given.size and given.min() < 0:
        checked_time(int(given.min()))
    return given.astype(np.uint64)


def joined(payloads: Any, count: int) -> "tuple[npt.NDArray[np.int64], memoryview]":
    """Return the ends and the bytes of `count` payloads, one after another.

    Parameters
    ----------
    payloads : array or iterable
        An array whose first axis counts messages, or the payload of each.
    count : int
        How many there have to be.

    Raises
    ------
    InvalidInputError
        If there are more or fewer, or one is none.
    """
    if isinstance(payloads, np.ndarray):
        found = len(payloads) if payloads.ndim else 0
        content = as_bytes(payloads.tobytes()) if payloads.nbytes <= MAX_PAYLOAD else None
        each = payloads.nbytes // found if found else 0
        ends = np.arange(1, found + 1, dtype=np.int64) * each
        if content is None:
            raise InvalidInputError(f"payloads have {payloads.nbytes} bytes; put fewer at a time")
    else:
        parts = [as_bytes(p) for p in _iterated(payloads)]
        found, content = len(parts), memoryview(b"".join(parts))
        ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
    if found != count:
        raise InvalidInputError(f"there are {count} times and {found} payloads; give as many")
    return ends, content


def _iterated(payloads: Any) -> Iterable[Any]:
    if isinstance(payloads, str | bytes | bytearray | memoryview) or not hasattr(
        payloads, "__iter__"
    ):
        raise InvalidInputError(
            f"payloads must be an array or a list of payloads, not {type(payloads).__name__}"
        )
    found: Iterable[Any] = payloads
    return found
