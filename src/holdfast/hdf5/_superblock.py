"""What the first bytes of an HDF5 file say: whether it is one, and where it ends.

Superblocks are described in the HDF5 File Format Specification, section II.A.
"""

import os
import struct
from pathlib import Path

from holdfast.errors import FormatError

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_FIRST_USERBLOCK = 512


def committed_size(descriptor: int, path: Path) -> int:
    """Return the length of an HDF5 file that its superblock tells.

    A crash may have left bytes beyond it, which belong to nothing.

    Raises
    ------
    FormatError
        If the file is not HDF5.
    """
    start = os.pread(descriptor, 96, 0)
    physical = os.fstat(descriptor).st_size
    if not start.startswith(_SIGNATURE):
        if _has_userblock(descriptor, physical):
            return physical
        raise FormatError(
            f"{path} is not an HDF5 file; choose another name, or move it out of the way"
        )
    if len(start) < 48:
        raise FormatError(f"{path} ends within its first bytes; restore it from a copy")
    version = start[8]
    wide = start[13] == 8 if version < 2 else start[9] == 8
    if not wide:
        return physical
    at = {0: 40, 1: 44}.get(version, 28)
    end = int.from_bytes(start[at : at + struct.calcsize("<Q")], "little")
    return min(end, physical)


def _has_userblock(descriptor: int, size: int) -> bool:
    at = _FIRST_USERBLOCK
    while at < size:
        if os.pread(descriptor, 8, at) == _SIGNATURE:
            return True
        at *= 2
    return False
