"""A tree to a condition of SQLite that holds for exactly the rows that the predicate takes.

Logic of three values becomes logic of two: `_Translation` asks of each part when it is true, or
when it is false, and passes negations down to the comparisons. What SQLite compares as Python does
is left to it, so that it can use its indexes; the rest goes through one function of ours.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from holdfast.query._parse import Column, Combine, Compare, Constant, Node, Not
from holdfast.query._predicate import compared

if TYPE_CHECKING:
    import sqlite3

FUNCTION = "holdfast_test"

_LARGEST = 2**63 - 1
_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}


class Sql(NamedTuple):
    """Text of SQL and the arguments of its question marks."""

    text: str
    arguments: tuple[Any, ...] = ()


_ALWAYS, _NEVER = Sql("1"), Sql("0")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a database keeps the values of a column.

    Attributes
    ----------
    value : str
        What a condition calls the value: ``"value"``.
    scalar : Sql
        The value of the row at hand, as an expression.
    among : Sql
        That the row at hand is among those whose value satisfies the condition ``{}``, told by
        looking those up: ``"id IN (SELECT run FROM params WHERE name = ? AND {})"``.
    exists : Sql
        The same, told by looking at the row at hand.
    kind : {"text", "number", "any"}
        What the values are; a database may convert what it compares with typed columns.
    native : bool
        Whether all values are None, text, and numbers that SQLite has: 64 bits, and no NaN.
    """

    value: str
    scalar: Sql
    among: Sql
    exists: Sql
    kind: str = "any"
    native: bool = True


def encoded(value: Any) -> Any:
    """Return a value as SQLite keeps it; what it lacks (NaN, large whole numbers) as bytes."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, float):
        return value if value == value else b"nan"  # noqa: PLR0124 - NaN alone differs from itself
    if isinstance(value, int) and not -_LARGEST <= value <= _LARGEST:
        return b"%d" % value
    return value


def decoded(value: Any) -> Any:
    """Return what `encoded` was given."""
    if isinstance(value, bytes):
        return math.nan if value == b"nan" else int(value)
    return value


def register(connection: "sqlite3.Connection") -> None:
    """Teach a connection the function that translated expressions may call."""
    connection.create_function(
        FUNCTION,
        3,
        lambda op, one, other: compared(op, decoded(one), decoded(other)),
        deterministic=True,
    )


def to_sql(
    node: Node,
    source: Callable[[str], Source],
    size: Callable[[Sql], int] | None = None,
) -> Sql:
    """Translate an expression.

    Parameters
    ----------
    node : Node
        What `parse` returned.
    source : callable
        Given the name of a column, returns where its values are.
    size : callable, optional
        Estimates how many rows satisfy a condition. Of parts that all have to hold, the rarest is
        then looked up, and the others are asked of what that finds.

    Returns
    -------
    Sql
        A condition as large and as deep as the expression; databases have limits for both.
    """
    return _Translation(source, size).holds(node, want=True, lookup=True)


class _Translation:
    def __init__(
        self, source: Callable[[str], Source], size: Callable[[Sql], int] | None = None
    ) -> None:
        self._source = source
        self._size = size

    def holds(self, node: Node, *, want: bool, lookup: bool) -> Sql:
        """Return when a part is true (or, if not `want`, false); open is neither."""
        match node:
            case Not(part):
                return self.holds(part, want=not want, lookup=lookup)
            case Combine(op, parts) if (op == "and") == want:
                return self._all(parts, want=want, lookup=lookup)
            case Combine(_, parts):
                each = [self.holds(part, want=want, lookup=lookup) for part in parts]
                return _joined("OR", each)
            case Compare(op, left, right):
                return self._compare(op, left, right, want=want, lookup=lookup)
            case Constant(value):
                return _ALWAYS if value is not None and bool(value) is want else _NEVER
            case Column(name):
                place = self._source(name)
                test = "{v} <> 0 AND {v} <> ''" if want else "{v} IN (0, '')"
                return _within(place, Sql(test.format(v=place.value)), lookup=lookup)

    def _all(self, parts: Sequence[Node], *, want: bool, lookup: bool) -> Sql:
        """Combine parts that all have to hold, the rarest of them first and looked up."""
        first = 0
        if lookup and self._size is not None and len(parts) > 1:
            plain = _Translation(self._source)
            sizes = [self._size(plain.holds(part, want=want, lookup=True)) for part in parts]
            first = sizes.index(min(sizes))
        each = [
            self.holds(part, want=want, lookup=lookup and number == first)
            for number, part in enumerate(parts)
        ]
        return _joined("AND", [each[first], *each[:first], *each[first + 1 :]])

    def _compare(
        self,
        op: str,
        left: Column | Constant,
        right: Column | Constant,
        *,
        want: bool,
        lookup: bool,
    ) -> Sql:
        match left, right:
            case Constant(one), Constant(other):
                found = one is None if op == "is" else compared(op, one, other)
                return _ALWAYS if found is want else _NEVER
            case Column(name), Constant(value):
                place = self._source(name)
                return _column_test(place, op, value, want=want, lookup=lookup)
            case Constant(value), Column(name):
                place = self._source(name)
                if op in _FLIPPED:
                    return _column_test(place, _FLIPPED[op], value, want=want, lookup=lookup)
                if isinstance(value, tuple):  # in text, or like: of no row is that true or false
                    return _NEVER
                test = Sql(f"{FUNCTION}(?, ?, {place.value}) = ?", (op, encoded(value), want))
                return _within(place, test, lookup=lookup)
            case Column(name), Column(other):
                one, two = self._source(name).scalar, self._source(other).scalar
                text = f"{FUNCTION}(?, {one.text}, {two.text}) = ?"
                return Sql(text, (op, *one.arguments, *two.arguments, want))
        raise AssertionError


def _column_test(place: Source, op: str, value: Any, *, want: bool, lookup: bool) -> Sql:
    """Return when a column's value stands to a constant as asked."""
    present = Sql(f"{place.value} IS NOT NULL")
    if op == "is":
        inside = _within(place, present, lookup=lookup and not want)
        return Sql(f"NOT ({inside.text})", inside.arguments) if want else inside
    if value is None:
        return _NEVER
    if isinstance(value, tuple):
        return _tuple_test(place, op, value, want=want, lookup=lookup)
    if op in _OPPOSITE and place.native and _is_native(value, place.kind):
        test = _native_test(place.value, op if want else _OPPOSITE[op], value)
    else:
        test = Sql(f"{FUNCTION}(?, {place.value}, ?) = ?", (op, encoded(value), want))
    return _within(place, test, lookup=lookup)


