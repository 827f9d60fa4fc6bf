"""Questions to the index: expressions, keyword filters, tables, and SQL that can only read."""

import math
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast import Logbook
from holdfast.errors import InvalidInputError
from holdfast.query import parse, predicate
from holdfast.store._index import Index
from store_runs import begin, finish


def names(index: Index, where: str | None = None, /, **filters: Any) -> list[Any]:
    return [row["name"] for row in index.table(where, **filters)]


@pytest.fixture
def runs(store: Path) -> None:
    finish(store, name="a", dt=0.1, n=1, group="lab/2023", metrics={"error": 0.5})
    finish(store, name="b", dt=0.2, n=2, group="lab/2024", solver={"order": 2, "kind": "euler"})
    finish(store, "other", name="c", dt=0.3, flag=True, tags=["x", "y"], seed=7)
    begin(store, name="d", dt=0.4, missing=None).mark_failed("diverged")
    begin(store, name="e", dt=0.5, limit="a*")


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"dt": 0.1}, "a"),
        ({"dt__lt": 0.3}, "ab"),
        ({"dt__le": 0.3}, "abc"),
        ({"dt__gte": 0.4}, "de"),
        ({"dt__gt": 0.1, "dt__lt": 0.4}, "bc"),
        ({"dt__ne": 0.1}, "bcde"),
        ({"dt__in": [0.1, 0.5, 9]}, "ae"),
        ({"n__in": (1, 2)}, "ab"),
        ({"n__in": []}, ""),
        ({"solver__order": 2}, "b"),
        ({"solver__kind__like": "eu*"}, "b"),
        ({"missing": None}, "abcde"),
        ({"n": None}, "cde"),
        ({"n__ne": None}, "ab"),
        ({"flag": True}, "c"),
        ({"flag": 1}, "c"),
        ({"limit": "a*"}, "e"),
        ({"group": "lab/*"}, "ab"),
        ({"group": "lab/2023"}, "a"),
        ({"group__ne": "lab/2023"}, "b"),
        ({"status": "finished"}, "abc"),
        ({"status": "complete"}, "abc"),
        ({"status__ne": "complete"}, "de"),
        ({"status": "initialized"}, "e"),
        ({"status": "running"}, "e"),
        ({"state": "active"}, "e"),
        ({"state": "incomplete"}, "d"),
        ({"state__in": ["failed", "running"]}, "de"),
        ({"task": "other"}, "c"),
        ({"seed": 7}, "c"),
        ({"error__lt": 1}, "a"),
        ({"metrics__error": 0.5}, "a"),
        ({"params__dt": 0.1}, "a"),
        ({"run__task": "other"}, "c"),
        ({"replicate": 0}, "abcde"),
        ({"name": "a", "dt": 0.2}, ""),
    ],
    ids=str,
)
def test_keyword_filters_find_the_runs_they_describe(
    index: Index, filters: dict[str, Any], found: str
) -> None:
    assert "".join(names(index, **filters)) == found


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("dt < 0.2 or dt == 0.5", "ae"),
        ("not dt < 0.3", "cde"),
        ("solver.order == 2 and solver.kind == 'euler'", "b"),
        ("'x' in tags", "c"),
        ('tags == \'["x", "y"]\'', "c"),
        ("flag", "c"),
        ("missing is None", "abcde"),
        ("like(group, 'lab/*') and error < 1", "a"),
        ("n < dt", ""),
        ("n > dt", "ab"),
        ("status == 'finished' and dt < 0.25", "ab"),
        ("not state == 'active'", "abcd"),
        ("status in ('finished', 'failed')", "abcd"),
        ("reason == 'diverged'", "d"),
        ("timestamp > 0", "abcde"),
    ],
)
def test_expressions_find_the_runs_they_describe(index: Index, where: str, found: str) -> None:
    assert "".join(names(index, where)) == found


@pytest.mark.usefixtures("runs")
def test_an_expression_and_filters_go_together(index: Index) -> None:
    assert names(index, "dt > 0.1", status="finished") == ["b", "c"]
    assert index.find() == index.find("dt > 0")


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize(
    ("question", "hint"),
    [
        (lambda i: i.find(dtt=1), "did you mean 'dt'"),
        (lambda i: i.find("energie < 1"), "no column 'energie'"),
        (lambda i: i.find(dt__less=1), "no column 'dt.less'"),
        (lambda i: i.find(status="done"), "'done' is no status of a run"),
        (lambda i: i.find(state=3), "is no state"),
        (lambda i: i.find(dt=[1, 2]), "dt__in"),
        (lambda i: i.find(dt__in=3), "takes a list"),
        (lambda i: i.find(dt__in=[[1]]), "takes a list"),
        (lambda i: i.find(name__like=3), "pattern"),
        (lambda i: i.find(name=object()), "the value of name"),
        (lambda i: i.find("dt = 1"), "compare with '=='"),
        (lambda i: i.find(3), "is text"),
    ],
)
def test_a_question_that_cannot_be_meant_is_refused_with_a_hint(
    index: Index, question: Any, hint: str
) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        question(index)

    assert hint in str(refusal.value)


