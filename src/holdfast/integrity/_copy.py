"""One file or symlink, copied so that its new name is either whole or not there."""

import contextlib
import errno
import os
import shutil
from pathlib import Path

from holdfast._atomic import temporary_beside
from holdfast.errors import IntegrityError
from holdfast.integrity._hash import (
    data_pieces,
    extents,
    hole_pieces,
    new_digest,
    open_to_read,
)
from holdfast.integrity._tree import Entry

_ATTEMPTS = 3
"""How often a file that changes while it is copied is begun anew."""

_KERNEL_BYTES = 1 << 30
_NO_KERNEL_COPY = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}


def same(source: os.stat_result, target: os.stat_result) -> bool:
    """Whether a file looks like a finished copy: times are set last, at nanoseconds."""
    return (source.st_size, source.st_mtime_ns) == (target.st_size, target.st_mtime_ns)


def copy_file(entry: Entry, target: Path, *, digest: bool) -> bytes | None:
    """Copy a file's bytes, holes, times, permissions and extended attributes.

    Parameters
    ----------
    entry : Entry
        The file; it is not opened through a symlink that took its place.
    target : Path
        The new name; what is there is replaced when the copy is complete.
    digest : bool
        Hash what is read from the source.

    Returns
    -------
    bytes or None
        The digest of the bytes that were read, with the relative name.

    Raises
    ------
    IntegrityError
        If the source keeps changing.
    OSError
        If it cannot be read or the copy not be written; `target` is then as it was.
    """
    for _ in range(_ATTEMPTS):
        temporary = temporary_beside(target)
        try:
            found, steady = _copied(entry, temporary, digest=digest)
            if steady:
                shutil.copystat(entry.path, temporary, follow_symlinks=False)
                os.replace(temporary, target)
                return found
        except OSError as error:
            if error.filename == str(temporary):
                raise OSError(error.errno, error.strerror, str(target)) from None
            raise
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()
    raise IntegrityError(f"{entry.path} changes while it is copied; stop its writer and try again")


def _copied(entry: Entry, temporary: Path, *, digest: bool) -> tuple[bytes | None, bool]:
    source = open_to_read(entry.path)
    try:
        before = os.fstat(source)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        copy = os.open(temporary, flags | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            found = _fill(entry.relative, source, copy, digest=digest)
            whole = os.fstat(copy).st_size == before.st_size
        except OSError as error:
            # The descriptors have no names: a full disk is the copy's, whose name the caller mends.
            raise OSError(error.errno, error.strerror, str(temporary)) from None
        finally:
            os.close(copy)
        return found, whole and same(before, os.fstat(source))
    finally:
        os.close(source)


def _fill(relative: str, source: int, copy: int, *, digest: bool) -> bytes | None:
    state = new_digest(relative) if digest else None
    size = 0
    for is_data, start, stop in extents(source):
        end = os.fstat(source).st_size if stop is None else stop
        if state is None:
            if is_data:
                _copy_extent(source, copy, start, end)
        else:
            position = start
            for piece in data_pieces(source, start, end) if is_data else hole_pieces(end - start):
                state.update(piece)
                if is_data:
                    position += _write(copy, piece, position)
        size = max(size, end)
    os.ftruncate(copy, size)  # the file may end in a hole
    return None if state is None else state.digest()


def _copy_extent(source: int, copy: int, start: int, end: int) -> None:
    """Copy a range inside the kernel where it can, which also shares blocks where those can be."""
    while hasattr(os, "copy_file_range") and start < end:
        try:
            wanted = min(end - start, _KERNEL_BYTES)
            count = os.copy_file_range(source, copy, wanted, start, start)
        except OSError as error:
            if error.errno not in _NO_KERNEL_COPY:
                raise
            break
        if not count:
            break  # the file has shrunk, or lies where the kernel gives none (procfs)
        start += count
    for piece in data_pieces(source, start, end):
        start += _write(copy, piece, start)


def _write(copy: int, piece: memoryview, start: int) -> int:
    os.lseek(copy, start, os.SEEK_SET)
    written = 0
    while written < len(piece):
        written += os.write(copy, piece[written:])
    return written


def copy_link(entry: Entry, target: Path) -> None:
    """Make the same symlink anew, wherever it leads."""
    temporary = temporary_beside(target)
    try:
        os.symlink(os.readlink(entry.path), temporary)
        with contextlib.suppress(OSError):  # not every system gives symlinks times
            shutil.copystat(entry.path, temporary, follow_symlinks=False)
        os.replace(temporary, target)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
