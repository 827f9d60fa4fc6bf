"""One file or symlink, copied so that its new name is either whole or not there."""

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterator

from holdfast._sync import start_writeback
from holdfast.errors import IntegrityError
from holdfast.integrity._hash import (
    BUFFER_BYTES,
    Digest,
    content_of,
    data_pieces,
    extents,
    hash_data,
    hash_zeros,
    is_small,
    new_digest,
    open_to_read,
)
from holdfast.integrity._tree import Entry

_ATTEMPTS = 3
"""How often a file that changes while it is copied is begun anew."""

_KERNEL_BYTES = 1 << 23
"""Copied at a time inside the kernel; what is hashed after it is still in memory then."""

_NO_KERNEL_COPY = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}
_NO_ATTRIBUTES = {errno.ENOTSUP, errno.ENODATA, errno.EINVAL, errno.EPERM, errno.EACCES}
_BY_DESCRIPTOR = {os.chmod, os.utime} <= os.supports_fd and hasattr(os, "listxattr")


def same(source: os.stat_result, target: os.stat_result) -> bool:
    """Whether a file looks like a finished copy: times are set last, at nanoseconds."""
    return (source.st_size, source.st_mtime_ns) == (target.st_size, target.st_mtime_ns)


def copy_file(entry: Entry, target: str, temporary: str, *, digest: bool) -> bytes | None:
    """Copy a file's bytes, holes, times, permissions and extended attributes.

    Parameters
    ----------
    entry : Entry
        The file; it is not opened through a symlink that took its place.
    target : str
        The new name; what is there is replaced when the copy is complete.
    temporary : str
        An unused name in the same folder.
    digest : bool
        Hash what is read from the source, and let the disk begin to write.

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
        try:
            found, steady = _copied(entry, temporary, digest=digest)
            if steady:
                os.replace(temporary, target)
                return found
        except BaseException as error:
            _discard(temporary)
            if isinstance(error, OSError) and error.filename == temporary:
                raise OSError(error.errno, error.strerror, target) from None
            raise
        _discard(temporary)
    raise IntegrityError(f"{entry.path} changes while it is copied; stop its writer and try again")


def _discard(temporary: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(temporary)


def _copied(entry: Entry, temporary: str, *, digest: bool) -> tuple[bytes | None, bool]:
    """Make the copy, and return its digest and whether the source kept still meanwhile."""
    source = open_to_read(entry.path, follow=False)
    try:
        before = os.fstat(source)
        if not stat.S_ISREG(before.st_mode):
            return None, False
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        copy = os.open(temporary, flags | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            fill = _fill_at_once if is_small(before) else _fill
            found, whole = fill(entry.relative, source, copy, before, digest=digest)
            steady = whole and same(before, os.fstat(source))
            if _BY_DESCRIPTOR:
                _copy_metadata(source, copy, before)
        except OSError as error:
            # The descriptors have no names: a full disk is the copy's, whose name the caller mends.
            raise OSError(error.errno, error.strerror, temporary) from None
        finally:
            os.close(copy)
        if not _BY_DESCRIPTOR:
            shutil.copystat(entry.path, temporary, follow_symlinks=False)
        return found, steady
    finally:
        os.close(source)


def _copy_metadata(source: int, copy: int, status: os.stat_result) -> None:
    """Give a copy attributes, permissions and, last, times."""
    with _without_attributes():
        for name in os.listxattr(source):
            with _without_attributes():
                os.setxattr(copy, name, os.getxattr(source, name))
    os.chmod(copy, stat.S_IMODE(status.st_mode))
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))


@contextlib.contextmanager
def _without_attributes() -> Iterator[None]:
    """Go on where a file system, or this user, has no such attributes, as ``cp`` does."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ATTRIBUTES:
            raise


def _fill_at_once(
    relative: str, source: int, copy: int, status: os.stat_result, *, digest: bool
) -> tuple[bytes | None, bool]:
    content = content_of(source, status.st_size)
    _write(copy, memoryview(content))
    whole = len(content) == status.st_size
    if not digest:
        return None, whole
    state = new_digest(relative)
    state.update(content)
    return state.digest(), whole


def _fill(
    relative: str, source: int, copy: int, status: os.stat_result, *, digest: bool
) -> tuple[bytes | None, bool]:
    """Copy the bytes; return the digest of what was read, and whether it was all there was."""
    size = status.st_size
    state = new_digest(relative) if digest else None
    for is_data, start, stop in extents(source, status):
        end = size if stop is None else stop
        if is_data:
            _copy_extent(source, copy, start, end, state)
        elif state is not None:
            hash_zeros(state, end - start)
    if os.fstat(copy).st_size < size:  # the file ends in a hole
        os.ftruncate(copy, size)
    whole = os.fstat(copy).st_size == size
    if state is None:
        return None, whole
    if size > BUFFER_BYTES:  # smaller ones would lose the disk's own gathering
        start_writeback(copy, 0, size)
    return state.digest(), whole


def _copy_extent(source: int, copy: int, start: int, end: int, state: Digest | None) -> None:
    """Copy a range, inside the kernel where it can, which also shares blocks where those can be."""
    while end - start > BUFFER_BYTES:
        count = _kernel_copy(source, copy, start, min(end - start, _KERNEL_BYTES))
        if not count:
            break  # the file has shrunk, or lies where the kernel gives none (procfs)
        if state is not None:
            hash_data(state, source, start, start + count)
        start += count
    os.lseek(copy, start, os.SEEK_SET)
    for piece in data_pieces(source, start, end):
        if state is not None:
            state.update(piece)
        _write(copy, piece)


def _kernel_copy(source: int, copy: int, start: int, wanted: int) -> int:
    if not hasattr(os, "copy_file_range"):
        return 0
    try:
        return os.copy_file_range(source, copy, wanted, start, start)
    except OSError as error:
        if error.errno not in _NO_KERNEL_COPY:
            raise
        return 0


def _write(copy: int, piece: memoryview) -> None:
    written = 0
    while written < len(piece):
        written += os.write(copy, piece[written:])


def copy_link(entry: Entry, target: str, temporary: str) -> None:
    """Make the same symlink anew, wherever it leads."""
    try:
        os.symlink(os.readlink(entry.path), temporary)
        with contextlib.suppress(OSError):  # not every system gives symlinks times
            shutil.copystat(entry.path, temporary, follow_symlinks=False)
        os.replace(temporary, target)
    except BaseException:
        _discard(temporary)
        raise
