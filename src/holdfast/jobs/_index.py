"""The index: which jobs there are and their status, found without reading the journal.

A header, then slots of sixteen bytes (the hash of a job's id, its status) in a table of open
addressing. It can be thrown away: it names the journal and its size, and where it does not match
them it is made anew.
"""

import os
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import xxhash

from holdfast._atomic import replace_bytes
from holdfast._sync import Durability
from holdfast.jobs._state import JobState

_MAGIC = b"holdjob1"
_HEADER = struct.Struct("<8s16s12Q2d")
_HEADER_BYTES = 256
_SLOT = struct.Struct("<QQ")
_FLAGS = os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True, slots=True)
class Header:
    """What an index belongs to, and how many jobs there are of each status.

    Attributes
    ----------
    journal, size : str, int
        Name and size of the journal the index matches.
    yaml_size, yaml_mtime_ns : int
        What the tracker file looked like.
    counts : tuple of int
        Jobs by status.
    slots : int
        Slots in the table, a power of two.
    folded_at, fold_seconds : float
        When the tracker file was brought up to date, and how long that took.
    """

    journal: str
    size: int
    yaml_size: int
    yaml_mtime_ns: int
    counts: tuple[int, int, int, int]
    slots: int
    folded_at: float = 0.0
    fold_seconds: float = 0.0

    @property
    def open_jobs(self) -> int:
        """How many jobs have not ended."""
        return self.counts[0] + self.counts[1]

    def looks_like(self, status: os.stat_result) -> bool:
        """Whether a tracker file seems to be the one the index knows."""
        return (self.yaml_size, self.yaml_mtime_ns) == (status.st_size, status.st_mtime_ns)

    def moved(self, old: int, new: int) -> "Header":
        """Return the header after a job went from one status to another."""
        counts = list(self.counts)
        counts[old] -= 1
        counts[new] += 1
        return replace(self, counts=(counts[0], counts[1], counts[2], counts[3]))

    def pack(self) -> bytes:
        """Return the header as it stands in the file."""
        numbers = (self.size, self.yaml_size, self.yaml_mtime_ns, *self.counts, self.slots)
        packed = _HEADER.pack(
            _MAGIC,
            bytes.fromhex(self.journal),
            *numbers,
            *([0] * (12 - len(numbers))),
            self.folded_at,
            self.fold_seconds,
        )
        return packed + struct.pack("<I", zlib.crc32(packed))

    @classmethod
    def unpack(cls, content: bytes) -> "Header | None":
        """Read a header; None if it is damaged."""
        packed, check = content[: _HEADER.size], content[_HEADER.size : _HEADER.size + 4]
        if len(check) < 4 or struct.unpack("<I", check)[0] != zlib.crc32(packed):
            return None
        magic, journal, *numbers, folded_at, seconds = _HEADER.unpack(packed)
        if magic != _MAGIC:
            return None
        size, yaml_size, mtime, a, b, c, d, slots = numbers[:8]
        return cls(journal.hex(), size, yaml_size, mtime, (a, b, c, d), slots, folded_at, seconds)


class Index:
    """An open index file; used under the tracker's lock."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, _FLAGS)
        self.header = Header.unpack(os.read(self._descriptor, _HEADER_BYTES))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def find(self, job: str, slots: int) -> tuple[int, int | None]:
        """Return where a job's slot is, or would be, and its status; None if it is not there."""
        wanted = _hash(job)
        place = wanted & (slots - 1)
        while True:
            offset = _HEADER_BYTES + place * _SLOT.size
            found, status = _SLOT.unpack(self._read(offset))
            if found == wanted:
                return offset, int(status)
            if not found:
                return offset, None
            place = (place + 1) & (slots - 1)

    def put(self, offset: int, job: str, status: int) -> None:
        """Write a slot."""
        self._write(offset, _SLOT.pack(_hash(job), status))

    def put_header(self, header: Header) -> None:
        """Write the header, last: until then the index matches no journal."""
        self._write(0, header.pack())
        self.header = header

    def _read(self, offset: int) -> bytes:
        os.lseek(self._descriptor, offset, os.SEEK_SET)
        return os.read(self._descriptor, _SLOT.size)

    def _write(self, offset: int, content: bytes) -> None:
        os.lseek(self._descriptor, offset, os.SEEK_SET)
        os.write(self._descriptor, content)


def slots_for(jobs: int) -> int:
    """Return a table's size that leaves room for as many jobs again."""
    return max(1024, 1 << (4 * jobs).bit_length())


def has_room(header: Header, more: int) -> bool:
    """Whether so many more jobs leave half of the table empty."""
    return 2 * (sum(header.counts) + more) <= header.slots


def build(path: Path, jobs: Mapping[str, JobState], header: Header) -> Header:
    """Write the index of these jobs anew, and return its header."""
    slots = slots_for(len(jobs))
    table = np.zeros((slots, 2), dtype="<u8")
    taken = table[:, 0]
    for job, state in jobs.items():
        wanted = _hash(job)
        place = wanted & (slots - 1)
        while taken[place]:
            place = (place + 1) & (slots - 1)
        table[place] = wanted, int(state.status)
    found = replace(header, counts=count(jobs.values()), slots=slots)
    replace_bytes(path, found.pack().ljust(_HEADER_BYTES, b"\0") + table.tobytes(), Durability())
    return found


def count(jobs: Iterable[JobState]) -> tuple[int, int, int, int]:
    """Return how many jobs there are of each status."""
    counts = [0, 0, 0, 0]
    for job in jobs:
        counts[job.status] += 1
    return counts[0], counts[1], counts[2], counts[3]


def _hash(job: str) -> int:
    return xxhash.xxh64_intdigest(job.encode("utf-8", "backslashreplace")) or 1
