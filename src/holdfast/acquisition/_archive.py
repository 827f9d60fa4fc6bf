"""Archives in a folder: their names, and opening them."""

import errno
import os
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError

from holdfast.acquisition._columns import (
    COLUMNS,
    Messages,
    check_version,
    open_columns,
    small_member,
)
from holdfast.acquisition._entry import check_names, commented, read_members
from holdfast.acquisition._input import ARCHIVE
from holdfast.errors import FormatError, IntegrityError, MissingFileError

_MEMBERS = frozenset(["version.npy", *(f"{name}.npy" for name in COLUMNS)])
_OPEN = 16


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
    with _opened(path) as archive:
        if set(archive.namelist()) >= _MEMBERS:
            return open_columns(path, archive)
        named = archived_source(path.name)
        return read_members(path, archive, 0 if named is None else named)


def known_blocks(path: Path) -> tuple[dict[int, int], bool]:
    """Return how many messages of which blocks an archive holds, and whether it has members.

    Errors are those of `open_archive`.
    """
    with _opened(path) as archive:
        columns = set(archive.namelist()) >= _MEMBERS
        if columns:
            check_version(path, archive)
            blocks = small_member(archive, "blocks")
        else:
            check_names(path, archive)
            blocks = commented(archive.comment)[1]
        return {int(identity): int(count) for identity, count in blocks.tolist()}, not columns


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    if path.is_fifo():  # nobody may ever write to it
        raise FormatError(f"{path} is no archive of messages, but a named pipe; delete it")
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except FileNotFoundError:
        raise MissingFileError(f"there is no archive {path}; assemble its folder first") from None
    except zipfile.BadZipFile as error:
        if "CRC" in str(error):
            raise IntegrityError(f"{path} is damaged: {error}; restore it from a copy") from None
        raise FormatError(
            f"{path} is no archive of messages, or was cut short ({error}); restore it from a copy"
        ) from None
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EISDIR):  # a place before its beginning
            raise
        raise FormatError(f"{path} is no archive of messages ({error.strerror})") from None
    except (ValueError, KeyError, EOFError, NotImplementedError, TokenError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{path} is no archive of messages ({error})") from None


class OpenArchives:
    """Archives of which a few are open at a time: there may be more than files may be open."""

    def __init__(self) -> None:
        self._open: OrderedDict[Path, Messages] = OrderedDict()

    def get(self, path: Path) -> Messages:
        """Return an archive, opened now or before."""
        if path not in self._open:
            if len(self._open) >= _OPEN:
                self._open.popitem(last=False)
            self._open[path] = open_archive(path)
        self._open.move_to_end(path)
        return self._open[path]


def fsync_file(path: Path) -> None:
    """Bring a file to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
