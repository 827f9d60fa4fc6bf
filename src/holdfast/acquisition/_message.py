"""A message as it is read, and messages as columns."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from holdfast.acquisition._gather import U8, U64
from holdfast.errors import InvalidInputError


@dataclass(frozen=True, slots=True, eq=False)
class LogMessage:
    """A single message.

    Attributes
    ----------
    timestamp_us : numpy.uint64
        Microseconds since the epoch.
    payload : ndarray of uint8
        Its bytes.
    source : int or str or None
        Who sent it, where messages of several sources are read together.
    """

    timestamp_us: np.uint64
    payload: npt.NDArray[np.uint8]
    source: int | str | None = None


class MessageArrays(NamedTuple):
    """Messages as columns.

    Attributes
    ----------
    timestamps : uint64, shape (n,)
        Microseconds.
    offsets : uint64, shape (n + 1,)
        The payload of message `i` is ``payload[offsets[i]:offsets[i + 1]]``.
    payload : uint8
        Payloads, one after another.
    """

    timestamps: U64
    offsets: U64
    payload: U8


def decoded(arrays: MessageArrays, dtype: npt.DTypeLike, where: str) -> npt.NDArray[Any]:
    """Return payloads as an array of a fixed dtype; `where` names them in errors.

    Raises
    ------
    InvalidInputError
        If a payload has another size, or the dtype holds Python objects.
    """
    try:
        kind = np.dtype(dtype)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"{dtype!r} is no dtype ({error})") from None
    if kind.hasobject or not kind.itemsize:
        raise InvalidInputError(f"payloads cannot be decoded as {kind}; choose a fixed dtype")
    _, offsets, payload = arrays
    lengths = np.diff(offsets)
    wrong = np.flatnonzero(lengths != kind.itemsize)
    if len(wrong):
        raise InvalidInputError(
            f"message {wrong[0]} of {where} has {lengths[wrong[0]]} bytes, and {kind} has "
            f"{kind.itemsize}; choose the dtype that was put"
        )
    content = payload[int(offsets[0]) : int(offsets[-1])]
    return content.view(kind.base).reshape(-1, *kind.shape)