def _native_test(name: str, op: str, value: float | str) -> Sql:
    # SQLite orders numbers before text: the empty text divides them, also within an index.
    between = ""
    if isinstance(value, str) and op in ("<", "<="):
        between = f" AND {name} >= ''"
    elif not isinstance(value, str) and op in (">", ">="):
        between = f" AND {name} < ''"
    sign = {"==": "=", "!=": "<>"}.get(op, op)
    return Sql(f"{name} {sign} ?{between}", (encoded(value),))


def _tuple_test(
    place: Source, op: str, values: tuple[Any, ...], *, want: bool, lookup: bool
) -> Sql:
    """Return when a value is one of several; beside ``in``, a list equals no value."""
    if op != "in":
        present = Sql(f"{place.value} IS NOT NULL")
        unequal = (op == "!=") is want
        return _within(place, present, lookup=lookup) if op in ("==", "!=") and unequal else _NEVER
    values = tuple(value for value in values if value is not None)
    if place.native and all(_is_native(value, place.kind) for value in values):
        marks = ", ".join("?" * len(values))
        test = Sql(
            f"{place.value} {'IN' if want else 'NOT IN'} ({marks})", tuple(map(encoded, values))
        )
    else:
        each = [
            Sql(f"{FUNCTION}('==', {place.value}, ?) = ?", (encoded(value), want))
            for value in values
        ]
        test = _joined("OR" if want else "AND", each)
    present = Sql(f"{place.value} IS NOT NULL AND {test.text}", test.arguments)
    return _within(place, present, lookup=lookup)


def _is_native(value: Any, kind: str) -> bool:
    """Whether SQLite compares a constant with a column of some kind as Python does."""
    if isinstance(value, str):
        return kind != "number"
    return kind != "text" and not isinstance(encoded(value), bytes)


def _within(place: Source, test: Sql, *, lookup: bool) -> Sql:
    around = place.among if lookup else place.exists
    return Sql(around.text.replace("{}", f"({test.text})"), (*around.arguments, *test.arguments))


def _joined(word: str, parts: Sequence[Sql]) -> Sql:
    """Join conditions as a balanced tree: SQLite refuses one that is a thousand deep."""
    if not parts:
        return _ALWAYS if word == "AND" else _NEVER
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    one, other = _joined(word, parts[:half]), _joined(word, parts[half:])
    return Sql(f"({one.text} {word} {other.text})", one.arguments + other.arguments)
