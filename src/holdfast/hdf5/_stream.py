"""`StreamWriter`: appends rows of one type, each kept when the call returns.

The hot path is a closure: its state lives in cells, which the interpreter reads faster than
attributes. Every path stores rows first and publishes the count after them.
"""

import contextlib
import sys
import threading
from bisect import bisect_right
from collections.abc import Callable
from itertools import takewhile
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from holdfast._process import ForkGuard
from holdfast.errors import StateError
from holdfast.hdf5._rows import RowType, always_fit, bytes_of, convert
from holdfast.journal import MAPPED_ROW_BYTES, Block

Format = Literal["d", "f", "q", "i", "h", "b", "Q", "I", "H", "B", "?"]

# How a memoryview names a dtype, and the types of values that it stores as NumPy would.
_FORMATS: "dict[str, tuple[Format, tuple[type, type]]]" = {
    "f8": ("d", (float, np.float64)),
    "f4": ("f", (np.float32, np.float32)),
    "i8": ("q", (int, np.int64)),
    "i4": ("i", (int, np.int32)),
    "i2": ("h", (int, np.int16)),
    "i1": ("b", (int, np.int8)),
    "u8": ("Q", (int, np.uint64)),
    "u4": ("I", (int, np.uint32)),
    "u2": ("H", (int, np.uint16)),
    "u1": ("B", (int, np.uint8)),
    "b1": ("?", (bool, np.bool_)),
}


_LARGEST_F4 = float(np.finfo(np.float32).max)

_ATOMIC = sys.implementation.name == "cpython" and getattr(sys, "_is_gil_enabled", lambda: True)()
"""Whether threads and signal handlers take turns only at calls and jumps, not within a statement
that has none (``design/006``). Elsewhere each row of a stream of scalars takes the lock."""


class BlockSource(Protocol):
    """What a stream asks of its file.

    Attributes
    ----------
    every_call : bool
        Whether every call is to reach the disk before it returns.
    """

    every_call: bool

    def new_block(self, stream: "StreamWriter", rows: int) -> Block:
        """Return a block for the stream's next rows."""

    def wait_for_room(self) -> None:
        """Return when the journal has room again; no lock is held."""

    def publish(self, block: Block, count: int) -> None:
        """Publish rows of a block; they reach the disk before if every call is to."""