def test_a_parameter_that_is_called_like_a_column_of_every_run_has_to_be_qualified(
    store: Path, index: Index
) -> None:
    path = finish(store, runtime=5.0, dt=0.1, status="mine")

    with pytest.raises(InvalidInputError, match=r"write params\.runtime or run\.runtime"):
        index.find("runtime == 5")

    assert index.find("params.runtime == 5") == [path]
    assert index.find("run.runtime < 60") == [path]
    assert index.find(params__status="mine") == [path]
    assert index.find(status="complete") == [path]
    (row,) = index.table()
    assert (row["params.runtime"], row["params.status"], row["status"]) == (5.0, "mine", "complete")


def test_a_metric_that_is_called_like_a_parameter_has_a_column_of_its_own(
    store: Path, index: Index
) -> None:
    path = finish(store, x=1, metrics={"x": 2, "y": 3})

    (row,) = index.table("x == 1 and metrics.x == 2 and y == 3")

    assert (row["x"], row["metrics.x"], row["y"]) == (1, 2, 3)
    assert row["directory"] == str(path)


def test_the_result_of_a_task_can_be_asked_for(store: Path, index: Index) -> None:
    for number, result in enumerate(
        [3.5, {"g": 9.8, "long": "x" * 500, "more": [1]}, "word", None]
    ):
        log = begin(store, i=number)
        log.json("result", result)
        log.mark_complete()

    assert index.table("result == 3.5").to_dict()["i"] == [0]
    assert index.table("result.g > 9").to_dict()["i"] == [1]
    assert index.table("result == 'word'").to_dict()["i"] == [2]
    assert "result.long" not in index.table().columns


def test_values_keep_their_types_in_the_table(store: Path, index: Index) -> None:
    values = {"t": True, "i": 3, "f": 2.0, "big": 2**100, "s": "3", "none": None, "list": [1, "a"]}
    finish(store, **values)
    Logbook("plain", store, params={"f": math.inf, "nan": math.nan}).mark_complete()

    one, plain = index.table()

    assert {name: one[name] for name in values} == values | {"list": '[1, "a"]'}
    assert type(one["t"]) is bool
    assert plain["f"] == math.inf
    assert math.isnan(plain["nan"])
    assert len(index.find(f"big == {2**100}")) == 1
    assert index.find(f"big == {2**100 + 1}") == []
    assert len(index.find("f > 1e300")) == 1


def test_runs_of_no_task_are_found_beside_those_of_tasks(store: Path, index: Index) -> None:
    path = finish(store, dt=0.1)
    log = Logbook("by hand", store, params={"dt": 0.1, "max T": 3})
    log.mark_complete()

    assert index.find(dt=0.1) == [path, log.path]
    assert index.find("task is None and col('max T') == 3") == [log.path]
    assert index.find(run_id="by hand") == [log.path]


VALUES = st.one_of(
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from([0.5, 2.0, 2**63, 2**70, "", "a", "1"]),
    st.lists(st.integers(0, 1), max_size=1),
)
QUESTIONS = [
    "x == 1",
    "x != 1",
    "x < 1",
    "not x < 1",
    "x >= 0 and not y == 'a'",
    "x in (1, 'a', 2.0)",
    "x not in (1, 'a')",
    "x is None or y > 0",
    "x == y",
    "x < y or like(x, 'a*')",
    "x > 9e18",
    f"x == {2**70}",
    "x",
    "not x",
]


