"""A block as its writer has it: where rows are stored, and the count that publishes them."""

import contextlib
import os
from typing import Any

import xxhash

from holdfast.journal._format import (
    AHEAD,
    COUNT_AT,
    HEADER_BYTES,
    MARKS_AT,
    PAGE,
    BlockHeader,
    pack_mark,
)

_WORD = 8
_PIECE = 1 << 20


class Block:
    """Rows of one stream, in a range of a generation's file.

    Parameters
    ----------
    descriptor : int
        The generation's file, open for reading and writing.
    offset : int
        Where the block begins, a multiple of 4096.
    header : BlockHeader
        What stands in its header.
    view : memoryview, optional
        The block's mapped bytes; without it the header is written by ``pwrite``, too.
    map_rows : bool
        Whether rows are stored to through the mapping.

    Attributes
    ----------
    first, capacity, row_bytes : int
        As in the header.
    counter : memoryview or None
        The mapped count: storing to ``counter[0]`` publishes.
    rows : memoryview or None
        The mapped bytes of the rows.
    """

    __slots__ = (
        "_before",
        "_count",
        "_descriptor",
        "_hash",
        "_hashed",
        "_marks",
        "_offset",
        "_pending",
        "_slot",
        "_view",
        "capacity",
        "counter",
        "first",
        "row_bytes",
        "rows",
        "stream",
    )

    def __init__(
        self,
        descriptor: int,
        offset: int,
        header: BlockHeader,
        view: memoryview | None,
        *,
        map_rows: bool,
    ) -> None:
        self.stream, self.first = header.stream, header.first
        self.row_bytes, self.capacity, self._count = header.row_bytes, header.capacity, 0
        self._descriptor, self._offset = descriptor, offset
        self._hash = xxhash.xxh3_64()
        self._hashed = self._slot = 0
        self._marks, self._pending = [(0, 0), (0, 0)], False
        self._before: tuple[Any, int, int, tuple[int, int], bool] | None = None
        self._view = view
        self.counter: memoryview | None = None
        self.rows: memoryview | None = None
        if view is not None:
            self.counter = view[COUNT_AT : COUNT_AT + _WORD].cast("Q")
            if map_rows:
                self.rows = view[HEADER_BYTES : HEADER_BYTES + self.row_bytes * self.capacity]

    @property
    def count(self) -> int:
        """Rows published."""
        return self._count if self.counter is None else self.counter[0]

    def write(self, row: int, content: "bytes | memoryview") -> None:
        """Store rows from number `row` within the block on, unpublished.

        Raises
        ------
        OSError
            If the disk fails.
        """
        if row < self._hashed:
            self.take_back()  # an interrupt has kept from it who marked this row
        start = row * self.row_bytes
        if self.rows is not None:
            self.rows[start : start + len(content)] = content
            return
        write_at(self._descriptor, content, self._offset + HEADER_BYTES + start)

    def publish(self, count: int) -> None:
        """Make the first `count` rows the stream's."""
        if self.counter is not None:
            self.counter[0] = count
        else:
            write_at(self._descriptor, count.to_bytes(_WORD, "little"), self._offset + COUNT_AT)
        self._count = count

    def read(self, start: int, stop: int) -> "bytes | memoryview":
        """Return the bytes of published rows; a view where they are mapped."""
        low, high = start * self.row_bytes, stop * self.row_bytes
        if self.rows is not None:
            return self.rows[low:high]
        return os.pread(self._descriptor, high - low, self._offset + HEADER_BYTES + low)

    def mark(self, count: int | None = None) -> bool:
        """Write the count and the hash of the rows into the sync mark that is not known durable.

        Parameters
        ----------
        count : int, optional
            Rows that are stored, if they are to reach the disk before they are published.
            Then `publish` or `take_back` follows.

        Returns
        -------
        bool
            Whether anything had changed since the last mark.
        """
        ahead = count is not None
        count = self.count if count is None else count
        if count <= self._hashed:
            return False
        digest = self._hash.copy()  # so that an interrupted call leaves the hash as it was
        step = max(_PIECE // max(self.row_bytes, 1), 1)
        for row in range(self._hashed, count, step):
            digest.update(self.read(row, min(row + step, count)))
        if ahead:
            mark = self._marks[self._slot]
            self._before = self._hash, self._hashed, self._slot, mark, self._pending
        self._marks[self._slot] = count | (AHEAD if ahead else 0), digest.intdigest()
        self._store_mark(MARKS_AT[self._slot], *self._marks[self._slot])
        self._hash, self._hashed, self._pending = digest, count, True
        return True

    def take_back(self) -> None:
        """Make the marks what they were before rows were marked that are not to be published.

        Raises
        ------
        OSError
            If the disk fails; nothing can be stored until a later call succeeds.
        """
        if self._before is None or self.count >= self._hashed:
            return
        *before, slot, mark, pending = self._before
        self._store_mark(MARKS_AT[slot], *mark)
        self._hash, self._hashed = before
        self._slot, self._marks[slot], self._pending = slot, mark, pending

    def _store_mark(self, at: int, count: int, digest: int) -> None:
        if self._view is None:
            write_at(self._descriptor, pack_mark(count, digest), self._offset + at)
            return
        # Whoever is killed between these stores leaves a 0, which is no mark, not a wrong one.
        words = self._view[at : at + 2 * _WORD].cast("Q")
        words[0] = 0
        words[1] = digest
        words[0] = count

    def mark_is_durable(self) -> None:
        """Let the next mark spare the last one, which a sync has brought to the disk."""
        if self._pending:
            self._slot, self._pending = self._slot ^ 1, False

    def dirty(self) -> None:
        """Make the system write every page again whose rows no sync has brought to the disk.

        After a failed sync it may take pages for written that are not. Touched are bytes that never
        change: of the header, and of published rows.
        """
        durable = min(count & ~AHEAD for count, _ in self._marks)
        start = HEADER_BYTES + durable * self.row_bytes
        stop = HEADER_BYTES + self.count * self.row_bytes
        for at in (0, *range(start, stop, PAGE), stop - 1):
            if at < COUNT_AT or start <= at < stop:
                byte = os.pread(self._descriptor, 1, self._offset + at)
                write_at(self._descriptor, byte, self._offset + at)

    def release(self) -> None:
        """Let go of the mapping; nothing may be stored afterwards."""
        self._count, self._descriptor = self.count, -1  # its number may become another file's
        views = (self.counter, self.rows, self._view)
        self.counter = self.rows = self._view = None
        for view in views:
            if view is not None:
                with contextlib.suppress(BufferError):  # the last to refer to it lets go
                    view.release()


def write_at(descriptor: int, content: "bytes | memoryview", offset: int) -> None:
    """Write all of `content` to a file.

    Raises
    ------
    OSError
        If the disk is full or fails.
    """
    view = memoryview(content).cast("B") if len(content) else memoryview(b"")
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
