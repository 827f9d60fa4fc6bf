"""`Table`: rows with the same columns, and the forms others want them in."""

import builtins
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pytest

from holdfast import InvalidInputError, MissingDependencyError, Table

ROWS: list[dict[str, Any]] = [
    {"run_id": "b", "dt": 0.1, "n": 3, "name": "euler"},
    {"run_id": "a", "dt": 0.01, "name": "verlet"},
    {"run_id": "c", "dt": math.nan, "n": 1, "name": None},
]
COLUMNS = ["run_id", "dt", "n", "name"]


@pytest.fixture
def table() -> Table:
    return Table(ROWS, COLUMNS, "runs")


def ids(table: Table) -> list[str]:
    return [row["run_id"] for row in table]


def test_every_row_has_every_column(table: Table) -> None:
    assert [list(row) for row in table] == [COLUMNS] * 3
    assert table[1]["n"] is None
    assert len(table) == 3
    assert table.to_dict()["n"] == [3, None, 1]


def test_rows_are_selected_by_expression_and_by_value(table: Table) -> None:
    assert ids(table.select("dt < 0.05")) == ["a"]
    assert ids(table.select(name="euler")) == ["b"]
    assert ids(table.select("n > 0", name="euler")) == ["b"]
    assert ids(table.select(n=None)) == ["a"]
    assert ids(table.select()) == ["b", "a", "c"]
    assert table.select("dt < 0.05").columns == COLUMNS


def test_a_column_that_is_not_there_is_refused_with_the_nearest(table: Table) -> None:
    calls: list[Callable[[], object]] = [
        lambda: table.select("nam == 'euler'"),
        lambda: table.select(nam="euler"),
        lambda: table.sort("nam"),
        lambda: table.only(["run_id", "nam"]),
    ]
    for call in calls:
        with pytest.raises(InvalidInputError, match="did you mean 'name'"):
            call()


def test_an_empty_table_has_nothing_to_select_and_no_complaint() -> None:
    assert len(Table([], ["run_id"]).select("dt < 1")) == 0


def test_sorting_puts_what_has_no_order_last(table: Table) -> None:
    assert ids(table.sort("dt")) == ["a", "b", "c"]
    assert ids(table.sort("dt", descending=True)) == ["b", "a", "c"]
    assert ids(table.sort("n")) == ["c", "b", "a"]


def test_numbers_sort_before_text() -> None:
    mixed = Table([{"x": v} for v in ("b", 2, "a", 1.5, True)], ["x"])

    assert [row["x"] for row in mixed.sort("x")] == [True, 1.5, 2, "a", "b"]


def test_some_columns_can_be_left_out(table: Table) -> None:
    assert table.only(["dt", "run_id"])[0] == {"dt": 0.1, "run_id": "b"}


def test_a_table_prints_in_columns(table: Table) -> None:
    assert str(table).splitlines() == [
        "run_id  dt    n  name",
        "b       0.1   3  euler",
        "a       0.01     verlet",
        "c       nan   1",
    ]
    assert repr(table) == f"Table('runs', 3 rows, columns={COLUMNS})"


def test_a_notebook_shows_values_escaped() -> None:
    html = Table([{"<i>": "<script>"}], ["<i>"], "<b>")._repr_html_()

    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "<i>" not in html
    assert "<b>" not in html


def test_a_notebook_shows_the_first_and_last_of_very_many_rows() -> None:
    rows = [{"run_id": f"run{number}"} for number in range(100_000)]

    html = Table(rows, ["run_id"], "e")._repr_html_()

    assert "e: 100000 rows, the first 50 and the last 50 shown" in html
    shown = re.findall(r"<td>(.*?)</td>", html)
    assert shown[:2] == ["run0", "run1"]
    assert shown[49:52] == ["run49", "… 99900 rows left out …", "run99950"]
    assert shown[-1] == "run99999"
    assert "left out" not in Table(rows[:100], ["run_id"], "e")._repr_html_()
    assert "<table>" in Table([{}] * 200, [])._repr_html_()


def test_a_notebook_shows_the_state_of_a_run_beside_its_id() -> None:
    columns = ["run_id", "x", "status", "state", "y"]

    html = Table([dict.fromkeys(columns, 1)], columns)._repr_html_()
    chosen = Table([dict.fromkeys(columns, 1)], columns).only(["x", "state"])._repr_html_()

    assert re.findall(r"<th>(.*?)</th>", html) == ["run_id", "state", "x", "status", "y"]
    assert re.findall(r"<th>(.*?)</th>", chosen) == ["x", "state"]


def test_a_data_frame_has_the_same_values(table: Table) -> None:
    frame = table.to_dataframe()

    assert list(frame.columns) == COLUMNS
    assert frame["dt"].dtype.kind == "f"
    assert frame["name"].tolist()[:2] == ["euler", "verlet"]
    assert frame["n"].isna().tolist() == [False, True, False]


def test_an_arrow_table_has_the_same_values(table: Table) -> None:
    arrow = table.to_arrow()

    assert arrow.column_names == COLUMNS
    assert arrow.column("n").to_pylist() == [3, None, 1]
    assert arrow.column("name").to_pylist() == ["euler", "verlet", None]


def test_other_libraries_take_a_table_as_an_arrow_stream(table: Table) -> None:
    assert pa.table(table).column("run_id").to_pylist() == ["b", "a", "c"]
    assert pa.RecordBatchReader.from_stream(table).schema.names == COLUMNS


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2.5, None], [1.0, 2.5, None]),
        ([1, "a"], ["1", "a"]),
        ([True, 2], ["true", "2"]),
        ([10**30, 1], [str(10**30), "1"]),
        ([10**400, 0.5], [str(10**400), "0.5"]),
        ([None, None], [None, None]),
        ([], []),
    ],
    ids=["numbers", "mixed", "truth", "huge", "huge and float", "nothing", "empty"],
)
def test_an_arrow_column_of_several_kinds_is_widened(values: list[Any], expected: Any) -> None:
    arrow = Table([{"x": value} for value in values], ["x"]).to_arrow()

    assert arrow.column("x").to_pylist() == expected


@pytest.fixture
def without_packages(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    real = builtins.__import__

    def refuse(name: str, *rest: Any, **more: Any) -> Any:
        if name in ("pandas", "pyarrow"):
            raise ImportError(name)
        return real(name, *rest, **more)

    with monkeypatch.context() as patched:
        patched.setattr(builtins, "__import__", refuse)
        yield


@pytest.mark.usefixtures("without_packages")
def test_a_missing_package_is_named_with_the_extra_that_brings_it(table: Table) -> None:
    for call in (table.to_dataframe, table.to_arrow, table.__arrow_c_stream__):
        with pytest.raises(MissingDependencyError, match=r"holdfast\[tables\]"):
            call()


def test_a_table_made_from_its_columns_is_the_same() -> None:
    table = Table([{"a": 1, "b": "x"}, {"a": 2}], ["a", "b"], "runs")

    again = Table.of_columns(table.to_dict(), "runs")

    assert len(again) == 2
    assert again.to_dict() == table.to_dict()
    assert list(again) == list(table)
    assert (again.columns, again.title) == (table.columns, table.title)
    again[0]["a"] = 5
    assert again.to_dict()["a"] == [5, 2]
    assert list(Table.of_columns({})) == []
    assert len(Table.of_columns({})) == 0
