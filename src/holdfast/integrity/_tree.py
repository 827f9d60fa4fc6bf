"""What lies in a folder, found without following symlinks to folders."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from holdfast.errors import InvalidInputError, MissingFileError

Kind = Literal["file", "folder", "link", "other"]

_KINDS: dict[int, Kind] = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing below a folder: its name with ``/``, its path, and its own ``lstat``."""

    relative: str
    path: str
    status: os.stat_result

    @property
    def kind(self) -> Kind:
        """What it is; a symlink is a link wherever it leads."""
        return _KINDS.get(stat.S_IFMT(self.status.st_mode), "other")


def entries(root: Path) -> Iterator[Entry]:
    """Yield everything below `root`, folders before what they hold.

    Raises
    ------
    OSError
        If a folder cannot be listed: what cannot be seen must not be taken for absent.
    """
    pending = [("", os.fspath(root))]
    while pending:
        prefix, folder = pending.pop()
        with os.scandir(folder) as found:
            for item in found:
                relative = prefix + item.name
                try:
                    entry = Entry(relative, item.path, item.stat(follow_symlinks=False))
                except FileNotFoundError:
                    continue  # gone between the listing and the look
                yield entry
                if entry.kind == "folder":
                    pending.append((relative + "/", item.path))


def require_folder(path: Path, what: str) -> Path:
    """Return `path` as a Path, refusing what is not a folder that is there.

    Raises
    ------
    MissingFileError
        If there is nothing.
    InvalidInputError
        If it is no folder.
    """
    path = Path(path)
    if not path.exists():
        raise MissingFileError(f"{what} {path} does not exist; check its name")
    if not path.is_dir():
        raise InvalidInputError(f"{what} {path} is not a folder; pass the folder that holds it")
    return path
