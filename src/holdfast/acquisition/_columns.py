"""Messages of one source as columns: in memory, or mapped from an archive and checked as read."""

import io
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from holdfast.acquisition._gather import I64, U8, U64
from holdfast.acquisition._npz import CHECKED
from holdfast.errors import FormatError, IntegrityError

VERSION = 1
COLUMNS = ("timestamps", "offsets", "payload")


@dataclass(slots=True)
class Messages:
    """All messages of one source, by recording and time.

    Attributes
    ----------
    source : int or str
        Who sent them.
    times : uint64, shape (n,)
        Microseconds, as they were put.
    offsets : uint64, shape (n + 1,)
        Payload `i` is ``payload[offsets[i]:offsets[i + 1]]``.
    payload : uint8
        All payloads, one after another.
    recordings : uint64, shape (k, 2)
        Number and first row of each recording.
    keys : list of str, optional
        Names of the messages where an archive has its own.
    """

    source: int | str
    times: U64
    offsets: U64
    payload: U8
    recordings: U64
    keys: list[str] | None = None
    blocks: U64 = field(default_factory=lambda: np.empty((0, 2), np.uint64))

    @property
    def known(self) -> dict[int, int]:
        """How many messages of which blocks these are."""
        return {int(identity): int(count) for identity, count in self.blocks.tolist()}

    def check(self, start: int, stop: int) -> None:
        """Verify rows; messages in memory need none."""

    def check_columns(self, start: int, stop: int) -> None:
        """Verify times and places of payloads of rows, and not the payloads."""


@dataclass(slots=True)
class _Archived(Messages):
    """Messages of an archive of ours, mapped."""

    path: Path = Path()
    checks: U64 = field(default_factory=lambda: np.empty(0, np.uint64))
    verified: npt.NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))

    def check(self, start: int, stop: int) -> None:
        """Verify the pieces of the columns that rows from `start` to `stop` lie in.

        Raises
        ------
        IntegrityError
            If one does not fit its checksum.
        """
        self.check_columns(start, stop)
        self._check(2, self.payload, int(self.offsets[start]), int(self.offsets[stop]))

    def check_columns(self, start: int, stop: int) -> None:
        """Verify times and offsets likewise."""
        self._check(0, self.times, 8 * start, 8 * stop)
        self._check(1, self.offsets, 8 * start, 8 * (stop + 1))
        low, high = int(self.offsets[start]), int(self.offsets[stop])
        if not low <= high <= len(self.payload):
            raise self._damaged("offsets")

    def check_all(self) -> None:
        self.check(0, len(self.times))

    def _check(self, column: int, items: npt.NDArray[Any], start: int, stop: int) -> None:
        content = items.view(np.uint8)
        sizes = [-(-a.nbytes // CHECKED) for a in (self.times, self.offsets, self.payload)]
        base = sum(sizes[:column])
        for piece in range(start // CHECKED, -(-stop // CHECKED)):
            if self.verified[base + piece]:
                continue
            found = content[piece * CHECKED : (piece + 1) * CHECKED]
            if xxhash.xxh3_64_intdigest(found.data) != int(self.checks[base + piece]):
                raise self._damaged(COLUMNS[column])
            self.verified[base + piece] = True

    def _damaged(self, column: str) -> IntegrityError:
        return IntegrityError(
            f"{self.path} is damaged: its {column} do not fit their checksum; restore it from "
            "a copy"
        )


def open_columns(path: Path, archive: zipfile.ZipFile) -> Messages:
    """Map the columns of an archive of ours; errors as `open_archive` has them."""
    check_version(path, archive)
    whole = np.memmap(path, np.uint8, "r")
    times, offsets, payload = (_mapped(whole, archive, path, name) for name in COLUMNS)
    checks = small_member(archive, "checks")
    if len(offsets) != len(times) + 1 or int(offsets[-1]) != len(payload):
        raise IntegrityError(f"{path} is damaged: its columns do not fit; restore it from a copy")
    source = small_member(archive, "source")
    return _Archived(
        source.item(),
        times,
        offsets,
        payload,
        small_member(archive, "recordings"),
        blocks=small_member(archive, "blocks"),
        path=path,
        checks=checks,
        verified=np.zeros(len(checks), np.bool_),
    )


def check_version(path: Path, archive: zipfile.ZipFile) -> None:
    """Refuse an archive of a later version.

    Raises
    ------
    FormatError
        If it is one.
    """
    version = int(small_member(archive, "version"))
    if version > VERSION:
        raise FormatError(
            f"{path} was written by a newer Holdfast (version {version} of archives); install that"
        )


def small_member(archive: zipfile.ZipFile, name: str) -> npt.NDArray[Any]:
    """Return a small array of an archive."""
    found: npt.NDArray[Any] = np.load(io.BytesIO(archive.read(f"{name}.npy")), allow_pickle=False)
    return found


def _mapped(
    whole: npt.NDArray[np.uint8], archive: zipfile.ZipFile, path: Path, name: str
) -> npt.NDArray[Any]:
    info = archive.getinfo(f"{name}.npy")
    local = whole[info.header_offset : info.header_offset + 30].tobytes()
    lengths = int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")
    start = info.header_offset + 30 + lengths
    file = io.BytesIO(whole[start : start + 4096].tobytes())
    np.lib.format.read_magic(file)
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    begin = start + file.tell()
    size = shape[0] * dtype.itemsize
    if begin + size > len(whole) or file.tell() + size != info.file_size:
        raise FormatError(f"{path} was cut short; restore it from a copy")
    found: npt.NDArray[Any] = np.asarray(whole[begin : begin + size]).view(dtype)
    return found


def ends_of(offsets: U64) -> tuple[I64, I64]:
    """Return where payloads begin, and their lengths."""
    signed = offsets.astype(np.int64)
    return signed[:-1], np.diff(signed)
