"""Making a whole index from the directories, beside its place, and putting it there."""

import contextlib
import os
import sqlite3
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from holdfast._atomic import temporary_beside
from holdfast._process import boot_id
from holdfast.query import encoded, register
from holdfast.store._index import _schema
from holdfast.store._index._entry import read_entry
from holdfast.store._index._rows import Bulk
from holdfast.store._index._scan import folders, stamp

BUSY_SECONDS = 30.0
"""How long to wait for another process that writes, before giving up."""

_CHUNK = 2000
_BESIDE = ("-wal", "-shm", "-journal")


def fill(connection: sqlite3.Connection, directory: Path) -> None:
    """Make the tables in an empty database, and write into them what a store holds."""
    _schema.create(connection)
    connection.execute("BEGIN")
    # Before the folders are listed: what comes from now on changes it.
    text, trusted = stamp(directory)
    remember(connection, directory, text if trusted else "")
    bulk = Bulk(connection)
    names = iter(sorted(folders(directory).items()))
    while chunk := list(islice(names, _CHUNK)):
        bulk.put(read_entry(directory, name, inode) for name, inode in chunk)
    connection.execute("COMMIT")
    _schema.create_indexes(connection)


def fill_from(connection: sqlite3.Connection, runs: Iterable[Path]) -> None:
    """Make the tables in an empty database, and write into them runs of any folders."""
    _schema.create(connection)
    remember(connection, Path(), "")
    Bulk(connection).put(read_entry("", str(path)) for path in runs)
    _schema.create_indexes(connection)


def remember(connection: sqlite3.Connection, directory: Path, text: str) -> None:
    """Write down which folder was listed, and its stamp then."""
    values = {"directory": encoded(str(directory)), "stamp": text, "boot": boot_id()}
    connection.executemany("INSERT OR REPLACE INTO store VALUES (?, ?)", values.items())


def build(path: Path, directory: Path) -> None:
    """Make the index of a store at `path`, in the place of what is there.

    The caller holds the lock of the place. Whoever has the old file open keeps it, and finds out by
    its inode.
    """
    temporary = temporary_beside(path)
    try:
        with contextlib.closing(connect(temporary, "rwc")) as connection:
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            fill(connection, directory)
            # Kept in the file. Where there is no shared memory for its log, as on some file
            # systems, SQLite stays with a journal, whose file is then kept rather than made anew.
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            if mode != "wal":
                connection.execute("PRAGMA journal_mode = TRUNCATE")
        for ending in _BESIDE:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{temporary}{ending}")
        remove(path)
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def remove(path: Path) -> None:
    """Remove a database and the files beside it.

    The database goes first: nobody opens a missing one, so that its log is nobody's when it goes.
    """
    for ending in ("", *_BESIDE):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{path}{ending}")


def connect(
    place: Path | str, mode: str = "rw", timeout: float = BUSY_SECONDS
) -> sqlite3.Connection:
    """Open a database: a file (``ro``, ``rw``, or ``rwc``, which makes it), or ``":memory:"``."""
    uri = f"{place.absolute().as_uri()}?mode={mode}" if isinstance(place, Path) else place
    connection = sqlite3.connect(
        uri, timeout, isolation_level=None, check_same_thread=False, uri=True
    )
    register(connection)
    return connection


def close_beside_log(connection: sqlite3.Connection) -> None:
    """Close a database, and leave the files of its log beside it, emptied.

    The last one that closes would otherwise remove them: the folder then bears another time, as if
    a run had come or gone, and the next process lists a hundred thousand folders for nothing. One
    that can only read removes nothing, so such a one closes last.
    """
    with contextlib.ExitStack() as afterwards, contextlib.closing(connection):
        (_, _, path), *_ = connection.execute("PRAGMA database_list").fetchall()
        last = connect(Path(path) if path else ":memory:", "ro", 0)
        afterwards.callback(last.close)
        last.execute("PRAGMA user_version").fetchall()  # opens the log
        connection.execute("PRAGMA busy_timeout = 0")  # whoever still reads empties it later
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
