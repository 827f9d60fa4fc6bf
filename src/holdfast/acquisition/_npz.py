"""`ColumnFile`: an ``.npz`` written column by column, to places that are known beforehand.

A zip of stored members, each an ``.npy``, which NumPy reads by itself. Messages arrive in order of
time, a piece of every column at once, so the columns of a file grow side by side; CRC-32 and
checksums are kept up as they do, and written last.
"""

import io
import math
import os
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xxhash

from holdfast._sync import start_writeback

CHECKED: Final = 1 << 20
"""Bytes of a column that share a checksum."""

_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_ZIP64_END = struct.Struct("<4sQHHIIQQQQ")
_ZIP64_LOCATOR = struct.Struct("<4sIQI")
_END = struct.Struct("<4sHHHHIIH")
_VERSION, _NAMES_ARE_UTF8, _DATE = 45, 0x800, (1 << 5) | 1
_HUGE, _ALIGNMENT, _PADDING = 0xFFFFFFFF, 64, 0x4846


@dataclass(slots=True)
class _Member:
    """A member of the zip: where it is, and what was written of it."""

    name: str
    header: bytes
    size: int
    at: int = 0
    written: int = 0
    crc: int = 0
    checks: list[int] = field(default_factory=list)
    digest: Any = None
    filled: int = 0
    data_at: int = 0

    @property
    def total(self) -> int:
        return len(self.header) + self.size

    def prefix(self) -> bytes:
        """Return the zip's local header, so long that the array's bytes are aligned."""
        name = self.name.encode()
        sizes = struct.pack("<HHQQ", 1, 16, self.total, self.total)
        length = _LOCAL.size + len(name) + len(sizes) + 4
        padding = -(self.at + length + len(self.header)) % _ALIGNMENT
        extra = sizes + struct.pack("<HH", _PADDING, padding) + bytes(padding)
        fields = (_VERSION, _NAMES_ARE_UTF8, 0, 0, _DATE, self.crc, _HUGE, _HUGE)
        return _LOCAL.pack(b"PK\3\4", *fields, len(name), len(extra)) + name + extra

    def entry(self) -> bytes:
        """Return its entry in the zip's directory."""
        name = self.name.encode()
        extra = struct.pack("<HHQQQ", 1, 24, self.total, self.total, self.at)
        fields = (_VERSION, _VERSION, _NAMES_ARE_UTF8, 0, 0, _DATE, self.crc, _HUGE, _HUGE)
        lengths = (len(name), len(extra), 0, 0, 0, 0, _HUGE)
        return _CENTRAL.pack(b"PK\1\2", *fields, *lengths) + name + extra

    def add(self, content: memoryview) -> None:
        """Count in what is being written."""
        self.crc = zlib.crc32(content, self.crc)
        self.written += len(content)
        while len(content):
            piece = content[: CHECKED - self.filled]
            content = content[len(piece) :]
            if len(piece) == CHECKED or (not self.filled and self.written == self.size):
                self.checks.append(xxhash.xxh3_64_intdigest(piece))
                continue
            self.digest = self.digest or xxhash.xxh3_64()
            self.digest.update(piece)
            self.filled += len(piece)
            if self.filled == CHECKED:
                self._end_check()

    def _end_check(self) -> None:
        self.checks.append(self.digest.intdigest())
        self.digest, self.filled = None, 0

    def end(self) -> list[int]:
        """Return the checksums of its pieces."""
        if self.filled:
            self._end_check()
        return self.checks


@lru_cache(maxsize=1 << 10)  # many small archives have arrays of the same shapes
def _header(dtype: str, shape: tuple[int, ...]) -> bytes:
    header = io.BytesIO()
    fields = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, fields)
    return header.getvalue()


class ColumnFile:
    """An ``.npz`` being written.

    Parameters
    ----------
    path : Path
        The file, which is made.
    columns : mapping of str to (dtype, int)
        Name, dtype and length of each column.

    Raises
    ------
    OSError
        If the disk is full.
    """

    def __init__(self, path: Path, columns: Mapping[str, tuple[str, int]]) -> None:
        self.path = path
        self._members: dict[str, _Member] = {}
        self._end = 0
        for name, (dtype, length) in columns.items():
            self._place(name, np.dtype(dtype), (length,))
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        os.close(descriptor)

    @property
    def begun(self) -> bool:
        """Whether anything was written of it."""
        return any(member.written for member in self._members.values())

    def _place(self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> _Member:
        header = _header(dtype.str, shape)
        size = math.prod(shape) * dtype.itemsize
        member = _Member(f"{name}.npy", header, size, self._end)
        member.crc = zlib.crc32(member.header)
        self._members[name] = member
        member.data_at = self._end + len(member.prefix()) + len(member.header)
        self._end = member.data_at + size
        return member

    def append(self, pieces: Mapping[str, npt.NDArray[Any]]) -> None:
        """Add items to columns, in their order.

        Raises
        ------
        OSError
            If the disk is full.
        """
        # Opened for each piece: there may be more sources than a process may have files open.
        descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            for name, items in pieces.items():
                self._write(descriptor, self._members[name], items)
        finally:
            os.close(descriptor)

    def _write(self, descriptor: int, member: _Member, items: npt.NDArray[Any]) -> None:
        content = np.ascontiguousarray(items).view(np.uint8).data
        if member.written + len(content) > member.size:
            raise AssertionError(member.name)
        at = member.data_at + member.written
        member.add(content)
        write_all(descriptor, content, at)
        if len(content) >= CHECKED:
            start_writeback(descriptor, at, len(content))

    def finish(self, further: Mapping[str, npt.NDArray[Any]]) -> None:
        """Add small members, ``checks`` of the columns among them, and the zip's directory.

        Raises
        ------
        OSError
            If the disk is full.
        """
        checks: list[int] = []
        for member in self._members.values():
            if member.written != member.size:
                raise AssertionError(member.name)
            checks += member.end()
        columns, at, tail = list(self._members.values()), self._end, bytearray()
        for name, array in {**further, "checks": np.array(checks, np.uint64)}.items():
            member = self._place(name, array.dtype, array.shape)
            content = array.tobytes()
            member.add(memoryview(content))
            tail += member.prefix() + member.header + content
        tail += self._directory()
        descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            for member in columns:
                write_all(descriptor, memoryview(member.prefix() + member.header), member.at)
            write_all(descriptor, memoryview(tail), at)
        finally:
            os.close(descriptor)

    def _directory(self) -> bytes:
        entries = b"".join(member.entry() for member in self._members.values())
        count, end = len(self._members), self._end + len(entries)
        whole = (count, count, len(entries), self._end)
        return (
            entries
            + _ZIP64_END.pack(b"PK\6\6", _ZIP64_END.size - 12, _VERSION, _VERSION, 0, 0, *whole)
            + _ZIP64_LOCATOR.pack(b"PK\6\7", 0, end, 1)
            + _END.pack(b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, _HUGE, _HUGE, 0)
        )


def read_at(file: Any, at: int, size: int) -> npt.NDArray[np.uint8]:
    """Read bytes from a place in a file that holds them."""
    content = np.empty(size, np.uint8)
    file.seek(at)
    view = content.data
    while view:
        found = file.readinto(view)
        if not found:
            raise OSError(f"{file.name} was cut short")
        view = view[found:]
    return content


def write_all(descriptor: int, view: memoryview, offset: int) -> None:
    """Write bytes to a place in a file."""
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
