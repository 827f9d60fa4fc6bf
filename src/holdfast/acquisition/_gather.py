"""Messages as whole columns, and their payloads put into another order."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint8]
U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]


@dataclass(slots=True)
class Part:
    """Some messages: columns, and bytes that their payloads lie in.

    Attributes
    ----------
    sources : int64, shape (n,)
        Which of the sources at hand sent each.
    times : uint64, shape (n,)
        Microseconds.
    starts, lengths : int64, shape (n,)
        Where in `payload` each begins, and its bytes.
    payload : uint8
        Bytes.
    """

    sources: I64
    times: U64
    starts: I64
    lengths: I64
    payload: U8

    def compact(self) -> "Part":
        """Return the same messages with no bytes between them, if there are many."""
        size = int(self.lengths.sum())
        if 2 * size >= len(self.payload):
            return self
        payload = gather(self.payload, self.starts, self.lengths)
        starts = np.cumsum(self.lengths) - self.lengths
        return Part(self.sources, self.times, starts, self.lengths, payload)

    def take(self, rows: npt.NDArray[np.intp]) -> "Part":
        """Return some of the messages, in this order; the bytes stay."""
        return Part(
            self.sources[rows],
            self.times[rows],
            self.starts[rows],
            self.lengths[rows],
            self.payload,
        )


def concatenated(parts: list[Part]) -> Part:
    """Return the messages of several parts, one part after another."""
    if len(parts) == 1:
        return parts[0]
    sizes = np.array([len(part.payload) for part in parts], np.int64)
    bases = np.cumsum(sizes) - sizes
    return Part(
        np.concatenate([part.sources for part in parts]),
        np.concatenate([part.times for part in parts]),
        np.concatenate([p.starts + base for p, base in zip(parts, bases, strict=True)]),
        np.concatenate([part.lengths for part in parts]),
        np.concatenate([part.payload for part in parts]),
    )


def gather(payload: U8, starts: I64, lengths: I64) -> U8:
    """Return the bytes of messages one after another, in the order of `starts`.

    Messages of one length are copied by one NumPy operation; there are far fewer lengths than
    messages, or else messages are long.
    """
    size = int(lengths.sum())
    if not size:
        return np.empty(0, np.uint8)
    first = int(starts[0])
    if len(starts) == 1 or np.array_equal(starts[1:], starts[:-1] + lengths[:-1]):
        return payload[first : first + size]
    if (lengths == lengths[0]).all():
        return _rows(payload, int(lengths[0]))[starts].view(np.uint8)
    result = np.empty(size, np.uint8)
    targets = np.cumsum(lengths) - lengths
    order = np.argsort(lengths, kind="stable")
    ordered = lengths[order]
    borders = np.flatnonzero(np.diff(ordered)) + 1
    for rows in np.split(order, borders):
        length = int(lengths[rows[0]])
        if length:
            _rows(result, length)[targets[rows]] = _rows(payload, length)[starts[rows]]
    return result


def _rows(payload: U8, length: int) -> npt.NDArray[np.void]:
    """Return a view whose item `i` is the `length` bytes from byte `i` on."""
    # Items of raw bytes are moved whole, which is many times faster than rows of single bytes.
    count = len(payload) - length + 1
    return np.ndarray((count,), f"V{length}", payload, strides=(1,))