class StreamWriter:
    """Writes one stream of an append file.

    Attributes
    ----------
    name : str
        Its name.
    kind : RowType
        The dtype and shape of its rows.
    append : callable
        ``append(value)`` adds one row; from any thread.
    lock : threading.RLock
        Held while rows are stored and published.
    blocks : list of Block
        Blocks whose rows are not all in HDF5, by absolute row number.
    """

    __slots__ = (
        "_busy",
        "_fitting",
        "_guard",
        "_limits",
        "_paused",
        "_release",
        "_sealed",
        "append",
        "blocks",
        "id",
        "kind",
        "lock",
        "name",
        "source",
        "start",
    )

    def __init__(
        self, name: str, identity: int, kind: RowType, source: BlockSource, start: int
    ) -> None:
        self.name, self.id, self.kind, self.source = name, identity, kind, source
        self.start = start
        self.lock = threading.RLock()
        self.blocks: list[Block] = []
        self._sealed = 0
        self._paused = self._busy = False
        self._guard = ForkGuard()
        self.append: Callable[[Any], None]
        self._release: Callable[[], None]
        self._fitting, self._limits = always_fit(kind)
        scalar = _FORMATS.get(kind.dtype.str[1:]) if not kind.shape else None
        if scalar is not None and kind.dtype.isnative:
            self.append, self._release = _scalar_appender(self, *scalar)
        else:
            self.append, self._release = _array_appender(self)

    @property
    def length(self) -> int:
        """Absolute number of the row after the last."""
        with self.lock:
            return self.blocks[-1].first + self.blocks[-1].count if self.blocks else self.start

    def check(self, value: Any) -> None:
        """Raise what `append` raises for a value that does not fit, and store nothing.

        Raises
        ------
        InvalidInputError
            If its dtype or shape does not fit.
        """
        if type(value) in self._fitting:
            return
        if type(value) is int and self._limits[0] <= value <= self._limits[1]:
            return
        if (
            isinstance(value, np.ndarray)
            and value.dtype == self.kind.dtype
            and value.shape == self.kind.shape
        ):
            return
        convert(self.name, self.kind, value, block=False)

    def extend(self, rows: npt.ArrayLike) -> None:
        """Add a block of rows, all of them or, on an error, a first part.

        Raises
        ------
        InvalidInputError
            If their dtype or shape does not fit.
        OSError
            If the disk is full.
        """
        array = convert(self.name, self.kind, rows, block=True)
        self.source.wait_for_room()
        if len(array):
            self.put(array)

    def put(self, array: npt.NDArray[Any], take: Callable[[Block], None] | None = None) -> None:
        """Add rows of exactly the stream's type, and give the last block to `take`."""
        self._guard.check(f"stream {self.name!r}")
        with self.lock:
            # The lock lets in a signal handler of the same thread, which would get the same place.
            if self._busy:
                raise _reentered(self)
            self._busy = True
            try:
                self._release()
                self._put(array)
                if take is not None:
                    take(self.blocks[-1])
            finally:
                self._busy = False

    def _put(self, array: npt.NDArray[Any]) -> None:
        if self._paused:
            raise self._closing()
        content = bytes_of(array)
        done, width = 0, self.kind.nbytes
        while done < len(array):
            block = self.blocks[-1] if len(self.blocks) > self._sealed else None
            if block is None or block.count == block.capacity:
                block = self.new_block(len(array) - done)
            rows = min(block.capacity - block.count, len(array) - done)
            block.write(block.count, content[done * width : (done + rows) * width])
            self.source.publish(block, block.count + rows)
            done += rows

    def new_block(self, rows: int = 1) -> Block:
        """Get the block for the next rows; the lock is held."""
        self._guard.check(f"stream {self.name!r}")
        block = self.source.new_block(self, rows)
        self.blocks.append(block)
        return block

    def turn(self) -> None:
        """Make the next row begin a block in the journal's present generation."""
        with self.lock:
            self._sealed = len(self.blocks)  # first: a finaliser may append after `_release`
            self._release()

    def carry(self, full: int, add_block: "Callable[[StreamWriter, int, int], Block]") -> None:
        """Forget blocks of generations that are given up, their rows from `full` on copied.

        Parameters
        ----------
        full : int
            Absolute number of the row after those in full chunks.
        add_block : callable
            Returns a block in the present generation.
        """
        with self.lock:
            old, new = self.blocks[: self._sealed], self.blocks[self._sealed :]
            end = old[-1].first + old[-1].count if old else full
            carried: list[Block] = []
            if end > full:
                content = self.read(full, end)
                block = add_block(self, full, end - full)
                block.write(0, content)
                block.publish(end - full)
                carried.append(block)
            self.start = max(self.start, full)
            self.blocks = carried + new
            self._sealed = 0

    def pause(self) -> None:
        """Refuse rows for now."""
        with self.lock:
            self._paused = True  # first: a signal handler may append after `_release`
            self._release()

    def resume(self) -> None:
        """Take rows again."""
        with self.lock:
            self._paused = False

    def end(self) -> None:
        """Let go of the blocks; the stream is paused for good."""
        with self.lock:
            self.start = self.length
            self.blocks = []

    def _closing(self) -> StateError:
        return StateError(f"stream {self.name!r} belongs to a file that is closed; open it again")

    def forked(self) -> None:
        """Make every append in a forked child take the way that refuses it."""
        # A thread that is no more may have held it.
        self.lock._at_fork_reinit()  # type: ignore[attr-defined]  # noqa: SLF001 - as threading does
        self._busy = False
        with contextlib.suppress(
            StateError
        ):  # a thread was within `append`, which refuses for good
            self._release()

    def read(self, start: int, stop: int) -> "bytes | memoryview":
        """Return the bytes of rows that are in blocks, by absolute numbers."""
        with self.lock:
            at = max(bisect_right(self.blocks, start, key=_first_of) - 1, 0)
            blocks = list(takewhile(lambda b: b.first < stop, self.blocks[at:]))
        parts = [b.read(max(start - b.first, 0), min(stop - b.first, b.count)) for b in blocks]
        return parts[0] if len(parts) == 1 else b"".join(parts)


def _first_of(block: Block) -> int:
    return block.first


