"""The bytes of a file, holes included, and their XXH3-128."""

import os
import threading
from collections.abc import Iterator

import xxhash

Digest = xxhash.xxh3_128

BUFFER_BYTES = 1 << 19
"""Small enough for a core's own cache, large enough that hashing runs without the interpreter."""

SMALL_BYTES = 1 << 16
"""Up to this size a file is read by one call: of thousands of them the calls take the time."""

_ZEROS = memoryview(bytes(BUFFER_BYTES))
_own = threading.local()

_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def open_to_read(path: str, *, follow: bool = True) -> int:
    """Open a file for reading, without waiting should it have become a pipe."""
    no_link = 0 if follow else getattr(os, "O_NOFOLLOW", 0)
    return os.open(path, _FLAGS | getattr(os, "O_NONBLOCK", 0) | no_link)


def file_digest(relative: str, path: str) -> bytes:
    """Return the digest of one file: of its relative name in UTF-8, then its bytes.

    Parameters
    ----------
    relative : str
        Its name below the folder, with ``/`` between the parts.
    path : str
        The file; a symlink is followed.

    Returns
    -------
    bytes
        16 bytes, as in the canonical (big-endian) form of XXH3-128, seed 0.
    """
    descriptor = open_to_read(path)
    try:
        return descriptor_digest(relative, descriptor)
    finally:
        os.close(descriptor)


def descriptor_digest(relative: str, descriptor: int) -> bytes:
    """Return the digest of an open file, as `file_digest` does."""
    state = new_digest(relative)
    status = os.fstat(descriptor)
    if is_small(status):
        content = content_of(descriptor, status.st_size)
        state.update(content)
        if len(content) > status.st_size:
            hash_data(state, descriptor, len(content), None)
        return state.digest()
    for is_data, start, stop in extents(descriptor, status):
        if is_data:
            hash_data(state, descriptor, start, stop)
        else:
            hash_zeros(state, (stop or start) - start)
    return state.digest()


def new_digest(relative: str) -> Digest:
    """Begin the digest of a file with its name; names that are not UTF-8 give their own bytes."""
    return xxhash.xxh3_128(name_bytes(relative))


def name_bytes(relative: str) -> bytes:
    """Return the bytes of a relative name that go into digests."""
    return relative.encode("utf-8", "surrogateescape")


def is_small(status: os.stat_result) -> bool:
    """Whether a file is short and without holes, so that one call reads it."""
    return status.st_size <= SMALL_BYTES and not _has_holes(status)


def content_of(descriptor: int, size: int) -> bytes:
    """Return what a small file holds; a byte more than `size` if it has grown."""
    content = os.read(descriptor, size + 1)
    while len(content) < size:  # some file systems give less at a time
        more = os.read(descriptor, size + 1 - len(content))
        if not more:
            break
        content += more
    return content


def _has_holes(status: os.stat_result) -> bool:
    blocks = getattr(status, "st_blocks", None)
    return blocks is not None and blocks * 512 < status.st_size and hasattr(os, "SEEK_DATA")


def extents(descriptor: int, status: os.stat_result) -> Iterator[tuple[bool, int, int | None]]:
    """Yield ``(is data, start, stop)`` over a file; stop is None where the file's end is meant."""
    size = status.st_size
    if not _has_holes(status):
        yield True, 0, None
        return
    position = 0
    while position < size:
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError:  # ENXIO: nothing but a hole from here on, or a system that knows no holes
            start = size
        if start > position:
            yield False, position, start
        if start >= size:
            return
        position = os.lseek(descriptor, start, os.SEEK_HOLE)
        yield True, start, position


def data_pieces(descriptor: int, start: int, stop: int | None) -> Iterator[memoryview]:
    """Yield the bytes of an extent; a piece is valid until the next is asked for."""
    buffer = getattr(_own, "buffer", None)
    if buffer is None:
        buffer = _own.buffer = memoryview(bytearray(BUFFER_BYTES))
    os.lseek(descriptor, start, os.SEEK_SET)
    left = stop - start if stop is not None else None
    while left is None or left > 0:
        room = buffer if left is None or left >= BUFFER_BYTES else buffer[:left]
        count = os.readv(descriptor, [room]) if hasattr(os, "readv") else _read(descriptor, room)
        if not count:
            return
        yield buffer if count == BUFFER_BYTES else buffer[:count]
        left = None if left is None else left - count


def _read(descriptor: int, room: memoryview) -> int:
    content = os.read(descriptor, len(room))
    room[: len(content)] = content
    return len(content)


def hash_data(state: Digest, descriptor: int, start: int, stop: int | None) -> None:
    """Take the bytes of an extent into a digest."""
    for piece in data_pieces(descriptor, start, stop):
        state.update(piece)


def hash_zeros(state: Digest, length: int) -> None:
    """Take the zeros that a hole reads as into a digest."""
    while length > 0:
        state.update(_ZEROS[:length])
        length -= BUFFER_BYTES
