"""Bringing the index up to what is on disk, by looking at as little of it as can be relied on."""

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
from holdfast.store._index._scan import (
    ALWAYS,
    NEVER,
    folders,
    is_folder,
    lies_still,
    signature,
    stamp,
)

_CHUNK = 500
"""How many folders are read before what was read is written, which keeps others waiting."""

_SEEN = "SELECT folder, inode, signature FROM seen"
_TO_LOOK_AT = (
    "SELECT seen.folder, seen.inode, seen.signature, seen.look, runs.state, runs.problem "
    "FROM seen LEFT JOIN runs ON runs.folder = seen.folder WHERE seen.look > 0"
)

_SETTLE = f"UPDATE seen SET look = {NEVER} WHERE folder = ? AND signature = ?"  # noqa: S608 - ours


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
    _look_again(connection, directory)


def _take_in_folders(connection: sqlite3.Connection, directory: Path) -> None:
    # What is known is read before the folders are listed: a run that is noted in between is then
    # in the listing alone, and not taken to be gone.
    known = dict(connection.execute("SELECT folder, inode FROM seen"))
    there = folders(directory)
    gone = known.keys() - there.keys()
    if gone:
        with writing(connection):
            for folder in gone:
                if not is_folder(f"{directory}/{folder}"):  # it may have come back meanwhile
                    forget(connection, folder)
    new = [(folder, inode) for folder, inode in there.items() if known.get(folder) != inode]
    take_in(connection, directory, sorted(new))


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


def _look_again(connection: sqlite3.Connection, directory: Path) -> None:
    """Read those of the folders that may change which have, and let go of those that will not."""
    changed, still = [], []
    for folder, inode, known, look, state, problem in connection.execute(_TO_LOOK_AT).fetchall():
        path = f"{directory}/{folder}"
        if signature(path) != known or (
            look == ALWAYS and _differs(read_entry(directory, folder, inode), look, state)
        ):
            changed.append((folder, inode))
        elif state == "complete" and problem is None and lies_still(path):
            still.append((folder, known))
    take_in(connection, directory, changed)
    while still:
        with writing(connection):
            connection.executemany(
                _SETTLE, [(f, s) for f, s in still[:_CHUNK] if signature(f"{directory}/{f}") == s]
            )
        del still[:_CHUNK]


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
