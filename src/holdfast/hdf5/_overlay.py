"""`Overlay`: the file object under HDF5, whose writes touch only memory (``design/007``).

*Tail* is what lies at or beyond the committed size, which nothing committed refers to; *patches*
are pages below it. Nothing here raises: what fails is remembered in `failure`, for the code
around HDF5.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import Final

import numpy as np

from holdfast._sync import start_writeback

PAGE: Final = 4096

WRITEBACK_BYTES = 8 << 20
"""After so many bytes of the tail the disk begins to write, while HDF5 goes on."""


class Overlay:
    """A file as HDF5 sees it: the committed bytes on disk under what has changed since.

    Parameters
    ----------
    descriptor : int
        The file, open for reading at least.
    committed : int
        How many of its bytes are committed.
    patches : dict, optional
        Pages by number that replace committed ones from the start.

    Attributes
    ----------
    size : int
        Length of the file as HDF5 sees it.
    failure : OSError or None
        What went wrong in a read. HDF5 was given zeros; its handle must not be used any more.
    """

    def __init__(
        self, descriptor: int, committed: int, patches: dict[int, bytearray] | None = None
    ) -> None:
        self.descriptor = descriptor
        self.committed = self.size = committed
        self.patches: dict[int, bytearray] = patches or {}
        self.tail: list[tuple[int, bytes | memoryview]] = []
        self.failure: OSError | None = None
        self._lent: bytes | memoryview | None = None
        self._lent_at = self._drained = 0
        self._position = 0
        self._process = os.getpid()

    # What HDF5 calls

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position."""
        start = (0, self._position, self.size)[whence]
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def read(self, length: int) -> bytes:
        """Return bytes from the position on, zeros beyond the end."""
        content = self._content(self._position, length)
        self._position += length
        return bytes(content)

    def readinto(self, buffer: memoryview) -> int:
        """Fill a buffer from the position on, with zeros beyond the end."""
        length = len(buffer)
        buffer[:] = self._content(self._position, length)
        self._position += length
        return length

    def write(self, content: memoryview) -> int:
        """Keep bytes in memory."""
        if os.getpid() != self._process:
            return len(content)  # a forked child's copy of HDF5 has nothing to say
        data, offset = self._kept(content), self._position
        self._position += len(data)
        self.size = max(self.size, self._position)
        below = max(min(self.committed - offset, len(data)), 0)
        if below:
            self._patch(offset, data[:below])
        if below < len(data):
            self.tail.append((offset + below, data[below:]))
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        """Set the length as HDF5 sees it."""
        if os.getpid() == self._process:
            self.size = self._position if size is None else size
        return self.size

    def flush(self) -> None:
        """Do nothing: what is flushed is committed by the code around HDF5."""

    def _kept(self, content: memoryview) -> "bytes | memoryview":
        """Return bytes that stay after HDF5 has taken its buffer back."""
        lent = self._lent
        if lent is not None and len(lent) == len(content) and _address(content) == self._lent_at:
            return lent
        return bytes(content)

    # What the code around HDF5 calls

    @contextlib.contextmanager
    def lend(self, content: "bytes | memoryview") -> Iterator[None]:
        """Let a chunk that HDF5 writes as it is go to the file without a copy.

        It must not change before `drain`.
        """
        self._lent, self._lent_at = content, _address(content)
        try:
            yield
        finally:
            self._lent = None

    def drain(self) -> None:
        """Write the tail to the file.

        Raises
        ------
        OSError
            If the disk is full or fails; what is not written yet stays in memory.
        """
        while self.tail:
            offset, data = self.tail[0]
            write_at(self.descriptor, data, offset)
            del self.tail[0]
            self._drained += len(data)
            if self._drained >= WRITEBACK_BYTES:
                start_writeback(self.descriptor, offset + len(data) - self._drained, self._drained)
                self._drained = 0

    def settle(self) -> None:
        """Take everything as committed, after it has been written to the file."""
        self.patches.clear()
        self.committed = self.size

    def _patch(self, offset: int, data: "bytes | memoryview") -> None:
        done = 0
        while done < len(data):
            number, start = divmod(offset + done, PAGE)
            length = min(PAGE - start, len(data) - done)
            page = self.patches.get(number)
            if page is None:
                page = self.patches[number] = self._page(number)
            page[start : start + length] = data[done : done + length]
            done += length

    def _page(self, number: int) -> bytearray:
        """Return a committed page, its part beyond the committed size left out."""
        length = min(PAGE, self.committed - number * PAGE)
        return self._from_file(number * PAGE, length)

    def _content(self, offset: int, length: int) -> bytearray:
        content = self._from_file(offset, length)
        for number in self._patched(offset, length):
            _lay(content, offset, number * PAGE, self.patches[number])
        for start, written in self.tail:
            _lay(content, offset, start, written)
        return content

    def _patched(self, offset: int, length: int) -> list[int]:
        first, last = offset // PAGE, (offset + length - 1) // PAGE
        if last - first < len(self.patches):
            return [n for n in range(first, last + 1) if n in self.patches]
        return [n for n in self.patches if first <= n <= last]

    def _from_file(self, offset: int, length: int) -> bytearray:
        content = bytearray(length)
        try:
            found = os.pread(self.descriptor, length, offset)
            while found and len(found) < length:
                more = os.pread(self.descriptor, length - len(found), offset + len(found))
                if not more:
                    break
                found += more
        except OSError as error:
            self.failure = error
            return content
        content[: len(found)] = found
        return content


def _address(content: "bytes | memoryview") -> int:
    return int(np.frombuffer(content, np.uint8).__array_interface__["data"][0])


def _lay(
    content: bytearray, offset: int, start: int, data: "bytes | bytearray | memoryview"
) -> None:
    """Copy the part of `data`, which begins at `start`, that lies within `content` at `offset`."""
    low, high = max(start, offset), min(start + len(data), offset + len(content))
    if low < high:
        content[low - offset : high - offset] = data[low - start : high - start]


def write_at(descriptor: int, content: "bytes | bytearray | memoryview", offset: int) -> None:
    """Write all of `content`.

    Raises
    ------
    OSError
        If the disk is full or fails.
    """
    view = memoryview(content)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
