"""What is asked for: expressions and keyword filters, and where the index keeps each column."""

import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any

from holdfast._names import listing
from holdfast._plain import to_plain
from holdfast.errors import InvalidInputError
from holdfast.query import Column, Combine, Compare, Constant, Node, Not, Source, Sql, parse

_COLUMNS = {
    "run_id": ("run_id", "text"),
    "task": ("task", "text"),
    "status": ("status", "text"),
    "state": ("state", "text"),
    "group": ("group_name", "text"),
    "replicate": ("replicate", "number"),
    "seed": ("seed", "any"),
    "drawn_seed": ("drawn_seed", "any"),
    "identity": ("identity", "text"),
    "attempt": ("attempt", "number"),
    "started": ("started", "text"),
    "finished": ("finished", "text"),
    "timestamp": ("timestamp", "number"),
    "runtime": ("runtime", "number"),
    "reason": ("reason", "text"),
    "code": ("code", "text"),
    "folder": ("folder", "text"),
    "problem": ("problem", "text"),
}
"""Our columns: their names in ``runs``, and what their values are."""

OURS = frozenset(_COLUMNS)
ALWAYS_OURS = frozenset(["run_id", "task", "status", "state", "group"])
"""What is never a parameter, whatever parameters there are, unless it is called params.<name>."""

STATES = frozenset(["running", "interrupted", "complete", "failed", "unreadable"])
_STATUSES = frozenset(["initialized", "complete", "failed"])
_WORDS = {
    "finished": ("complete",),
    "active": ("running",),
    "incomplete": ("interrupted", "failed"),
}
"""Other words for states, those of the questions that are asked of a run (``is_finished``)."""

_OPERATORS = {
    "lt": "<",
    "le": "<=",
    "lte": "<=",
    "gt": ">",
    "ge": ">=",
    "gte": ">=",
    "ne": "!=",
    "in": "in",
    "like": "like",
}


def question(where: str | None, filters: Mapping[str, Any], known: frozenset[str]) -> Node:
    """Return an expression and keyword filters as one tree.

    Parameters
    ----------
    where : str, optional
        An expression such as ``"dt < 0.1"``.
    filters : mapping
        Values by column, which may end with an operator: ``dt__lt=0.1``; ``__`` stands for a dot
        elsewhere: ``solver__order=2``.
    known : frozenset of str
        The columns there are.

    Raises
    ------
    InvalidInputError
        If the expression or a value cannot be understood.
    """
    parts = [parse(where)] if where is not None else []
    parts += [_filter(name, value, known) for name, value in filters.items()]
    node = parts[0] if len(parts) == 1 else Combine("and", tuple(parts))
    return _in_our_words(node)


def _filter(name: str, value: Any, known: frozenset[str]) -> Node:
    column, operator = name, "=="
    if name not in known:
        stem, _, ending = name.rpartition("__")
        if stem and ending in _OPERATORS:
            column, operator = stem, _OPERATORS[ending]
    if column not in known:
        column = column.replace("__", ".")
    plain = to_plain(value, f"the value of {name}")
    if operator == "in":
        return Compare("in", Column(column), Constant(_several(name, plain)))
    if operator == "like" and not isinstance(plain, str):
        raise InvalidInputError(f"{name} takes a pattern such as 'lab/*', not {plain!r}")
    if plain is None:
        missing = Compare("is", Column(column), Constant(None))
        return Not(missing) if operator == "!=" else missing
    if isinstance(plain, list | dict):
        raise InvalidInputError(
            f"{name} is compared with a number or a text, not {plain!r}; for one of several "
            f"values write {name}__in"
        )
    if (
        column == "group"
        and operator == "=="
        and isinstance(plain, str)
        and set("*?[") & set(plain)
    ):
        operator = "like"
    return Compare(operator, Column(column), Constant(plain))


def _several(name: str, plain: Any) -> tuple[Any, ...]:
    if not isinstance(plain, list) or any(isinstance(item, list | dict) for item in plain):
        raise InvalidInputError(f"{name} takes a list of numbers or texts, not {plain!r}")
    return tuple(plain)


