"""SQL of the user's, which can only read."""

import sqlite3
from pathlib import Path
from typing import Any

from holdfast.errors import InvalidInputError
from holdfast.query import decoded
from holdfast.store._index._build import connect
from holdfast.tables import Table

_READING = frozenset(
    [sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE]
)
_PRAGMAS = frozenset(["table_info", "table_xinfo", "table_list", "index_list", "index_info"])
_DAMAGED = frozenset([sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB])


def query_table(place: Path | sqlite3.Connection, query: str) -> Table:
    """Answer a query of the user's.

    Parameters
    ----------
    place : Path or Connection
        The file, which is opened for reading alone; or a database in memory.
    query : str
        One statement.

    Raises
    ------
    InvalidInputError
        If it cannot be understood, would change anything, or is more than one statement.
    """
    if not isinstance(query, str):
        raise InvalidInputError(f"a query is text, not {type(query).__name__}: {query!r}")
    connection = connect(place, "ro") if isinstance(place, Path) else place
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.set_authorizer(_only_reading)
        return _answered(connection, query)
    finally:
        connection.set_authorizer(None)
        if isinstance(place, Path):
            connection.close()
        else:
            connection.execute("PRAGMA query_only = OFF")


def _only_reading(action: int, name: str | None, argument: str | None, *_: object) -> int:
    reading = action in _READING and argument != "load_extension"
    looking = action == sqlite3.SQLITE_PRAGMA and name in _PRAGMAS
    return sqlite3.SQLITE_OK if reading or looking else sqlite3.SQLITE_DENY


def _answered(connection: sqlite3.Connection, query: str) -> Table:
    try:
        cursor = connection.execute(query)
        rows = cursor.fetchall()
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
            raise
        raise _refusal(query, error) from None
    except (sqlite3.Warning, ValueError) as error:  # two statements; a NUL within
        raise _refusal(query, error) from None
    if cursor.description is None:
        raise InvalidInputError(
            f"{query!r} asks for nothing; ask for instance for everything in the view experiments"
        )
    names = _unlike([column[0] for column in cursor.description])
    return Table([_row(names, row) for row in rows], names, "query")


def _row(names: list[str], row: tuple[Any, ...]) -> dict[str, Any]:
    return {
        name: decoded(value) if value is not None and isinstance(value, bytes) else value
        for name, value in zip(names, row, strict=True)
    }


def _unlike(names: list[str]) -> list[str]:
    """Return names of columns, further ones of one name with a number."""
    found: dict[str, None] = {}
    for name in names:
        number, candidate = 1, name
        while candidate in found:
            number += 1
            candidate = f"{name}:{number}"
        found[candidate] = None
    return list(found)


def _refusal(query: str, error: Exception) -> InvalidInputError:
    if "not authorized" in str(error) or "readonly" in str(error) or "prohibited" in str(error):
        return InvalidInputError(
            f"{query!r} would do more than read; the index follows the run directories, so change "
            "or delete those"
        )
    reason = str(error).rstrip(".")
    return InvalidInputError(
        f"{query!r} cannot be answered: {reason}; there are the tables runs, params and metrics, "
        "and the view experiments"
    )
