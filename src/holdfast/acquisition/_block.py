"""A block as its producer has it: three columns to store to, mapped or written."""

import contextlib
import errno
import mmap
import os
import time
from pathlib import Path
from typing import Any, Protocol

from holdfast.acquisition._format import (
    FINAL_AT,
    ORDER_AT,
    PAGE,
    WORD,
    WORDS_END,
    Header,
    layout,
    order_word,
    pack_header,
)
from holdfast.journal import can_map

_POPULATE_WRITE = 23
"""MADV_POPULATE_WRITE of Linux 5.14: faults pages in before they are stored to."""

_PIECE = 1 << 18
"""Bytes faulted in at once: madvise keeps the interpreter's lock, and producers wait for that."""

_NOT_SUPPORTED = frozenset([errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL])


class Column(Protocol):
    """What a lane stores to: a mapped memoryview, or the same by ``pwrite``."""

    def __setitem__(self, key: Any, value: Any, /) -> None:
        """Store an item, or the items of a slice."""


class _WrittenWords:
    """8-byte words of a file, stored by ``pwrite``."""

    def __init__(self, descriptor: int, offset: int, capacity: int) -> None:
        self._descriptor, self._offset, self._capacity = descriptor, offset, capacity

    def __setitem__(self, key: int | slice, value: object) -> None:
        if isinstance(key, slice):
            content = memoryview(value).cast("B")  # type: ignore[arg-type]  # a buffer
            _write_all(self._descriptor, content, self._offset + WORD * key.start)
            return
        if key >= self._capacity:
            raise IndexError(key)
        packed = memoryview(bytearray(WORD)).cast("Q")
        packed[0] = value  # type: ignore[call-overload]  # refused like a mapped store refuses it
        _write_all(self._descriptor, packed.cast("B"), self._offset + WORD * key)

    def __getitem__(self, key: int) -> int:
        found = os.pread(self._descriptor, WORD, self._offset + WORD * key)
        return int.from_bytes(found, "little")


class _WrittenBytes:
    """Bytes of a file, stored by ``pwrite``."""

    def __init__(self, descriptor: int, offset: int) -> None:
        self._descriptor, self._offset = descriptor, offset

    def __setitem__(self, key: slice, value: object) -> None:
        view = memoryview(value)  # type: ignore[arg-type]  # a buffer
        if view.ndim != 1 or view.itemsize != 1 or len(view) != key.stop - key.start:
            raise ValueError("these are not that many bytes")
        _write_all(self._descriptor, view.cast("B"), self._offset + key.start)


def _write_all(descriptor: int, view: memoryview, offset: int) -> None:
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


class Block:
    """A block of a lane, being filled.

    Parameters
    ----------
    path : Path
        The file, which must not exist.
    length : int
        Its bytes, a multiple of 4096.
    mean : int
        Bytes that a payload is expected to have.
    header : tuple of (int, int, int, str)
        Identity, recording, lane and boot.

    Raises
    ------
    OSError
        If the disk is full; no file is left then.

    Attributes
    ----------
    times, words, payload : column
        What messages are stored to.
    room : int
        Bytes of payload that fit.
    """

    def __init__(
        self, path: Path, length: int, mean: int, header: tuple[int, int, int, str]
    ) -> None:
        identity, recording, lane, boot = header
        self.path = path
        capacity, payload_at = layout(length, mean)
        self.header = Header(identity, recording, capacity, payload_at, length, lane, boot)
        self.room = self.header.room
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        self._map: mmap.mmap | None = None
        try:
            mapped = can_map(path.parent)
            _reserve(self._descriptor, length, strictly=mapped)
            if mapped:
                self._open_mapped(length)
            else:
                self._open_written()
            os.pwrite(self._descriptor, pack_header(self.header), 0)
            if mapped:  # the mapping has a descriptor of its own; threads may be many, files few
                self._close()
        except BaseException:
            self.remove()
            raise

    def _open_mapped(self, length: int) -> None:
        mapped = mmap.mmap(self._descriptor, length)
        whole = memoryview(mapped)
        header = self.header
        self.times: Column = whole[PAGE : header.words_at].cast("Q")
        self.words: Column = whole[header.words_at : header.words_at + WORD * header.capacity].cast(
            "Q"
        )
        self.payload: Column = whole[header.payload_at :]
        self._states = whole[:WORDS_END].cast("Q")
        self._map = mapped  # last: an interruption before leaves nothing to let go of

    def _open_written(self) -> None:
        header = self.header
        self.times = _WrittenWords(self._descriptor, PAGE, header.capacity)
        self.words = _WrittenWords(self._descriptor, header.words_at, header.capacity)
        self.payload = _WrittenBytes(self._descriptor, header.payload_at)

    def populate(self) -> None:
        """Fault all pages in, letting other threads run in between."""
        if self._map is None:
            return
        length = self.header.length
        for start in range(0, length, _PIECE):
            try:
                self._map.madvise(_POPULATE_WRITE, start, min(_PIECE, length - start))
            except (OSError, ValueError):  # an older kernel: stores meet page faults
                return
            time.sleep(0)

    def begin(self, order: int) -> None:
        """Say which of its lane's blocks this is: names only tell when blocks were made."""
        word = order_word(self.header.identity, order)
        if self._map is not None:
            self._states[ORDER_AT // WORD] = word
        else:
            os.pwrite(self._descriptor, word.to_bytes(WORD, "little"), ORDER_AT)

    def finish(self, count: int) -> None:
        """Say that no more come after the first `count` messages, and let go of the file."""
        if self._map is not None:
            self._states[FINAL_AT // WORD] = count + 1
        elif self._descriptor >= 0:
            os.pwrite(self._descriptor, (count + 1).to_bytes(WORD, "little"), FINAL_AT)
        self.release()

    def release(self) -> None:
        """Let go of the file, which stays; nothing may be stored afterwards."""
        if self._map is not None:
            for view in (self.times, self.words, self.payload, self._states):
                with contextlib.suppress(BufferError):  # the last to refer to it lets go
                    view.release()  # type: ignore[union-attr]  # mapped columns are memoryviews
            self._map = None
        self._close()

    def _close(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def remove(self) -> None:
        """Let go of the file and delete it."""
        self.release()
        self.path.unlink(missing_ok=True)

    def __del__(self) -> None:
        if getattr(self, "_descriptor", -1) >= 0:
            os.close(self._descriptor)


def _reserve(descriptor: int, length: int, *, strictly: bool) -> None:
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, 0, length)
        except OSError as error:
            if strictly or error.errno not in _NOT_SUPPORTED:
                raise
        else:
            return
    os.ftruncate(descriptor, length)  # a full disk is met by the write of a message
