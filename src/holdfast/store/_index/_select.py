"""Answers of the index: which folders satisfy a question, and the table of their runs."""

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from holdfast._plain import from_plain
from holdfast.errors import InvalidInputError
from holdfast.query import Column, Node, Sql, check_columns, columns, decoded, to_sql
from holdfast.store._index._entry import flat
from holdfast.store._index._filters import OURS, Columns, question
from holdfast.tables import Table

_SAMPLE = 200
"""How many rows are counted to see how rare something is."""

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
        # A list to look up in is made whole before the first row; asked by itself, it stops early.
        alone = part.text.startswith("runs.id IN (")
        rows = part.text.removeprefix("runs.id IN ") if alone else f"runs WHERE {part.text}"
        query = f"SELECT count(*) FROM (SELECT 1 FROM {rows} LIMIT {_SAMPLE})"  # noqa: S608 - from to_sql
        return int(connection.execute(query, part.arguments).fetchone()[0])

    try:
        return to_sql(node, found.source, size)
    except sqlite3.OperationalError as error:
        raise _too_deep(error) from None


def folders_of(
    connection: sqlite3.Connection, chosen: Sql, *, unreadable: bool, most: int = -1
) -> list[tuple[str, str]]:
    """Return folders and their signatures, by time of start, all or the first few."""
    readable = "" if unreadable else "AND runs.state <> 'unreadable'"
    query = f"{_FOLDERS} WHERE {chosen.text} {readable} ORDER BY timestamp, runs.folder LIMIT ?"
    return _rows(connection, query, (*chosen.arguments, most))


def table_of(connection: sqlite3.Connection, chosen: Sql, directory: str, title: str) -> Table:
    """Return the table of the chosen runs: ours, parameters, metrics, and where each run is."""
    query = f"SELECT {_SHOWN} FROM runs WHERE {chosen.text} ORDER BY timestamp, folder"  # noqa: S608
    found = _rows(connection, query, chosen.arguments)
    ours = dict(
        zip(_FIXED, zip(*found, strict=True) if found else ((),) * len(_FIXED), strict=True)
    )
    for name in ("seed", "drawn_seed"):
        ours[name] = tuple(map(decoded, ours[name]))
    params, metrics = _unpacked(ours.pop("params")), _unpacked(ours.pop("metrics"))
    place = f"{directory}/" if directory else ""
    ours["directory"] = tuple(place + folder for folder in ours.pop("folder"))
    columns: dict[str, Sequence[Any]] = {name: ours.pop(name) for name in _BEFORE}
    columns |= _by_column("params.", params, OURS | {"directory"})
    columns |= _by_column("metrics.", metrics, OURS | {"directory"} | columns.keys())
    columns |= ours
    return Table.of_columns(columns, title)


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
    names: dict[str, None] = {}
    for row in rows:
        if not row.keys() <= names.keys():
            names.update(dict.fromkeys(row))
    return names


def _unpacked(texts: Sequence[str]) -> list[dict[str, Any]]:
    """Return values by name from JSON objects, all at once, since a call for each costs more."""
    together = "[" + ",".join(texts) + "]"
    found: list[dict[str, Any]] = msgspec.json.decode(together)
    if '"$' in together:
        found = [from_plain(values) for values in found]
    if "[" in together[1:] or together.count("{") > len(texts):
        found = [dict(flat(values)) for values in found]
    return found


def _rows(connection: sqlite3.Connection, query: str, arguments: Sequence[Any]) -> list[Any]:
    try:
        return connection.execute(query, arguments).fetchall()
    except sqlite3.OperationalError as error:
        raise _too_deep(error) from None


def _too_deep(error: sqlite3.OperationalError) -> Exception:
    """Return what to raise: SQLite reads conditions to some depth only."""
    if "stack overflow" in str(error) or "too large" in str(error):
        return InvalidInputError(
            "the expression is nested too deeply for the database; write fewer parentheses"
        )
    return error
