"""Files and folders that are either whole or not there.

Everything is written under a temporary name beside its target and renamed into place; a kill at any
instant leaves the old content or the new, never a mixture. Temporary names start with
`TEMPORARY_PREFIX`; one that a killed process left behind holds nothing that was ever accepted.
"""

import contextlib
import errno
import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from holdfast._names import TEMPORARY_PREFIX
from holdfast._sync import Durability, fsync_path
from holdfast.errors import AlreadyExistsError

_counter = itertools.count()


def temporary_beside(path: Path) -> Path:
    """Return an unused name in the folder of `path`, told apart by process and by a random part."""
    return path.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{next(_counter)}-{os.urandom(4).hex()}")


@contextmanager
def replacing(path: Path, durability: Durability) -> Iterator[BinaryIO]:
    """Open a file for writing that takes the place of `path` when the block ends well.

    Folders on the way are made. If the block raises, or the disk is full, `path` is as it was.

    Yields
    ------
    BinaryIO
        The temporary file, at its beginning.
    """
    temporary = temporary_beside(path)
    try:
        with _naming(path, temporary):
            with _open_new(temporary, durability) as file:
                yield file
                file.flush()
                durability.before_rename(file.fileno(), path)
            os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    durability.renamed(path)


def replace_bytes(path: Path, content: bytes, durability: Durability) -> None:
    """Give `path` a new content, whole or not at all."""
    with replacing(path, durability) as file:
        file.write(content)


def create_bytes(path: Path, content: bytes, durability: Durability) -> None:
    """Create `path` with its content; of several processes that try, one succeeds.

    Raises
    ------
    AlreadyExistsError
        If `path` exists. It never holds part of `content`.
    """
    temporary = temporary_beside(path)
    try:
        with _naming(path, temporary):
            with _open_new(temporary, durability) as file:
                file.write(content)
                file.flush()
                durability.before_rename(file.fileno(), path)
            os.link(temporary, path)
    except FileExistsError:
        raise AlreadyExistsError(f"{path} exists already; choose another name") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    durability.renamed(path)


def make_folder(path: Path, durability: Durability) -> None:
    """Make a folder and those above it that are missing, each brought to disk."""
    missing = []
    folder = path
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for folder in reversed(missing):
        try:
            folder.mkdir(exist_ok=True)
        except FileExistsError:
            # A plain FileExistsError would read as if the thing to be made were there already.
            raise NotADirectoryError(
                errno.ENOTDIR,
                "this is a file, not a folder; move it away or choose another name",
                str(folder),
            ) from None
        durability.renamed(folder)


@contextmanager
def creating_folder(path: Path, durability: Durability) -> Iterator[Path]:
    """Fill a temporary folder that becomes `path`, whole, when the block ends well.

    The block writes files straight into it. Of several processes that do so at once, one succeeds.

    Yields
    ------
    Path
        The temporary folder, beside `path`.

    Raises
    ------
    AlreadyExistsError
        If `path` exists before the block or when it ends.
    """
    if path.exists() or path.is_symlink():
        raise AlreadyExistsError(f"{path} exists already; choose another name")
    temporary = temporary_beside(path)
    make_folder(path.parent, durability)
    with _naming(path, temporary):
        temporary.mkdir()
    try:
        yield temporary
        if durability.mode == "always":
            for entry in [*temporary.rglob("*"), temporary]:
                fsync_path(entry)
        try:
            os.rename(temporary, path)
        except OSError:
            if path.exists():
                raise AlreadyExistsError(f"{path} exists already; choose another name") from None
            raise
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    durability.renamed(path)
    if durability.mode == "background":
        for entry in path.rglob("*"):
            durability.renamed(entry)


def _open_new(temporary: Path, durability: Durability) -> BinaryIO:
    try:
        return open(temporary, "xb")
    except (FileNotFoundError, NotADirectoryError):
        make_folder(temporary.parent, durability)
        return open(temporary, "xb")


@contextmanager
def _naming(path: Path, temporary: Path) -> Iterator[None]:
    """Let errors about the temporary name tell the one that the caller knows."""
    try:
        yield
    except OSError as error:
        if error.filename is None or os.fspath(error.filename) != str(temporary):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from None
