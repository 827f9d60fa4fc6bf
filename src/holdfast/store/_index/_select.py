"""Answers of the index: which folders satisfy a question, and the table of their runs."""

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from typing import Any

import msgspec

from holdfast._plain import from_plain
from holdfast.errors import InvalidInputError
from holdfast.query import Column, Node, Sql, check_columns, columns, decoded, predicate, to_sql
from holdfast.store._index._entry import flat
from holdfast.store._index._filters import OURS, Columns, question

_SAMPLE = 200
"""How many rows are counted to see how rare something is."""

_FLAT = 20
"""Conditions with fewer parentheses than this are no deeper than any SQLite takes."""

_MOST_PARTS = 2000
"""How many columns (as often as named) SQLite plans for; its time grows with their square."""

_AROUND = 1000
"""What a query may add to a condition: characters and arguments."""

_AT_ONCE = 100
"""How many rows are turned into columns at a time."""

_BEFORE = ("run_id", "task", "state")
_FIXED = {
    "run_id": "run_id",
    "task": "task",
    "state": "state",
    "status": "status",
    "group": "group_name",
    "replicate": "replicate",
    "seed": "seed",
    "drawn_seed": "drawn_seed",
    "started": "started",
    "finished": "finished",
    "runtime": "runtime",
    "reason": "reason",
    "params": "params",
    "metrics": "metrics",
    "folder": "folder",
}
"""What a table is made from: its columns, and the columns of ``runs``."""
_SHOWN = ", ".join(_FIXED.values())
_FOLDERS = "SELECT runs.folder, signature FROM runs JOIN seen ON seen.folder = runs.folder"


def condition(
    connection: sqlite3.Connection, where: str | None, filters: Mapping[str, Any]
) -> tuple[Sql, frozenset[str]]:
    """Return what runs must satisfy, and the columns that were asked for.

    Raises
    ------
    InvalidInputError
        If it cannot be understood or asks for a column that no run has.
    """
    if where is None and not filters:
        return Sql("1"), frozenset()
    found = Columns(connection)
    known = found.known
    node = question(where, filters, known)
    if connection.execute("SELECT 1 FROM runs").fetchone():
        for name in set(columns(node)) - known:
            check_columns(Column(name), found.plain)  # refuses it, naming the short names
    return _translated(connection, node, found), frozenset(columns(node))


def _translated(connection: sqlite3.Connection, node: Node, found: Columns) -> Sql:
    def size(part: Sql) -> int:
        if not _fits(connection, part):
            return _SAMPLE
        # A list to look up in is made whole before the first row; asked by itself, it stops early.
        alone = part.text.startswith("runs.id IN (")
        rows = part.text.removeprefix("runs.id IN ") if alone else f"runs WHERE {part.text}"
        query = f"SELECT count(*) FROM (SELECT 1 FROM {rows} LIMIT {_SAMPLE})"  # noqa: S608 - from to_sql
        return int(connection.execute(query, part.arguments).fetchone()[0])

    if sum(1 for _ in columns(node)) <= _MOST_PARTS:
        sql = to_sql(node, found.source, size)
        if _fits(connection, sql):
            return sql
    return _tried(connection, node, found)


def _fits(connection: sqlite3.Connection, sql: Sql) -> bool:
    """Whether SQLite takes a condition, whose size and depth it limits."""
    longest = connection.getlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH) - _AROUND
    most = connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER) - _AROUND
    if len(sql.text) > longest or len(sql.arguments) > most:
        return False
    if sql.text.count("(") < _FLAT:
        return True
    try:
        connection.execute(f"EXPLAIN SELECT 1 FROM runs WHERE (({sql.text}))", sql.arguments)  # noqa: S608
    except sqlite3.OperationalError as error:
        if "overflow" not in str(error) and "too large" not in str(error):
            raise
        return False
    return True


