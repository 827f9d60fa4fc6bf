"""The text of ``index.csv``: types survive it, and every other program can read it."""

import csv
import io
import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import FormatError
from holdfast.sweeps._csv import Header, records
from holdfast.sweeps._rows import RunRow

TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.sampled_from(
        ["0.1", "1", "-1e5", "nan", "inf", "-inf", "True", "False", "None", "", " ", " a", "a "]
    ),
    st.sampled_from(['"', '""', "a,b", "a\nb", "a\r\nb", "\r", "\n", "'", "\t", "٣", "1_000"]),
)
VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS)
CLASHING = ["run_id", "status", "state", "params.status", "params.params.status", "params.x"]
CLASHING += ["x", "metrics.x", "metrics.metrics.x", "metrics.status", "retry"]
NAMES = st.one_of(TEXTS, st.sampled_from(CLASHING))
ROWS = st.builds(
    RunRow,
    TEXTS,
    st.dictionaries(NAMES, VALUES, max_size=4),
    st.sampled_from(["complete", "missing", "error"]),
    st.sampled_from(["complete", "failed", "interrupted"]),
    st.dictionaries(NAMES, VALUES, max_size=4),
)


def written(rows: list[RunRow]) -> str:
    header = Header.of(rows)
    return header.format_header() + "".join(map(header.format, rows))


def read(text: str) -> list[RunRow]:
    (_, names), *lines = records(text)
    header = Header.parse(names)
    assert header is not None
    rows = [header.parse_row(cells) for _, cells in lines]
    assert None not in rows
    return [row for row in rows if row is not None]


def exactly(row: RunRow) -> tuple[Any, ...]:
    """Return a row so that 1, 1.0 and True differ, and nan equals itself."""
    values = [
        {name: (type(v), repr(v)) for name, v in part.items()} for part in (row.params, row.metrics)
    ]
    return row.run_id, row.status, row.state, *values


@settings(deadline=None)
@given(st.lists(ROWS, max_size=4))
def test_rows_come_back_with_their_types(rows: list[RunRow]) -> None:
    assert list(map(exactly, read(written(rows)))) == list(map(exactly, rows))


@settings(deadline=None)
@given(st.lists(ROWS, max_size=4))
def test_the_csv_module_reads_rectangular_rows_of_the_same_texts(rows: list[RunRow]) -> None:
    header = Header.of(rows)

    names, *lines = csv.reader(io.StringIO(written(rows), newline=""), strict=True)

    assert names == header.names
    assert len(set(names)) == len(names)
    for row, line in zip(rows, lines, strict=True):
        cells = dict(zip(names, line, strict=True))
        for name, value in header.values(row).items():
            assert cells[name] == (value if isinstance(value, str) else repr(value))


@settings(deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=4))
def test_each_record_is_given_with_its_own_text(rows: list[RunRow]) -> None:
    text = written(rows)

    assert "".join(record for record, _ in records(text)) == text


@settings(deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=3), st.data())
def test_a_text_cut_off_anywhere_is_whole_records_or_refused(
    rows: list[RunRow], data: st.DataObject
) -> None:
    text = written(rows)
    whole = [record for record, _ in records(text)]
    cut = text[: data.draw(st.integers(1, len(text)))]

    try:
        found = [record for record, _ in records(cut)]
    except FormatError:
        return

    assert found == whole[: len(found)]
    assert "".join(found) == cut


@pytest.mark.parametrize(
    "text",
    [
        'run_id,status,state\n"a\n',
        'run_id,status,state\na"b,x,y\n',
        'run_id,status,state\n"a"b,x,y\n',
        "run_id,status,state\r\na,x,y\r\n",
        "run_id,status,state",
        'run_id,status,state\n"a",x,y',
    ],
)
def test_what_the_index_never_writes_is_refused(text: str) -> None:
    with pytest.raises(FormatError):
        list(records(text))


@pytest.mark.parametrize(
    "line",
    [
        "run_id,dt,status\n",  # notata's own
        "run_id,state,status\n",
        "id,status,state\n",
        "run_id,dt,dt,status,state\n",
        "run_id,dt,status,state,dt\n",
        "run_id,status,status,state\n",
        "run_id,1,status,state\n",
        "run_id,,status,state\n",
        "a,b\n",
        "\n",
    ],
)
def test_a_header_of_another_kind_of_table_is_no_index(line: str) -> None:
    ((_, cells),) = records(line)

    assert Header.parse(cells) is None


def test_a_parameter_and_a_metric_of_one_name_have_a_column_each() -> None:
    rows = [
        RunRow("a", {"x": 1}, "complete", "complete", {"x": 2}),
        RunRow("b", {}, "complete", "complete", {"x": 3}),
        RunRow("c", {"status": "mine", "params.status": 4}, metrics={"run_id": 5}),
    ]

    table = [Header.of(rows).values(row) for row in rows]

    assert [(r.get("x"), r.get("metrics.x")) for r in table[:2]] == [(1, 2), (None, 3)]
    assert table[2]["params.status"] == "mine"
    assert table[2]["params.params.status"] == 4
    assert (table[2]["run_id"], table[2]["metrics.run_id"]) == ("c", 5)


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (0.1, "0.1"),
        ("0.1", '"0.1"'),
        (10**30, "1" + "0" * 30),
        (math.inf, "inf"),
        (None, "None"),
        ("None", '"None"'),
        ("", '""'),
        ("verlet", "verlet"),
        ('say "a"', '"say ""a"""'),
    ],
)
def test_a_cell_is_in_quotes_when_it_is_text_that_looks_like_something_else(
    value: Any, cell: str
) -> None:
    line = Header(["x"], []).format(RunRow("r", {"x": value}))

    assert line == f"r,{cell},missing,running\n"


def test_pandas_reads_numbers_as_numbers() -> None:
    rows = [
        RunRow("a", {"dt": 0.1, "n": 3}, "complete", "complete", {"E": -math.inf, "ok": True}),
        RunRow("b", {"dt": 0.25, "n": 4}, "complete", "complete", {"E": math.nan, "ok": False}),
    ]

    frame = pd.read_csv(io.StringIO(written(rows)))

    kinds: Mapping[str, str] = {name: frame[name].dtype.kind for name in ("dt", "n", "E", "ok")}
    assert kinds == {"dt": "f", "n": "i", "E": "f", "ok": "b"}
    assert frame["dt"].tolist() == [0.1, 0.25]
