"""Bringing the index up to what is on disk, by looking at as little of it as can be relied on."""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from holdfast._process import boot_id
from holdfast.query import encoded
from holdfast.store._index._build import remember
from holdfast.store._index._entry import Entry, read_entry
from holdfast.store._index._rows import forget, put
from holdfast.store._index._scan import ALWAYS, folders, lies_still, signature, stamp

_CHUNK = 500
"""How many folders are read before what was read is written, which keeps others waiting."""

_SEEN = "SELECT folder, inode, signature FROM seen"
_TO_LOOK_AT = (
    "SELECT seen.folder, seen.inode, seen.signature, seen.look, runs.state "
    "FROM seen LEFT JOIN runs ON runs.folder = seen.folder WHERE seen.look > 0"
)


def refresh(connection: sqlite3.Connection, directory: Path, *, full: bool = False) -> None:
    """Take in folders that came, went or were replaced, and runs that may have changed.

    Parameters
    ----------
    connection : Connection
        To the index.
    directory : Path
        The store.
    full : bool
        Look at the files of every run, whatever was known of it.
    """
    known = dict(connection.execute("SELECT name, value FROM store"))
    text, trusted = stamp(directory)
    moved = known.get("directory") != encoded(str(directory))
    if not trusted or moved or known.get("stamp") != text:
        _take_in_folders(connection, directory)
        with writing(connection):
            remember(connection, directory, text if trusted else "")
    # A power loss may have taken back what was read before it.
    if full or known.get("boot") != boot_id():
        take_in(connection, directory, _changed(connection, directory))
        with writing(connection):
            remember(connection, directory, text if trusted else "")
    take_in(connection, directory, _due(connection, directory))


def _take_in_folders(connection: sqlite3.Connection, directory: Path) -> None:
    # What is known is read before the folders are listed: a run that is noted in between is then
    # in the listing alone, and not taken to be gone.
    known = dict(connection.execute("SELECT folder, inode FROM seen"))
    there = folders(directory)
    gone = known.keys() - there.keys()
    if gone:
        with writing(connection):
            for folder in gone:
                if not os.path.lexists(directory / folder):  # it may have come back meanwhile
                    forget(connection, folder)
    take_in(connection, directory, sorted(there.items() - known.items()))


def take_in(
    connection: sqlite3.Connection,
    directory: Path,
    changed: Iterable[tuple[str, int | None]],
    *,
    noted: bool = False,
) -> None:
    """Read folders, and write what they say."""
    remaining = iter(list(changed))
    while chunk := list(islice(remaining, _CHUNK)):
        entries = [read_entry(directory, name, inode, noted=noted) for name, inode in chunk]
        with writing(connection):
            for entry in entries:
                put(connection, _current(entry, directory, noted=noted))


def _current(entry: Entry, directory: Path, *, noted: bool) -> Entry:
    """Return an entry as it is now that nobody else can write: an old one must not replace a newer.

    Whoever changes the run from now on writes after us.
    """
    if signature(f"{directory}/{entry.folder}") == entry.signature:
        return entry
    return read_entry(directory, entry.folder, entry.inode, noted=noted)


def _changed(connection: sqlite3.Connection, directory: Path) -> Iterator[tuple[str, int | None]]:
    """Yield the folders whose files are not those that were read."""
    for folder, inode, known in connection.execute(_SEEN).fetchall():
        if signature(f"{directory}/{folder}") != known:
            yield folder, inode


def stale(directory: Path, found: Iterable[tuple[str, str]]) -> list[str]:
    """Return the folders, of some with their signatures, whose files have changed."""
    return [folder for folder, known in found if signature(f"{directory}/{folder}") != known]


def _due(connection: sqlite3.Connection, directory: Path) -> Iterator[tuple[str, int | None]]:
    """Yield, of the folders that have to be looked at, those of which something else is known."""
    for folder, inode, known, look, state in connection.execute(_TO_LOOK_AT).fetchall():
        path = f"{directory}/{folder}"
        if (
            signature(path) != known
            or (state == "complete" and lies_still(path))
            or (look == ALWAYS and _differs(read_entry(directory, folder, inode), look, state))
        ):
            yield folder, inode


def _differs(entry: Entry, look: int, state: str) -> bool:
    return (entry.look, entry.fields.get("state")) != (look, state)


@contextmanager
def writing(connection: sqlite3.Connection) -> Iterator[None]:
    """Make changes together; other processes wait for the end of them."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
