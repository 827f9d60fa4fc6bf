"""Rows of the index: entries written, one by one or in bulk, and taken out again."""

import sqlite3
from collections.abc import Iterable

from holdfast.query import encoded
from holdfast.store._index._entry import Entry, as_json, flat
from holdfast.store._index._scan import ALWAYS

_FIELDS = (
    "run_id",
    "task",
    "identity",
    "replicate",
    "seed",
    "drawn_seed",
    "group_name",
    "group_pattern",
    "code",
    "attempt",
    "status",
    "state",
    "timestamp",
    "started",
    "finished",
    "runtime",
    "reason",
    "problem",
)
_COLUMNS = ("folder", *_FIELDS, "params", "metrics")
_MARKS = ", ".join("?" * len(_COLUMNS))
_INSERT = f"INSERT INTO runs ({', '.join(_COLUMNS)}) VALUES ({_MARKS})"  # noqa: S608 - our names
_UPSERT = (
    f"{_INSERT} ON CONFLICT (folder) DO UPDATE SET "
    f"{', '.join(f'{name} = excluded.{name}' for name in _COLUMNS[1:])} RETURNING id"
)
_SEE = "INSERT OR REPLACE INTO seen (folder, inode, signature, look) VALUES (?, ?, ?, ?)"
_CLAIMED = "SELECT folder FROM runs WHERE identity = ? AND folder <> ?"


def put(connection: sqlite3.Connection, entry: Entry) -> None:
    """Write what was read of a folder in the place of what was known of it."""
    _settle_identity(connection, entry)
    connection.execute(_SEE, (entry.folder, entry.inode, entry.signature, entry.look))
    if entry.signature is None:
        _drop_run(connection, entry.folder)
        return
    (run,) = connection.execute(_UPSERT, _row(entry)).fetchone()
    for table, values in (("params", entry.params), ("metrics", entry.metrics)):
        connection.execute(f"DELETE FROM {table} WHERE run = ?", (run,))  # noqa: S608 - two names
        _put_values(connection, table, [(run, n, encoded(v)) for n, v in flat(values)])


class Bulk:
    """Writes entries into an index that holds none yet, thousands at a time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._next = 1
        self._claimed: dict[str, str] = {}

    def put(self, entries: Iterable[Entry]) -> None:
        """Write entries of folders that were not written before."""
        params, metrics, rows, seen = [], [], [], []
        for entry in entries:
            if entry.signature is not None:
                self._settle_identity(entry)
                run, self._next = self._next, self._next + 1
                rows.append((run, *_row(entry)))
                params += [(run, name, encoded(value)) for name, value in flat(entry.params)]
                metrics += [(run, name, encoded(value)) for name, value in flat(entry.metrics)]
            seen.append((entry.folder, entry.inode, entry.signature, entry.look))
        self._connection.executemany(_SEE, seen)
        self._connection.executemany(_INSERT_WITH_ID, rows)
        _put_values(self._connection, "params", params)
        _put_values(self._connection, "metrics", metrics)

    def _settle_identity(self, entry: Entry) -> None:
        identity = entry.fields.get("identity")
        if identity is not None:
            other = self._claimed.setdefault(identity, entry.folder)
            if other != entry.folder:
                _double(entry, other)


_INSERT_WITH_ID = f"INSERT INTO runs (id, {', '.join(_COLUMNS)}) VALUES (?, {_MARKS})"  # noqa: S608 - our names


def _put_values(
    connection: sqlite3.Connection, table: str, values: Iterable[tuple[int, str, object]]
) -> None:
    # Two spellings of one name, {"a": {"b": 1}, "a.b": 2}, have one row: the first.
    connection.executemany(f"INSERT OR IGNORE INTO {table} VALUES (?, ?, ?)", values)  # noqa: S608


def forget(connection: sqlite3.Connection, folder: str) -> None:
    """Take out a folder that is gone."""
    connection.execute("DELETE FROM seen WHERE folder = ?", (folder,))
    _drop_run(connection, folder)


def _drop_run(connection: sqlite3.Connection, folder: str) -> None:
    found = connection.execute(
        "DELETE FROM runs WHERE folder = ? RETURNING id", (folder,)
    ).fetchall()
    for table in ("params", "metrics"):
        connection.executemany(f"DELETE FROM {table} WHERE run = ?", found)  # noqa: S608 - two names


def _settle_identity(connection: sqlite3.Connection, entry: Entry) -> None:
    """Let one run of several with one identity have it; the others name it as their problem."""
    identity = entry.fields.get("identity")
    if identity is None:
        return
    other = connection.execute(_CLAIMED, (identity, entry.folder)).fetchone()
    if other is not None:
        _double(entry, str(other[0]))


def _double(entry: Entry, other: str) -> None:
    """Take from an entry the identity that another folder has."""
    identity, entry.fields["identity"] = entry.fields["identity"], None
    entry.fields["problem"] = (
        f"{entry.folder} and {other} have the same identity {identity}: move one of them away"
    )
    entry.look = ALWAYS  # once the other is gone, this one has it


def _row(entry: Entry) -> tuple[object, ...]:
    fields = map(entry.fields.get, _FIELDS)
    return (entry.folder, *fields, as_json(entry.params), as_json(entry.metrics))
