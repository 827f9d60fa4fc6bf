"""What of a process is open: closed when it exits, refused to its forked children."""

import atexit
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from holdfast._logging import log
from holdfast.errors import StateError


class Closable(Protocol):
    """An append file, as seen from here."""

    path: Path

    def close(self) -> None:
        """Move all rows into the file."""

    def forked(self) -> None:
        """Refuse appending, in a child."""


# Strong references: a file that the program forgets is still to be closed at its exit.
_open_files: list[Closable] = []


def closed_at_exit(file: Closable) -> None:
    """Close a file when the process exits, unless it has been closed before."""
    _open_files.append(file)


def no_longer_open(file: Closable) -> None:
    """Forget a file that has been closed."""
    if file in _open_files:
        _open_files.remove(file)


@contextlib.contextmanager
def closed_on_error(path: Path) -> Iterator[None]:
    """Close what an error or an interrupt within leaves open of a path.

    Nobody else could: the interrupt may have come before its opener had it in hand.
    """
    before = _open_files.copy()
    try:
        yield
    except BaseException:
        for file in [f for f in _open_files if f.path == path and f not in before]:
            with contextlib.suppress(OSError):
                file.close()
        raise


def _close_all() -> None:
    """Close what the program left open, before the interpreter goes down."""
    for file in _open_files.copy():  # closing takes it out
        try:
            file.close()
        except StateError as error:  # its folder was moved; the error says which rows are where
            log.warning("%s", error)
        except Exception as error:  # noqa: BLE001 - the other files are still to be closed
            log.warning("%s: %s; its rows are kept in the journal", file.path, error)


def _after_fork() -> None:
    for file in _open_files:
        file.forked()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
