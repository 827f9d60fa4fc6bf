"""Expressions as SQL: SQLite gives the rows that the predicate takes, whatever their values."""

import contextlib
import itertools
import math
import sqlite3
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.query import (
    Column,
    Combine,
    Compare,
    Constant,
    Not,
    Source,
    Sql,
    decoded,
    encoded,
    parse,
    predicate,
    register,
    to_sql,
)

SCHEMA = """
CREATE TABLE runs (id INTEGER PRIMARY KEY, name TEXT, number INTEGER);
CREATE TABLE params (run INTEGER, name TEXT, value, PRIMARY KEY (run, name)) WITHOUT ROWID;
CREATE INDEX by_value ON params (name, value);
"""


def source(name: str, *, native: bool = False) -> Source:
    if name in ("name", "number"):
        kind = "text" if name == "name" else "number"
        return Source(f"runs.{name}", Sql(f"runs.{name}"), Sql("{}"), Sql("{}"), kind, native)
    which = "SELECT run FROM params WHERE name = ? AND {}"
    exists = "SELECT 1 FROM params WHERE run = runs.id AND name = ? AND {}"
    return Source(
        "value",
        Sql("(SELECT value FROM params WHERE run = runs.id AND name = ?)", (name,)),
        Sql(f"runs.id IN ({which})", (name,)),
        Sql(f"EXISTS ({exists})", (name,)),
        native=native,
    )


def stored(rows: list[dict[str, Any]]) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.executescript(SCHEMA)
    register(connection)
    for number, row in enumerate(rows):
        fixed = [encoded(row.get(name)) for name in ("name", "number")]
        connection.execute("INSERT INTO runs VALUES (?, ?, ?)", (number, *fixed))
        connection.executemany(
            "INSERT INTO params VALUES (?, ?, ?)",
            [
                (number, name, encoded(v))
                for name, v in row.items()
                if name not in ("name", "number")
            ],
        )
    return connection


def is_native(rows: list[dict[str, Any]]) -> bool:
    return not any(isinstance(encoded(v), bytes) for row in rows for v in row.values())


def chosen(connection: sqlite3.Connection, sql: Sql) -> list[int]:
    query = f"SELECT id FROM runs WHERE {sql.text} ORDER BY id"  # noqa: S608 - it is under test
    return [number for (number,) in connection.execute(query, sql.arguments)]


def selected(node: Any, rows: list[dict[str, Any]], *, sized: bool = True) -> list[int]:
    with contextlib.closing(stored(rows)) as connection:

        def size(sql: Sql) -> int:
            return len(chosen(connection, sql))

        native = is_native(rows)
        sql = to_sql(node, lambda name: source(name, native=native), size if sized else None)
        return chosen(connection, sql)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([0.0, -0.0, 0.5, -1.5, 3.0, math.inf, -math.inf, math.nan]),
    st.sampled_from(["", "a", "b", "ab", "3", "[1, 2]", "é", "a\0b"]),
    st.sampled_from([2**53, 2**53 + 1, 2.0**53, 2**63, 2**63 - 1, -(2**63), 2**70, 2.0**70]),
)
TUPLES = st.lists(VALUES, max_size=3).map(tuple)
NAMES = st.sampled_from(["x", "y", "absent", "name", "number"])
ROW = st.fixed_dictionaries(
    {"x": VALUES, "y": VALUES},
    optional={
        "name": st.sampled_from([None, "", "a", "3"]),
        "number": st.sampled_from([None, 0, 3, 2**40]),
    },
)
OPERANDS = st.one_of(NAMES.map(Column), VALUES.map(Constant))
SIGNS = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
LEAVES = st.one_of(
    st.builds(Compare, SIGNS, OPERANDS, OPERANDS),
    st.builds(Compare, SIGNS, NAMES.map(Column), TUPLES.map(Constant)),
    st.builds(Compare, st.just("is"), NAMES.map(Column), st.just(Constant(None))),
    st.builds(Compare, st.just("in"), OPERANDS, TUPLES.map(Constant)),
    st.builds(Compare, st.just("in"), OPERANDS, st.sampled_from(["abc", ""]).map(Constant)),
    st.builds(Compare, st.just("in"), OPERANDS, NAMES.map(Column)),
    st.builds(
        Compare, st.just("like"), OPERANDS, st.sampled_from(["a*", "[!a]", "?", "["]).map(Constant)
    ),
    NAMES.map(Column),
    VALUES.map(Constant),
)


def combined(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    parts = st.lists(inner, min_size=1, max_size=3).map(tuple)
    return st.one_of(inner.map(Not), st.builds(Combine, st.sampled_from(["and", "or"]), parts))


@settings(deadline=None, max_examples=300)
@given(
    node=st.recursive(LEAVES, combined, max_leaves=6),
    rows=st.lists(ROW, max_size=4),
    sized=st.booleans(),
)
def test_sqlite_selects_the_rows_that_the_predicate_takes(
    node: Any, rows: list[dict[str, Any]], *, sized: bool
) -> None:
    holds = predicate(node)
    wanted = [number for number, row in enumerate(rows) if holds(row)]

    assert selected(node, rows, sized=sized) == wanted


@settings(deadline=None)
@given(VALUES)
def test_a_value_comes_back_from_the_database_as_it_was(value: Any) -> None:
    back = decoded(encoded(value))

    assert back == value or (back != back and value != value)  # noqa: PLR0124 - both are NaN
    assert type(back) is type(value)


def test_whole_numbers_beyond_64_bits_are_compared_exactly() -> None:
    rows = [{"seed": 2**100}, {"seed": 2**100 + 1}, {"seed": 5}]

    assert selected(parse(f"seed == {2**100}"), rows) == [0]
    assert selected(parse(f"seed > {2**100}"), rows) == [1]
    assert selected(parse("seed < 1e20"), rows) == [2]


def test_a_long_expression_is_no_deep_one_for_the_database() -> None:
    rows = [{"n": number} for number in range(3)]
    many = " or ".join(f"n == {number}" for number in range(1, 1500))

    assert selected(parse(many), rows) == [1, 2]
    assert selected(parse(f"not ({many})"), rows) == [0]
    assert selected(parse(f"n in ({', '.join(map(str, range(1, 20_000)))})"), rows) == [1, 2]


def test_parts_within_parts_are_translated_once_each() -> None:
    text = "n == 1"
    for _ in range(5):
        text = f"(n == 1 and not (n == 2 or {text}))"

    assert selected(parse(text), [{"n": 1}, {"n": 2}]) == []


def test_the_rarest_of_several_conditions_is_looked_up_first() -> None:
    sizes = {"common": 100, "rare": 1, "usual": 50}
    asked = itertools.count()

    def size(sql: Sql) -> int:
        next(asked)
        return sizes[str(sql.arguments[0])]

    sql = to_sql(
        parse("common == 1 and rare == 2 and usual == 3"), lambda n: source(n, native=True), size
    )

    assert next(asked) == 3
    assert sql.text.index("IN") < sql.text.index("EXISTS")
    assert sql.arguments[:2] == ("rare", 2)
