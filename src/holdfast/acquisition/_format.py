"""The bytes of a block of messages: header, words, marks (``design/014-messages.md``)."""

import struct
from dataclasses import dataclass
from typing import Final

import xxhash

PAGE: Final = 4096
SUFFIX: Final = ".block"
PRODUCER: Final = "producer-"
LOGGER: Final = "logger"
LOCK: Final = "lock"
"""Names of files and folders; the lock is a `WriterLock`'s."""

VERSION: Final = 1
WORD: Final = 8

FINAL_AT, SEALED_AT, MARKS_AT, ORDER_AT, WORDS_END = 256, 264, (272, 288), 304, 312

SHIFT: Final = 40
END_MASK: Final = (1 << SHIFT) - 1
"""A word is ``slot << SHIFT | end``, and a slot is the source's number plus one."""

MAX_NUMBER: Final = 0xFFFF
FIRST_NAMED: Final = 0x10000
DEFINE: Final = 0xFFFFFE
"""Slots: numbers from 0, names from `FIRST_NAMED`, and what defines them."""

_MAGIC = b"HFMESSG1"
_FIELDS = struct.Struct("<8sIIQQQQQ36s")
_CHECK = struct.Struct("<Q")
_MARK = struct.Struct("<QQ")


@dataclass(frozen=True, slots=True)
class Header:
    """What a block says of itself from the beginning.

    Attributes
    ----------
    identity : int
        Drawn when the block was made; tells it from every other.
    recording : int
        Which recording its messages belong to.
    capacity : int
        How many messages its columns have room for.
    payload_at : int
        Where in the file the payloads begin.
    length : int
        Bytes of the file.
    lane : int
        Which lane of its producer wrote it.
    boot_id : str
        The boot it was made in, ``""`` where the system has none.
    """

    identity: int
    recording: int
    capacity: int
    payload_at: int
    length: int
    lane: int
    boot_id: str

    @property
    def room(self) -> int:
        """Bytes of payload that fit."""
        return self.length - self.payload_at

    @property
    def words_at(self) -> int:
        """Where in the file the words begin."""
        return PAGE + WORD * self.capacity


def layout(length: int, mean: int) -> tuple[int, int]:
    """Return capacity and place of the payloads in a block of `length` bytes.

    Parameters
    ----------
    length : int
        Bytes of the file.
    mean : int
        Bytes that a payload is expected to have.
    """
    capacity = max((length - PAGE) // (2 * WORD + mean), 1)
    payload_at = -(-(PAGE + 2 * WORD * capacity) // PAGE) * PAGE
    return capacity, payload_at


def pack_header(header: Header) -> bytes:
    """Return the beginning of a block's first page."""
    fields = _FIELDS.pack(
        _MAGIC,
        VERSION,
        header.lane,
        header.identity,
        header.recording,
        header.capacity,
        header.payload_at,
        header.length,
        header.boot_id.encode(),
    )
    return fields + _CHECK.pack(xxhash.xxh3_64_intdigest(fields))


def unpack_header(page: bytes) -> Header | None:
    """Read the beginning of a block; None if it is none, or not whole."""
    if len(page) < _FIELDS.size + _CHECK.size or not page.startswith(_MAGIC):
        return None
    fields = page[: _FIELDS.size]
    if _CHECK.unpack_from(page, _FIELDS.size)[0] != xxhash.xxh3_64_intdigest(fields):
        return None
    _, version, lane, identity, recording, capacity, payload_at, length, boot = _FIELDS.unpack(
        fields
    )
    if version != VERSION or payload_at < PAGE + 2 * WORD * capacity or length < payload_at:
        return None
    boot_id = boot.rstrip(b"\0").decode("ascii", "replace")
    return Header(identity, recording, capacity, payload_at, length, lane, boot_id)


def order_word(identity: int, order: int) -> int:
    """Return the word that says which of its lane's blocks one is, from 1; it has its own check."""
    check = xxhash.xxh32_intdigest(_MARK.pack(identity, order)) or 1
    return check << 32 | order


def order_of(header: Header, word: int) -> int | None:
    """Read an `order_word`: 0 in a block that was not begun yet, None if it is damaged."""
    order = word & 0xFFFFFFFF
    return order if word in (0, order_word(header.identity, order)) else None


def pack_mark(count: int, digest: int) -> bytes:
    """Return a sync mark."""
    return _MARK.pack(count, digest)


def unpack_word(page: bytes, at: int) -> int:
    """Read one of the header's words."""
    return int(_CHECK.unpack_from(page, at)[0])


def unpack_marks(page: bytes) -> list[tuple[int, int]]:
    """Read the sync marks; a count of 0 is none."""
    return [(count, digest) for count, digest in (_MARK.unpack_from(page, at) for at in MARKS_AT)]
