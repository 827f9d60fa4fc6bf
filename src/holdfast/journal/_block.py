"""A block as its writer has it: where rows are stored, and the count that publishes them."""

import contextlib
import os

import xxhash

from holdfast.journal._format import COUNT_AT, HEADER_BYTES, MARKS_AT, BlockHeader, pack_mark

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
        "_count",
        "_descriptor",
        "_hash",
        "_hashed",
        "_offset",
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

    def mark(self) -> bool:
        """Write the count and the hash of the rows into the sync mark that is not known durable.

        Returns
        -------
        bool
            Whether anything had changed since the last mark.
        """
        count = self.count
        if count == self._hashed:
            return False
        digest = self._hash.copy()  # so that an interrupted call leaves the hash as it was
        step = max(_PIECE // max(self.row_bytes, 1), 1)
        for row in range(self._hashed, count, step):
            digest.update(self.read(row, min(row + step, count)))
        self._store_mark(MARKS_AT[self._slot], count, digest.intdigest())
        self._hash, self._hashed = digest, count
        return True

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
        self._slot ^= 1

    def release(self) -> None:
        """Let go of the mapping; nothing may be stored afterwards."""
        self._count = self.count
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
