"""`ColumnFile`: an ``.npz`` written column by column, to places that are known beforehand.

A zip of stored members, each an ``.npy``, which NumPy reads by itself. Messages arrive in order of
time, a piece of every column at once, so the columns of a file grow side by side; CRC-32 and
checksums are kept up as they do, and written last.
"""

import io
import os
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xxhash

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
    digest: Any = field(default_factory=xxhash.xxh3_64)
    filled: int = 0

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
            self.digest.update(piece)
            self.filled += len(piece)
            content = content[len(piece) :]
            if self.filled == CHECKED:
                self._end_check()

    def _end_check(self) -> None:
        self.checks.append(self.digest.intdigest())
        self.digest.reset()
        self.filled = 0

    def end(self) -> list[int]:
        """Return the checksums of its pieces."""
        if self.filled:
            self._end_check()
        return self.checks


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

    def _place(self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> _Member:
        header = io.BytesIO()
        fields = {"descr": dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(header, fields)
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        member = _Member(f"{name}.npy", header.getvalue(), size, self._end)
        member.crc = zlib.crc32(member.header)
        self._members[name] = member
        self._end += len(member.prefix()) + member.total
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
        at = member.at + len(member.prefix()) + len(member.header) + member.written
        member.add(content)
        write_all(descriptor, content, at)

    def finish(self, further: Mapping[str, npt.NDArray[Any]]) -> None:
        """Add small members, ``checks`` of the columns among them, and bring all to the disk.

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
        small = {**further, "checks": np.array(checks, np.uint64)}
        for name, array in small.items():
            self._place(name, array.dtype, array.shape)
        self.append({name: array.reshape(-1) for name, array in small.items()})
        descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            for member in self._members.values():
                write_all(descriptor, memoryview(member.prefix() + member.header), member.at)
            write_all(descriptor, memoryview(self._directory()), self._end)
            os.fsync(descriptor)
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


def write_all(descriptor: int, view: memoryview, offset: int) -> None:
    """Write bytes to a place in a file."""
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