def _in_our_words(node: Node) -> Node:
    """Let ``status`` and ``state`` take the words of both, and ``finished`` and the like."""
    match node:
        case Not(part):
            return Not(_in_our_words(part))
        case Combine(op, parts):
            return Combine(op, tuple(map(_in_our_words, parts)))
        case Compare("==" | "!=" | "in" as op, Column("status" | "state" as name), Constant(value)):
            words = value if isinstance(value, tuple) else (value,)
            test = _state_test(name, [word for word in words if word is not None])
            return Not(test) if op == "!=" else test
    return node


def _state_test(name: str, words: list[Any]) -> Node:
    by_column: dict[str, list[str]] = {}
    for word in words:
        for meant in _WORDS.get(word, (word,)):
            own = _STATUSES if name == "status" else STATES
            other = STATES if name == "status" else _STATUSES
            if meant not in own | other:
                known = listing({*STATES, *_STATUSES, *_WORDS})
                raise InvalidInputError(f"{word!r} is no {name} of a run; they are {known}")
            column = name if meant in own else "state" if name == "status" else "status"
            by_column.setdefault(column, []).append(meant)
    tests = [Compare("in", Column(c), Constant(tuple(w))) for c, w in by_column.items()]
    return tests[0] if len(tests) == 1 else Combine("or", tuple(tests))


class Columns:
    """The columns of an index: ours, and those that parameters and metrics bring.

    Parameters
    ----------
    connection : Connection
        To the index, within a transaction or before any change.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.params = frozenset(_names(connection, "params"))
        self.metrics = frozenset(_names(connection, "metrics"))

    @property
    def known(self) -> frozenset[str]:
        """Every name that can be asked for."""
        qualified = [
            *(f"run.{name}" for name in OURS),
            *(f"params.{name}" for name in self.params),
            *(f"metrics.{name}" for name in self.metrics),
        ]
        return self.plain | frozenset(qualified)

    @property
    def plain(self) -> frozenset[str]:
        """The names that can be asked for as they are."""
        return OURS | self.params | self.metrics

    def source(self, name: str) -> Source:
        """Return where the values of a column are.

        Raises
        ------
        InvalidInputError
            If the name is that of one of our columns and of a parameter.
        """
        if name in OURS and name not in ALWAYS_OURS and name in self.params | self.metrics:
            kind = "params" if name in self.params else "metrics"
            raise InvalidInputError(
                f"{name!r} is a column of every run and a name in {kind} as well; write "
                f"{kind}.{name} or run.{name}"
            )
        prefix, _, rest = name.partition(".")
        if name in OURS or (prefix == "run" and rest in OURS and name not in self.params):
            return self._ours(rest if name not in OURS else name)
        if name in self.params:
            return self._theirs("params", name)
        if prefix in ("params", "metrics") and rest:
            return self._theirs(prefix, rest)
        return self._theirs("metrics", name)

    def _ours(self, name: str) -> Source:
        column, kind = _COLUMNS[name]
        column, same = f"runs.{column}", Sql("{}")
        native = kind != "any" or not self._holds_bytes(f"SELECT max({column}) FROM runs")  # noqa: S608
        return Source(column, Sql(column), same, same, kind, native)

    def _theirs(self, table: str, name: str) -> Source:
        known = (name,)
        last = f"SELECT max(value) FROM {table} WHERE name = ?"  # noqa: S608 - one of two names
        return Source(
            "value",
            Sql(f"(SELECT value FROM {table} WHERE run = runs.id AND name = ?)", known),  # noqa: S608
            Sql(f"runs.id IN (SELECT run FROM {table} WHERE name = ? AND {{}})", known),  # noqa: S608
            Sql(f"EXISTS (SELECT 1 FROM {table} WHERE run = runs.id AND name = ? AND {{}})", known),  # noqa: S608
            native=not self._holds_bytes(last, *known),
        )

    def _holds_bytes(self, query: str, *arguments: str) -> bool:
        """Whether a column holds what SQLite has no type for; bytes sort after all else."""
        (last,) = self._connection.execute(query, arguments).fetchone()
        return isinstance(last, bytes)


def _names(connection: sqlite3.Connection, table: str) -> Iterator[str]:
    """Yield the names in a table, from one to the next by its index."""
    query = f"SELECT min(name) FROM {table} WHERE name > ?"  # noqa: S608 - one of two names
    name = ""
    while True:
        (found,) = connection.execute(query, (name,)).fetchone()
        if found is None:
            return
        yield found
        name = found
