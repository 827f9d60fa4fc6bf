"""Committing an overlay to its file so that a crash leaves the state before or after, and recovery.

The order of steps and what each leaves stands in ``design/007-checkpoint.md``.
"""

import contextlib
import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import xxhash

from holdfast._process import boot_id
from holdfast._sync import fsync_path
from holdfast.hdf5._overlay import PAGE, Overlay, write_at

CONTROL: Final = "control"
REDO: Final = "redo"
SPARE: Final = "redo.new"

_REDO = struct.Struct("<8sQQQ")  # magic, size of the file after it, number of pages, check
_REDO_MAGIC = b"HFREDO01"
_PAGE = struct.Struct("<QI4x")  # page number, length
_CONTROL = struct.Struct("<Q36s")  # sequence number, boot id


class Committer:
    """Commits to one file that exists.

    Parameters
    ----------
    descriptor : int
        The file, open for reading and writing.
    folder : Path
        The folder for ``control`` and ``redo``.
    check : callable
        Raises if the folder is not this writer's any more, so that nothing may be done by path.
    """

    def __init__(self, descriptor: int, folder: Path, check: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._folder, self._check = folder, check
        self._control = os.open(folder / CONTROL, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            # Random, so that a reader never takes this writer's number for that of one before.
            self._publish(2 * int.from_bytes(os.urandom(6), "little"))
        except OSError:
            self.close()
            raise

    def commit(self, overlay: Overlay) -> None:
        """Make what HDF5 has flushed into an overlay the state of the file.

        Raises
        ------
        OSError
            If the disk is full or fails. The overlay must then be thrown away; if the number is
            odd, `finish_commit` has to come before the file is opened again.
        """
        overlay.drain()
        if os.fstat(self._descriptor).st_size < overlay.size:
            os.ftruncate(self._descriptor, overlay.size)
        os.fsync(self._descriptor)
        if overlay.patches:
            self._check()  # the writes above may have taken long
            write_redo(self._folder, overlay.size, overlay.patches)
            self._publish(self._sequence + 1)
            apply_patches(self._descriptor, overlay.patches)
            os.fsync(self._descriptor)
            self._publish(self._sequence + 1)
            self._check()  # else it could be another writer's; where ours was moved it does no harm
            os.unlink(self._folder / REDO)
        overlay.settle()

    def _publish(self, sequence: int) -> None:
        os.pwrite(self._control, _CONTROL.pack(sequence, (boot_id() or "").encode()), 0)
        self._sequence = sequence

    def close(self) -> None:
        """Let go of the control file."""
        if self._control >= 0:
            descriptor, self._control = self._control, -1
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class FileState:
    """What tells one state of an HDF5 file from another, as its writer publishes it.

    Attributes
    ----------
    sequence : int or None
        The number in ``control``; None if there is none, or it is of another boot.
    redo, main : tuple of int
        Identity, length and time of the redo record and of the file; the file's only where there is
        no number, since a tail may grow under a number that stays.
    """

    sequence: int | None
    redo: tuple[int, ...]
    main: tuple[int, ...]

    @property
    def needs_redo(self) -> bool:
        """Whether the file may be half-patched, so that a redo record is to be laid over it."""
        return self.sequence is None or self.sequence % 2 == 1


def file_state(path: Path, folder: Path) -> FileState:
    """Look at the state of a file and its journal's folder."""
    sequence = _read_sequence(folder)
    main = _stamp(path) if sequence is None else ()
    return FileState(sequence, _stamp(folder / REDO), main)


def _read_sequence(folder: Path) -> int | None:
    try:
        content = (folder / CONTROL).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if len(content) < _CONTROL.size:
        return None
    sequence, boot = _CONTROL.unpack_from(content)
    of_this_boot = boot.rstrip(b"\0").decode("ascii", "replace") == (boot_id() or "")
    return int(sequence) if of_this_boot else None


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns


def write_redo(folder: Path, size: int, patches: Mapping[int, bytearray]) -> None:
    """Write the redo record, whole or not at all, and bring it to the disk.

    Raises
    ------
    OSError
        If the disk is full or fails.
    """
    body = b"".join(
        _PAGE.pack(number, len(page)) + bytes(page) for number, page in sorted(patches.items())
    )
    check = xxhash.xxh3_64_intdigest(_REDO.pack(_REDO_MAGIC, size, len(patches), 0) + body)
    spare = folder / SPARE
    descriptor = os.open(spare, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        write_at(descriptor, _REDO.pack(_REDO_MAGIC, size, len(patches), check) + body, 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(spare, folder / REDO)
    _settle_redo(folder)


def _settle_redo(folder: Path) -> None:
    """Bring a redo record's name to the disk, and its folder's, which may be new.

    Before the file is patched: a power loss could leave half a patch and no record.
    """
    fsync_path(folder)
    fsync_path(folder.parent)


def read_redo(folder: Path) -> tuple[int, dict[int, bytearray]] | None:
    """Return the size and the pages of a redo record; None if there is none that is whole."""
    try:
        content = (folder / REDO).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if len(content) < _REDO.size:
        return None
    magic, size, count, check = _REDO.unpack_from(content)
    body = content[_REDO.size :]
    if magic != _REDO_MAGIC:
        return None
    if check != xxhash.xxh3_64_intdigest(_REDO.pack(magic, size, count, 0) + body):
        return None
    patches: dict[int, bytearray] = {}
    at = 0
    for _ in range(count):
        number, length = _PAGE.unpack_from(body, at)
        at += _PAGE.size
        patches[number] = bytearray(body[at : at + length])
        at += length
    return size, patches


def apply_patches(descriptor: int, patches: Mapping[int, bytearray]) -> None:
    """Write pages to their places."""
    for number, page in sorted(patches.items()):
        write_at(descriptor, page, number * PAGE)


def finish_commit(path: Path, folder: Path) -> bool:
    """Complete a commit that a crash cut short; only the one writer may.

    Returns
    -------
    bool
        Whether there was one.

    Raises
    ------
    OSError
        If the disk fails; call again.
    """
    found = read_redo(folder)
    if found is not None and path.exists():
        _, patches = found
        _settle_redo(folder)  # its writer may have been killed before it did
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            apply_patches(descriptor, patches)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    for name in (REDO, SPARE, CONTROL):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(folder / name)
    return found is not None
