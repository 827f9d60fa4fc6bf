"""An archive as it is read: columns that are mapped and checked as far as they are touched."""

import io
import json
import os
import re
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from holdfast.acquisition._gather import I64, U8, U64
from holdfast.acquisition._input import ARCHIVE
from holdfast.acquisition._npz import CHECKED
from holdfast.errors import FormatError, IntegrityError, MissingFileError

VERSION = 1
COLUMNS = ("timestamps", "offsets", "payload")
_KEY = re.compile(r"\A(\d{3,5})_(\d{20})")


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

    def check(self, start: int, stop: int) -> None:
        """Verify rows; messages in memory need none."""


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
        self._check(0, self.times, 8 * start, 8 * stop)
        self._check(1, self.offsets, 8 * start, 8 * (stop + 1))
        low, high = int(self.offsets[start]), int(self.offsets[stop])
        if not low <= high <= len(self.payload):
            raise self._damaged("offsets")
        self._check(2, self.payload, low, high)

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


def archive_path(folder: Path, source: int | str) -> Path:
    """Return where the archive of a source stands."""
    return folder / f"{source}{ARCHIVE}"


def archived_source(name: str) -> int | str | None:
    """Return the source that a file name tells, None if it names no archive."""
    stem = name.removesuffix(ARCHIVE)
    if stem == name or not stem or name.startswith("."):
        return None
    return int(stem) if stem.isascii() and stem.isdecimal() else stem


def open_archive(path: Path) -> Messages:
    """Open an archive: ours, or one with a member for each message.

    Raises
    ------
    MissingFileError
        If there is no such file.
    FormatError
        If it is no archive, or cut short.
    IntegrityError
        If bits of it are wrong.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            if names >= {"version.npy", *(f"{name}.npy" for name in COLUMNS)}:
                return _open_columns(path, archive)
            return _read_members(path, archive)
    except FileNotFoundError:
        raise MissingFileError(f"there is no archive {path}; assemble its folder first") from None
    except zipfile.BadZipFile as error:
        if "CRC" in str(error):
            raise IntegrityError(f"{path} is damaged: {error}; restore it from a copy") from None
        raise FormatError(
            f"{path} is no archive of messages, or was cut short ({error}); restore it from a copy"
        ) from None
    except (ValueError, KeyError, EOFError, NotImplementedError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{path} is no archive of messages ({error})") from None


def _open_columns(path: Path, archive: zipfile.ZipFile) -> Messages:
    version = int(_small(archive, "version"))
    if version > VERSION:
        raise FormatError(
            f"{path} was written by a newer Holdfast (version {version} of archives); install that"
        )
    whole = np.memmap(path, np.uint8, "r")
    times, offsets, payload = (_mapped(whole, archive, path, name) for name in COLUMNS)
    checks = _small(archive, "checks")
    if len(offsets) != len(times) + 1 or int(offsets[-1]) != len(payload):
        raise IntegrityError(f"{path} is damaged: its columns do not fit; restore it from a copy")
    source = _small(archive, "source")
    return _Archived(
        source.item(),
        times,
        offsets,
        payload,
        _small(archive, "recordings"),
        blocks=_small(archive, "blocks"),
        path=path,
        checks=checks,
        verified=np.zeros(len(checks), np.bool_),
    )


def _small(archive: zipfile.ZipFile, name: str) -> npt.NDArray[Any]:
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


def _read_members(path: Path, archive: zipfile.ZipFile) -> Messages:
    """Read an archive with one member for each message, as ataraxis writes them."""
    keys, parts, times = [], [], []
    source: int | None = None
    for info in archive.infolist():
        key = info.filename.removesuffix(".npy")
        named = _KEY.match(key)
        if named is None:
            raise FormatError(f"{path} is no archive of messages: it holds {info.filename!r}")
        content = npy_bytes(archive.read(info), f"{path}, {info.filename}")
        keys.append(key)
        times.append(int.from_bytes(content[1:9], "little"))
        parts.append(content[9:])
        source = int(content[0]) if source is None else source
    recordings, blocks = _commented(archive.comment)
    by_time = len(recordings) < 2  # else they stand by recording already
    order = sorted(range(len(times)), key=times.__getitem__) if by_time else range(len(times))
    ends = np.cumsum([0, *(len(parts[row]) for row in order)], dtype=np.uint64)
    return Messages(
        _of_name(path) if source is None else source,
        np.array([times[row] for row in order], np.uint64),
        ends,
        np.frombuffer(b"".join(parts[row] for row in order), np.uint8),
        recordings,
        [keys[row] for row in order],
        blocks,
    )


def _commented(comment: bytes) -> tuple[U64, U64]:
    """Return recordings and blocks that an archive of ours with a member a message tells."""
    try:
        told = json.loads(comment)["holdfast"] if comment else {}
    except (ValueError, KeyError, TypeError):
        told = {}  # a comment that is none of ours
    recordings = np.array(told.get("recordings", [[0, 0]]), np.uint64).reshape(-1, 2)
    return recordings, np.array(told.get("blocks", []), np.uint64).reshape(-1, 2)


def _of_name(path: Path) -> int | str:
    found = archived_source(path.name)
    return 0 if found is None else found


def npy_bytes(content: bytes, where: str) -> bytes:
    """Return the bytes of a one-dimensional ``uint8`` array in ``.npy`` form, 9 at least.

    Raises
    ------
    FormatError
        If it is something else.
    """
    if content[:8] != b"\x93NUMPY\x01\x00":
        raise FormatError(f"{where} is no entry of a message log")
    start = 10 + int.from_bytes(content[8:10], "little")
    if b"'|u1'" not in content[10:start] or len(content) < start + 9:
        raise FormatError(f"{where} is no entry of a message log, or was cut short")
    return content[start:]


def ends_of(offsets: U64) -> tuple[I64, I64]:
    """Return where payloads begin, and their lengths."""
    signed = offsets.astype(np.int64)
    return signed[:-1], np.diff(signed)


def fsync_file(path: Path) -> None:
    """Bring a file to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
