"""The bytes of a journal: headers, sync marks, lines (``design/006-journal.md``)."""

import struct
from dataclasses import dataclass
from typing import Final

import xxhash

PAGE: Final = 4096
SUFFIX: Final = ".journal"
LOCK: Final = "lock"
VERSION: Final = 1

_GENERATION_MAGIC = b"HFJOURN1"
_GENERATION = struct.Struct("<8sIIQ36sQ")
_BLOCK_MAGIC = b"HFBLOCK1"
_BEFORE_COUNT = struct.Struct("<8s")
_AFTER_COUNT = struct.Struct("<QIIQQQ")
_CHECK = struct.Struct("<Q")
_MARK = struct.Struct("<QQ")

END_AT: Final = 128
"""Where the first page of a generation tells how far its blocks reach; outside the check."""

HEADER_BYTES: Final = 128
COUNT_AT: Final = 8
MARKS_AT: Final = (64, 80)
AHEAD: Final = 1 << 63
"""Added to the count of a mark whose rows were to be on the disk before they were published."""
_FIELDS_AT, _CHECK_AT = 16, 56

CATALOGUE: Final = 0
"""The id of the stream whose rows are the bytes of the catalogue's JSON lines."""


def journal_folder(path: str) -> str:
    """Return the folder of the journal of a data file."""
    return f"{path}-journal"


def generation_name(number: int) -> str:
    """Return the file name of a generation."""
    return f"{number:08d}{SUFFIX}"


def generation_number(name: str) -> int | None:
    """Return the number that a file name tells, None if it names no generation."""
    stem = name.removesuffix(SUFFIX)
    if not (stem.isascii() and stem.isdigit() and len(stem) <= 18):
        return None
    return int(stem) if name == generation_name(int(stem)) else None


def pack_generation(number: int, nonce: int, boot_id: str | None) -> bytes:
    """Return the first page of a generation, up to its check."""
    boot = (boot_id or "").encode()
    fields = _GENERATION.pack(_GENERATION_MAGIC, VERSION, 0, number, boot, nonce)
    return fields + _CHECK.pack(xxhash.xxh3_64_intdigest(fields))


def pack_end(end: int) -> bytes:
    """Return what tells how far blocks reach."""
    return _CHECK.pack(end)


@dataclass(frozen=True, slots=True)
class GenerationHeader:
    """What the first page of a generation says.

    Attributes
    ----------
    number : int
        As in the file's name.
    nonce : int
        Drawn when the file was made. Numbers begin anew with each journal; this never comes again.
    boot_id : str or None
        The boot it was written in.
    version : int
        Version of the format.
    end : int
        How far its blocks reach at least; says nothing after a reboot.
    """

    number: int
    nonce: int
    boot_id: str | None
    version: int
    end: int


def unpack_generation(page: bytes) -> GenerationHeader | None:
    """Read the first page of a generation; None if it is not whole."""
    if len(page) < _GENERATION.size + _CHECK.size:
        return None
    fields = page[: _GENERATION.size]
    (check,) = _CHECK.unpack_from(page, _GENERATION.size)
    magic, version, _, number, boot, nonce = _GENERATION.unpack(fields)
    if magic != _GENERATION_MAGIC or check != xxhash.xxh3_64_intdigest(fields):
        return None
    boot_id = boot.rstrip(b"\0").decode("ascii", "replace") or None
    end = int.from_bytes(page[END_AT : END_AT + _CHECK.size], "little")
    return GenerationHeader(number, nonce, boot_id, version, end)


@dataclass(frozen=True, slots=True)
class BlockHeader:
    """What the header of a block says, its count and marks as they were when it was read.

    Attributes
    ----------
    stream : int
        Stream id; 0 is the catalogue.
    first : int
        Absolute number of the first row.
    length : int
        Bytes of the block, header included; a multiple of 4096.
    row_bytes : int
        Bytes a row.
    capacity : int
        Rows that fit.
    count : int
        Rows published; nothing protects it, so that it may exceed the capacity when damaged.
    marks : tuple of (int, int)
        Counts, `AHEAD` added or not, and hashes of the two sync marks; a count of 0 means none.
    """

    stream: int
    first: int
    length: int
    row_bytes: int
    capacity: int
    count: int = 0
    marks: tuple[tuple[int, int], ...] = ()


def _check(before: bytes, fields: bytes, nonce: int) -> int:
    return xxhash.xxh3_64_intdigest(before + fields + _CHECK.pack(nonce))


def pack_block(block: BlockHeader, nonce: int) -> bytes:
    """Return the header of a new block of the generation with a nonce, its count 0."""
    before = _BEFORE_COUNT.pack(_BLOCK_MAGIC)
    fields = _AFTER_COUNT.pack(
        block.first, block.stream, 0, block.length, block.row_bytes, block.capacity
    )
    check = _CHECK.pack(_check(before, fields, nonce))
    return (before + bytes(8) + fields + check).ljust(HEADER_BYTES, b"\0")


def unpack_block(header: bytes, nonce: int) -> BlockHeader | None:
    """Read the header of a block; None if there is none, or it is not whole."""
    if len(header) < HEADER_BYTES or not header.startswith(_BLOCK_MAGIC):
        return None
    fields = header[_FIELDS_AT:_CHECK_AT]
    (check,) = _CHECK.unpack_from(header, _CHECK_AT)
    if check != _check(header[: _BEFORE_COUNT.size], fields, nonce):
        return None
    first, stream, _, length, row_bytes, capacity = _AFTER_COUNT.unpack(fields)
    (count,) = _CHECK.unpack_from(header, COUNT_AT)
    marks = tuple(_MARK.unpack_from(header, at) for at in MARKS_AT)
    if length % PAGE or length < PAGE or HEADER_BYTES + row_bytes * capacity > length:
        return None
    return BlockHeader(stream, first, length, row_bytes, capacity, count, marks)


def pack_mark(count: int, digest: int) -> bytes:
    """Return a sync mark."""
    return _MARK.pack(count, digest)


def pack_line(content: bytes) -> bytes:
    """Return a line of the catalogue: the hash of its JSON, and its JSON."""
    return b"%016x %s\n" % (xxhash.xxh3_64_intdigest(content), content)


def unpack_line(line: bytes) -> bytes | None:
    """Return the JSON of a line without its end; None if it is damaged."""
    check, _, content = line.partition(b" ")
    return content if check == b"%016x" % xxhash.xxh3_64_intdigest(content) else None
