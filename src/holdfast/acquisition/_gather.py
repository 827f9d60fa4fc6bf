"""Messages as whole columns, and their payloads put into another order."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

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
        starts = np.cumsum(self.lengths) - self.lengths
        return Part(self.sources, self.times, starts, self.lengths, self.content())

    def ordered(self) -> "Part":
        """Return the same messages by time; the bytes stay."""
        order = by_time(self.times)
        return self if order is None else self.take(order)

    def content(self) -> U8:
        """Return the bytes of the payloads one after another."""
        return gather(self.payload, self.starts, self.lengths)

    def take(self, rows: npt.NDArray[np.int64]) -> "Part":
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


def in_order(times: U64) -> bool:
    """Whether no time is before the one in front of it."""
    return not (times[1:] < times[:-1]).any()


def by_time(times: U64) -> npt.NDArray[np.int64] | None:
    """Return the order of times, equal ones as they stand; None where they are in order."""
    if in_order(times):
        return None
    low, bits = times.min(), len(times).bit_length()
    if int(times.max() - low).bit_length() + bits > 64:
        return np.argsort(times, kind="stable")
    # Sorting numbers is many times faster than sorting places; these have their places in them.
    keys: U64 = (times - low) << np.uint64(bits)
    keys |= np.arange(len(times), dtype=np.uint64)
    keys.sort()
    keys &= np.uint64((1 << bits) - 1)
    return keys.astype(np.int64)


def by_source(part: Part) -> Iterator[tuple[int, Part]]:
    """Yield the messages of each source, in the order they have."""
    first = int(part.sources[0])
    if (part.sources == first).all():
        yield first, part
        return
    # All bytes are moved at once: there may be tens of thousands of sources.
    groups, borders = grouped(part.sources)
    part = part.take(groups)
    content, starts = part.content(), np.cumsum(part.lengths) - part.lengths
    for first, stop in pairwise(borders):
        begin, end = int(starts[first]), int(starts[stop - 1] + part.lengths[stop - 1])
        yield (
            int(part.sources[first]),
            Part(
                part.sources[first:stop],
                part.times[first:stop],
                starts[first:stop] - begin,
                part.lengths[first:stop],
                content[begin:end],
            ),
        )


def grouped(numbers: npt.NDArray[Any]) -> tuple[I64, list[int]]:
    """Return the order that puts equal numbers together, and where in it each kind begins."""
    few = int(numbers.max()) <= 0xFFFF  # numbers so small are sorted without comparing them
    order = np.argsort(numbers.astype(np.uint16 if few else np.uint32), kind="stable")
    borders = np.flatnonzero(np.diff(numbers[order])) + 1
    return order, [0, *borders.tolist(), len(order)]


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