def _tried(connection: sqlite3.Connection, node: Node, found: Columns) -> Sql:
    """Ask the predicate of each run, and return a condition that names those it takes.

    Raises
    ------
    InvalidInputError
        If the expression asks for more columns than SQLite gives at once.
    """
    names = sorted(set(columns(node)))
    if len(names) >= connection.getlimit(sqlite3.SQLITE_LIMIT_COLUMN):
        raise InvalidInputError(f"the expression asks for {len(names)} columns; select in steps")
    places = [found.source(name).scalar for name in names]
    shown = ", ".join(["runs.id", *(place.text for place in places)])
    arguments = [value for place in places for value in place.arguments]
    holds = predicate(node)
    taken = [
        run
        for run, *values in connection.execute(f"SELECT {shown} FROM runs", arguments)  # noqa: S608
        if holds(dict(zip(names, map(decoded, values), strict=True)))
    ]
    return Sql("runs.id IN (SELECT value FROM json_each(?))", (json.dumps(taken),))


def folders_of(
    connection: sqlite3.Connection, chosen: Sql, *, unreadable: bool, most: int = -1
) -> list[tuple[str, str]]:
    """Return folders and their signatures, by time of start, all or the first few."""
    readable = "" if unreadable else "AND runs.state <> 'unreadable'"
    query = f"{_FOLDERS} WHERE {chosen.text} {readable} ORDER BY timestamp, runs.folder LIMIT ?"
    return connection.execute(query, (*chosen.arguments, most)).fetchall()


def columns_of(
    connection: sqlite3.Connection, chosen: Sql, directory: str
) -> dict[str, Sequence[Any]]:
    """Return the table of the chosen runs: ours, parameters, metrics, and where each run is."""
    query = f"SELECT {_SHOWN} FROM runs WHERE {chosen.text} ORDER BY timestamp, folder"  # noqa: S608
    ours = dict(zip(_FIXED, _by_position(connection.execute(query, chosen.arguments)), strict=True))
    for name in ("seed", "drawn_seed"):
        ours[name] = list(map(decoded, ours[name]))
    params, metrics = _unpacked(ours.pop("params")), _unpacked(ours.pop("metrics"))
    place = f"{directory}/" if directory else ""
    ours["directory"] = [place + folder for folder in ours.pop("folder")]
    columns: dict[str, Sequence[Any]] = {name: ours.pop(name) for name in _BEFORE}
    columns |= _by_column("params.", params, OURS | {"directory"})
    columns |= _by_column("metrics.", metrics, OURS | {"directory"} | columns.keys())
    return columns | ours


def _by_position(cursor: sqlite3.Cursor) -> list[list[Any]]:
    """Return the values of all rows by position.

    Few rows are held at a time: a hundred thousand at once keep Python's collector of garbage busy
    for longer than it takes to read them.
    """
    columns: list[list[Any]] = [[] for _ in cursor.description]
    while rows := cursor.fetchmany(_AT_ONCE):
        for column, values in zip(columns, zip(*rows, strict=True), strict=True):
            column.extend(values)
    return columns


def _by_column(
    prefix: str, rows: list[dict[str, Any]], taken: Collection[str]
) -> dict[str, list[Any]]:
    """Return values by column, none of which is called like another: ``params.seed``."""
    return {
        prefix + name if name in taken else name: [row.get(name) for row in rows]
        for name in _union(rows)
    }


def _union(rows: list[dict[str, Any]]) -> dict[str, None]:
    """Return the names of all rows in order of appearance."""
    return dict.fromkeys(chain.from_iterable(rows))


def _unpacked(texts: Sequence[str]) -> list[dict[str, Any]]:
    """Return values by name from JSON objects, all at once, since a call for each costs more."""
    together = "[" + ",".join(texts) + "]"
    found: list[dict[str, Any]] = msgspec.json.decode(together)
    if '"$' in together:
        found = [from_plain(values) for values in found]
    if "[" in together[1:] or together.count("{") > len(texts):
        found = [dict(flat(values)) for values in found]
    return found
