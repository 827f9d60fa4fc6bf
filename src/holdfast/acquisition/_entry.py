"""One message as ataraxis writes it, an ``.npy``: alone, or as a member of an archive."""

import json
import re
import zipfile
from pathlib import Path

import numpy as np

from holdfast.acquisition._columns import Messages
from holdfast.acquisition._gather import U64
from holdfast.errors import FormatError

_SHAPE = re.compile(rb"'shape': \((\d+),\)")
_KEY = re.compile(r"\A(\d{3,5})_(\d{20})")


def read_members(path: Path, archive: zipfile.ZipFile, default: int | str) -> Messages:
    """Read an archive with one member for each message, as ataraxis writes them."""
    keys, parts, times = [], [], []
    source: int | None = None
    check_names(path, archive)
    for info in archive.infolist():
        key = info.filename.removesuffix(".npy")
        content = npy_bytes(archive.read(info), f"{path}, {info.filename}")
        keys.append(key)
        times.append(int.from_bytes(content[1:9], "little"))
        parts.append(content[9:])
        source = int(content[0]) if source is None else source
    recordings, blocks = commented(archive.comment)
    by_time = len(recordings) < 2  # else they stand by recording already
    order = sorted(range(len(times)), key=times.__getitem__) if by_time else range(len(times))
    ends = np.cumsum([0, *(len(parts[row]) for row in order)], dtype=np.uint64)
    return Messages(
        default if source is None else source,
        np.array([times[row] for row in order], np.uint64),
        ends,
        np.frombuffer(b"".join(parts[row] for row in order), np.uint8),
        recordings,
        [keys[row] for row in order],
        blocks,
    )


def check_names(path: Path, archive: zipfile.ZipFile) -> None:
    """Refuse an archive whose members are no messages.

    Raises
    ------
    FormatError
        If one is none.
    """
    for name in archive.namelist():
        if _KEY.match(name) is None:
            raise FormatError(f"{path} is no archive of messages: it holds {name!r}")


def commented(comment: bytes) -> tuple[U64, U64]:
    """Return recordings and blocks that an archive of ours with a member a message tells."""
    try:
        told = json.loads(comment)["holdfast"] if comment else {}
    except (ValueError, KeyError, TypeError):
        told = {}  # a comment that is none of ours
    recordings = np.array(told.get("recordings", [[0, 0]]), np.uint64).reshape(-1, 2)
    return recordings, np.array(told.get("blocks", []), np.uint64).reshape(-1, 2)


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
    header = content[10:start]
    shape = _SHAPE.search(header)
    if b"'|u1'" not in header or shape is None:
        raise FormatError(f"{where} is no entry of a message log, or was cut short")
    if not 9 <= int(shape[1]) == len(content) - start:
        raise FormatError(f"{where} is no entry of a message log, or was cut short")
    return content[start:]