def _reentered(stream: StreamWriter) -> StateError:
    return StateError(
        f"stream {stream.name!r} was appended to from within an append to it, by a signal handler "
        "or a finaliser; set a flag there and append in the program's own course"
    )


def _scalar_appender(
    stream: StreamWriter, code: Format, types: tuple[type, type]
) -> tuple[Callable[[Any], None], Callable[[], None]]:
    """Return ``append`` for scalars that a memoryview can store, and what drops its block.

    It takes no lock: its one statement that stores, publishes and counts calls nothing and jumps
    nowhere, so that neither a thread, a signal handler nor a line's tracer comes in between.
    """
    one, other = types
    third = int if code == "d" else one  # a float's memoryview casts integers as NumPy does
    narrow = code == "f"  # a memoryview would store what is too large as infinite
    nothing = memoryview(bytearray()).cast(code)
    items = nothing  # as long as its block: a full one, or none, is an IndexError
    counter: Any = None
    row = 0

    def append(value: Any) -> None:
        nonlocal row
        kind = type(value)
        if (
            kind is one
            or kind is other
            or kind is third
            or (narrow and kind is float and -_LARGEST_F4 <= value <= _LARGEST_F4)
        ):
            try:
                items[row], counter[0], row = value, row + 1, row + 1
            except (IndexError, ValueError, OverflowError):
                pass  # a new block, or too large a number, which `slow` refuses by name
            else:
                return
        slow(value)

    def slow(value: Any) -> None:
        array = convert(stream.name, stream.kind, value, block=False)
        stream.source.wait_for_room()
        stream.put(array.reshape(1), take)

    def take(fresh: Block) -> None:
        nonlocal items, counter, row
        if _ATOMIC and not stream.source.every_call and fresh.rows is not None:
            counter, row = fresh.counter, fresh.count
            items = fresh.rows.cast(code)  # last: from here on `append` needs no lock

    def release() -> None:
        nonlocal items
        before, items = items, nothing  # from here on `append` asks for the lock
        if before is not nothing:
            before.release()

    return append, release


def _array_appender(  # noqa: C901 - closures share cells, which is what makes them fast
    stream: StreamWriter,
) -> tuple[Callable[[Any], None], Callable[[], None]]:
    """Return ``append`` for arrays and all other dtypes, and what drops its block."""
    lock, dtype, shape = stream.lock, stream.kind.dtype, stream.kind.shape
    large = stream.kind.nbytes >= MAPPED_ROW_BYTES
    # Scalars of NumPy have a dtype and a shape like arrays; Python's complex has its only one.
    scalar = dtype.type if not shape and not large else np.ndarray
    python = complex if not shape and dtype == np.complex128 else np.ndarray
    block: Block | None = None
    rows: Any = None
    counter: Any = None
    row = capacity = 0
    busy = False

    def append(value: Any) -> None:
        nonlocal row, busy
        kind = type(value)
        if (
            (kind is np.ndarray or kind is scalar) and value.dtype == dtype and value.shape == shape
        ) or kind is python is complex:
            with lock:
                if busy:
                    raise _reentered(stream)
                if row < capacity:
                    busy = True
                    try:
                        store(value)
                        row += 1
                        counter[0] = row
                    finally:
                        busy = False
                    return
        slow(value)

    def store(value: Any) -> None:
        if rows is not None:
            rows[row] = value
        elif block is not None:
            flat = value if value.flags.c_contiguous else np.ascontiguousarray(value)
            block.write(row, bytes_of(flat))

    def slow(value: Any) -> None:
        array = convert(stream.name, stream.kind, value, block=False)
        stream.source.wait_for_room()
        stream.put(array.reshape(1, *shape), take)

    def take(fresh: Block) -> None:
        nonlocal block, rows, counter, row, capacity
        if stream.source.every_call or fresh.counter is None or not fresh.row_bytes:
            return
        block, counter, row, capacity = fresh, fresh.counter, fresh.count, fresh.capacity
        if not large and fresh.rows is not None:
            rows = np.frombuffer(fresh.rows, dtype).reshape(capacity, *shape)

    def release() -> None:
        nonlocal block, rows, counter, row, capacity
        if busy:
            raise _reentered(stream)
        row = capacity = 0
        block = rows = counter = None

    return append, release
