"""A generation as its writer has it: a file that grows by blocks."""

import contextlib
import errno
import mmap
import os
from pathlib import Path

from holdfast._filesystem import filesystem
from holdfast._process import boot_id
from holdfast.journal._block import Block, write_at
from holdfast.journal._format import (
    END_AT,
    HEADER_BYTES,
    PAGE,
    BlockHeader,
    generation_name,
    pack_block,
    pack_end,
    pack_generation,
)

GROWTH_BYTES = 8 << 20
"""How far a file grows at most beyond the block that made it grow."""

SMALLEST_BLOCK, LARGEST_BLOCK = PAGE, 1 << 20
MAPPED_ROW_BYTES = 16 << 10
"""Rows of this size and more are written with ``pwrite``, which spares page faults."""

_MAPPED_KINDS = frozenset(["ext4", "xfs", "tmpfs", "ramfs", "overlay"])
"""btrfs is not among them: it copies on write, so that a store to an allocated page may meet a full
disk, which is a SIGBUS."""

_POPULATE_WRITE = 23
"""MADV_POPULATE_WRITE of Linux 5.14: faults pages in before they are stored to."""

_NOT_SUPPORTED = frozenset([errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL])


def can_map(folder: Path) -> bool:
    """Whether a store to a mapping outlives the process and cannot meet a full disk.

    Only on x86, where a reader never sees the count before the row that was stored before it.
    """
    return (
        hasattr(os, "posix_fallocate")
        and os.uname().machine in ("x86_64", "i686")
        and mmap.ALLOCATIONGRANULARITY <= PAGE
        and filesystem(folder).kind in _MAPPED_KINDS
    )


class Generation:
    """One numbered file of a journal, being written.

    Parameters
    ----------
    folder : Path
        The journal's folder.
    number : int
        Its number.
    mapped : bool
        Whether blocks are mapped, else written with ``pwrite``.

    Attributes
    ----------
    carried : int
        Bytes of what an earlier generation held, too.

    Raises
    ------
    OSError
        If the file cannot be made.
    """

    def __init__(self, folder: Path, number: int, *, mapped: bool) -> None:
        self.number = number
        self.path = folder / generation_name(number)
        self.blocks: list[Block] = []
        self._mapped = mapped
        self._descriptor = self._make()
        self._end = self.carried = PAGE
        self._allocated = 0
        self._nonce = int.from_bytes(os.urandom(8), "little")
        self._unsynced: list[Block] = []
        self._failed = False
        self._windows: list[tuple[int, mmap.mmap]] = []
        try:
            self._allocate(PAGE + SMALLEST_BLOCK)
            header = pack_generation(number, self._nonce, boot_id())
            # One write, so that whoever is killed leaves all of it or nothing.
            write_at(self._descriptor, header.ljust(END_AT, b"\0") + pack_end(PAGE), 0)
        except BaseException:
            self.remove()
            raise

    def _make(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            return os.open(self.path, flags, 0o666)
        except FileExistsError:
            self.path.unlink()  # it was begun in vain, and could not be removed then
            return os.open(self.path, flags, 0o666)

    def _tell_end(self, end: int) -> None:
        write_at(self._descriptor, pack_end(end), END_AT)

    @property
    def size(self) -> int:
        """Bytes of the file that blocks take."""
        return self._end

    def add_block(self, stream: int, first: int, row_bytes: int, rows: int) -> Block:
        """Add a block.

        Parameters
        ----------
        stream : int
            Stream id.
        first : int
            Absolute number of its first row.
        row_bytes : int
            Bytes a row.
        rows : int
            How many rows it must hold at least; it holds as many as its pages do.

        Raises
        ------
        OSError
            If the disk is full; the generation is unchanged.
        """
        length = -(-(HEADER_BYTES + row_bytes * max(rows, 1)) // PAGE) * PAGE
        capacity = (length - HEADER_BYTES) // row_bytes if row_bytes else max(rows, PAGE)
        header = BlockHeader(stream, first, length, row_bytes, capacity)
        self._allocate(self._end + length)
        offset = self._end
        map_rows = row_bytes < MAPPED_ROW_BYTES
        # Before it is mapped: to fault a page in that nobody has written reads many after it.
        write_at(self._descriptor, pack_block(header, self._nonce), offset)
        view = self._map(offset, length if map_rows else PAGE) if self._mapped else None
        block = Block(self._descriptor, offset, header, view, map_rows=map_rows)
        self._tell_end(offset + length)
        self._end = offset + length
        self.blocks.append(block)
        return block

    def _map(self, offset: int, length: int) -> memoryview:
        """Return a mapped range, from a window that many blocks share.

        A mapping of its own for each block would hold a file descriptor each.
        """
        start, window = self._windows[-1] if self._windows else (0, None)
        if window is None or offset + length > start + len(window):
            size = self._allocated - offset
            start, window = offset, mmap.mmap(self._descriptor, size, offset=offset)
            self._windows.append((start, window))
        low = offset - start
        with contextlib.suppress(OSError, ValueError):  # an older kernel: stores meet page faults
            window.madvise(_POPULATE_WRITE, low, length)
        return memoryview(window)[low : low + length]

    def _allocate(self, end: int) -> None:
        """Reserve disk space up to `end`, and some beyond it where there is room."""
        if end <= self._allocated:
            return
        wanted = end + min(GROWTH_BYTES, self._allocated)
        for target in dict.fromkeys((wanted, end)):
            try:
                self._reserve(target)
            except OSError:
                if target == end:
                    raise
            else:
                self._allocated = target
                return

    def _reserve(self, end: int) -> None:
        if hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(self._descriptor, self._allocated, end - self._allocated)
            except OSError as error:
                if self._mapped or error.errno not in _NOT_SUPPORTED:
                    raise
            else:
                return
        os.ftruncate(self._descriptor, end)  # a full disk is met by the write of a row

    def sync(self, ahead: tuple[Block, int] | None = None) -> None:
        """Mark what is published, and bring it to the disk.

        Parameters
        ----------
        ahead : (Block, int), optional
            A block, and how many of its rows are to be marked before they are published.

        Raises
        ------
        OSError
            If the disk fails.
        """
        for block in list(self.blocks):
            count = ahead[1] if ahead is not None and block is ahead[0] else None
            if block.mark(count) and block not in self._unsynced:
                self._unsynced.append(block)
        if not self._unsynced:
            return
        if self._failed:
            self._dirty()
        self._failed = True  # where it fails the blocks stay listed, and the next call tries
        os.fsync(self._descriptor)
        self._failed = False
        for block in self._unsynced:
            block.mark_is_durable()
        self._unsynced.clear()

    def _dirty(self) -> None:
        write_at(self._descriptor, os.pread(self._descriptor, END_AT, 0), 0)
        for block in list(self.blocks):
            block.dirty()

    def close(self) -> None:
        """Let go of the file, which stays on disk."""
        for block in self.blocks:
            block.release()
        self.blocks.clear()
        self._unsynced.clear()
        for _, window in self._windows:
            with contextlib.suppress(BufferError):  # the last to refer to it unmaps it
                window.close()
        self._windows.clear()
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def remove(self) -> None:
        """Let go of the file and unlink it."""
        self.close()
        self.path.unlink(missing_ok=True)