@settings(
    deadline=None,
    max_examples=10,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    rows=st.lists(
        st.fixed_dictionaries({}, optional={"x": VALUES, "y": VALUES}), min_size=1, max_size=4
    )
)
def test_the_index_finds_the_rows_that_a_table_selects(
    rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = tmp_path_factory.mktemp("store")
    for number, row in enumerate(rows):
        finish(store, number=number, **row)
    index = Index(store)
    table = index.table()

    for question in QUESTIONS:
        asked = [name for name in ("x", "y") if name in question and name not in table.columns]
        if asked:
            continue
        wanted = [row["number"] for row in table if predicate(parse(question))(row)]
        assert [row["number"] for row in index.table(question)] == wanted, question
    index.close()


def nested(times: int) -> str:
    text = "x == 1 or y == 'b'"
    for _ in range(times):
        text = f"(n >= 1 and not (n == 2 or state == 'failed' or not ({text})))"
    return text


@pytest.mark.parametrize(
    "where",
    [
        " or ".join(f"n == {number}" for number in range(3, 1000)),
        " or ".join(f"x == {number} and n > 0" for number in range(1, 3000)),
        f"n in ({', '.join(map(str, range(3, 70_000)))})",
        nested(5),
        nested(15),
        nested(24),
        "not " + nested(24),
        f"n == 1 and {nested(24)} and y is None",
    ],
    ids=["long", "longer", "values", "deep", "deeper", "deepest", "negated", "within"],
)
def test_an_expression_of_any_size_finds_what_a_table_selects(
    store: Path, index: Index, where: str
) -> None:
    rows: list[dict[str, Any]] = [{"n": 1, "x": 1}, {"n": 2, "x": 1}, {"n": 3, "y": "b"}, {"n": 4}]
    for row in rows:
        finish(store, **row)

    found = index.table(where).to_dict().get("n", [])

    assert found == index.table().select(where).to_dict()["n"]
    assert found


# SQL


@pytest.mark.usefixtures("runs")
def test_sql_reads_the_documented_tables(index: Index) -> None:
    table = index.sql(
        "SELECT task, count(*) AS count FROM experiments JOIN params ON run = id "
        "WHERE name = 'dt' AND value < 0.35 GROUP BY task ORDER BY task"
    )

    assert list(table) == [{"task": "other", "count": 1}, {"task": "simulate", "count": 2}]
    nested = index.sql(
        "SELECT json_extract(params, '$.solver.order') AS o FROM runs WHERE o IS NOT NULL"
    )
    assert nested.to_dict() == {"o": [2]}
    assert index.sql("SELECT 1, 1, 2 AS x, 3 AS x").columns == ["1", "1:2", "x", "x:2"]


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM runs",
        "UPDATE runs SET state = 'complete'",
        "INSERT INTO params VALUES (1, 'a', 2)",
        "DROP TABLE runs",
        "CREATE TABLE mine (x)",
        "CREATE TEMP TABLE mine (x)",
        "ATTACH 'other.sqlite' AS other",
        "PRAGMA user_version = 7",
        "PRAGMA query_only = OFF",
        "PRAGMA journal_mode = DELETE",
        "VACUUM",
        "VACUUM INTO 'copy.sqlite'",
        "BEGIN IMMEDIATE",
        "SELECT load_extension('x')",
        "REINDEX",
        "WITH x AS (SELECT 1) DELETE FROM runs",
    ],
)
def test_sql_that_would_do_more_than_read_is_refused(index: Index, query: str) -> None:
    before = list(index.table())

    with pytest.raises(InvalidInputError):
        index.sql(query)

    assert list(index.table()) == before
    assert not Path("other.sqlite").exists()
    assert not Path("copy.sqlite").exists()


@pytest.mark.parametrize("query", ["", "-- nothing", "SELECT 1; SELECT 2", "SELECT nope", "\0", 3])
def test_sql_that_is_no_question_is_refused(store: Path, index: Index, query: Any) -> None:
    finish(store, dt=0.1)

    with pytest.raises(InvalidInputError):
        index.sql(query)


# Other tools


@pytest.mark.usefixtures("runs")
def test_plain_sqlite3_reads_directories_in_the_second_column_by_time(index: Index) -> None:
    connection = sqlite3.connect(index.sqlite_file)
    rows = connection.execute("SELECT * FROM experiments ORDER BY timestamp DESC LIMIT 3")

    assert [Path(row[1]) for row in rows] == index.find()[::-1][:3]
    connection.close()


@pytest.mark.usefixtures("runs")
def test_pandas_reads_the_file_and_the_index(index: Index) -> None:
    pandas = pytest.importorskip("pandas")
    connection = sqlite3.connect(index.sqlite_file)
    frame = pandas.read_sql("SELECT * FROM experiments ORDER BY timestamp", connection)
    connection.close()

    assert list(frame.columns[:2]) == ["id", "directory"]
    assert index.to_dataframe()["name"].tolist() == list("abcde")


@pytest.mark.usefixtures("runs")
def test_arrow_libraries_take_the_index_as_a_stream(index: Index) -> None:
    arrow = pytest.importorskip("pyarrow")
    duckdb = pytest.importorskip("duckdb")

    runs = arrow.table(index)

    assert runs.column("name").to_pylist() == list("abcde")
    assert index.to_arrow().column_names == runs.column_names
    assert duckdb.sql("SELECT count(*) FROM runs WHERE dt < 0.35").fetchall() == [(3,)]
