"""`Records`: the rows of a table, also while it grows, and the forms others want them in."""

import builtins
import datetime as dt
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from helpers import start
from holdfast._sync import Durability
from holdfast.errors import InvalidInputError, MissingDependencyError, MissingFileError
from holdfast.records import Records, RecordWriter

ROWS: list[dict[str, Any]] = [
    {"iteration": 0, "loss": 0.5},
    {"iteration": 1, "phase": "test", "loss": 0.25},
    {"loss": None, "best": True},
]


@pytest.fixture
def writer() -> RecordWriter:
    return RecordWriter(Path("train.jsonl").absolute(), Durability())


@pytest.fixture
def records(writer: RecordWriter) -> Records:
    for row in ROWS:
        writer.save(row)
    return Records(writer.path)


def plain(rows: "list[dict[str, Any]] | Records") -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k != "timestamp"} for row in rows]


def test_rows_are_a_sequence_in_the_order_of_saving(records: Records) -> None:
    assert len(records) == 3
    assert plain(records) == ROWS
    assert plain(records[:]) == ROWS
    for part in (slice(1), slice(1, 3), slice(None, None, -1), slice(2, None, -2), slice(5, 9)):
        assert plain(records[part]) == ROWS[part]
    assert plain([records[0], records[-1]]) == [ROWS[0], ROWS[-1]]
    for number in (3, -4):
        with pytest.raises(IndexError):
            records[number]
    assert plain(list(reversed(records))) == ROWS[::-1]


def test_the_columns_are_those_of_all_rows_in_order_of_appearance(records: Records) -> None:
    assert records.columns == ["timestamp", "iteration", "loss", "phase", "best"]


def test_rows_show_when_they_were_saved(records: Records) -> None:
    times = [dt.datetime.fromisoformat(row["timestamp"]) for row in records]
    assert times == sorted(times)
    assert {time.utcoffset() for time in times} == {dt.timedelta(0)}


def test_rows_that_are_saved_later_are_there_at_once(
    records: Records, writer: RecordWriter
) -> None:
    assert len(records) == 3
    for number in range(100):
        writer.save(later=number)
        assert records[-1]["later"] == number
        assert len(records) == 4 + number
    assert records.columns[-1] == "later"


def test_a_large_table_is_read_in_blocks(writer: RecordWriter) -> None:
    for number in range(300):
        writer.save(n=number, filling="x" * (number * 131 % 20_000))
    writer.save(n=300, filling="x" * 3_000_000)
    writer.save(n=301)
    records = Records(writer.path)
    assert [row["n"] for row in records] == list(range(302))
    assert [row["n"] for row in records[250:20:-3]] == list(range(250, 20, -3))
    assert len(records[300]["filling"]) == 3_000_000


def test_rows_are_selected_by_expression_and_by_value(records: Records) -> None:
    assert plain(records.select("loss < 0.3")) == ROWS[1:2]
    assert plain(records.select(phase="test")) == ROWS[1:2]
    assert plain(records.select("loss > 0", iteration=0)) == ROWS[:1]
    assert plain(records.select(iteration=None)) == ROWS[2:]
    assert plain(records.select()) == ROWS
    last = records[1]["timestamp"]
    assert plain(records.select(f"timestamp >= '{last}'")) == ROWS[1:]
    with pytest.raises(InvalidInputError, match="did you mean 'phase'"):
        records.select("phas == 'test'")


def test_a_table_that_is_not_there_is_an_error_unless_it_may_still_come() -> None:
    with pytest.raises(MissingFileError, match=r"no table of records nowhere\.jsonl"):
        Records("nowhere.jsonl")
    records = Records("nowhere.jsonl", missing_ok=True)
    assert (len(records), records.columns, records.select("x > 1")) == (0, [], [])
    assert list(records) == records[:] == []
    assert records.problems == []
    RecordWriter(Path("nowhere.jsonl"), Durability()).save(x=1)
    assert [row["x"] for row in records] == [1]
    Path("nowhere.jsonl").unlink()
    with pytest.raises(MissingFileError):
        len(records)


def test_a_table_that_was_replaced_is_read_anew(records: Records) -> None:
    assert len(records) == 3
    Path("other").write_text('{"x": 1}\n')
    Path("other").replace(records.path)
    assert list(records) == [{"x": 1}]
    assert records.columns == ["x"]
    records.path.write_text('{"y":2}\n')
    assert list(records) == [{"y": 2}]


def test_a_table_that_others_wrote_can_be_read() -> None:
    Path("a.jsonl").write_bytes(
        b'{"x": 1, "timestamp": "2024-05-01T12:00:00"}\r\n\n  \n{"x": NaN}\n{"y": "\xc3\xbc"}'
    )
    records = Records("a.jsonl")
    assert [row.get("y") for row in records] == [None, None, "ü"]
    assert records.columns == ["timestamp", "x", "y"]
    assert records.to_pandas()["timestamp"][0] == pd.Timestamp("2024-05-01T12:00:00Z")
    RecordWriter(Path("a.jsonl"), Durability()).save(z=3)
    assert [row.get("z") for row in records] == [None, None, None, 3]
    assert records.problems == Records("a.jsonl").problems == []


def test_ctrl_c_while_a_table_is_read_leaves_it_readable(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = records._index._add

    def interrupted(line: bytes) -> None:
        add(line)
        if len(records._index) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(records._index, "_add", interrupted)
    with pytest.raises(KeyboardInterrupt):
        len(records)
    monkeypatch.undo()
    assert plain(records) == ROWS


# Following


def test_following_yields_what_is_there_and_what_comes_and_ends(writer: RecordWriter) -> None:
    followed = Records(writer.path, missing_ok=True).follow(lambda: done, poll=0.001)
    done = False
    writer.save(x=0)
    assert next(followed)["x"] == 0
    writer.save(x=1)
    writer.save(x=2)
    done = True
    assert [row["x"] for row in followed] == [1, 2]


def test_a_row_saved_before_the_end_is_seen_even_if_the_end_is_noticed_first(
    writer: RecordWriter,
) -> None:
    def ended() -> bool:
        writer.save(x=1)
        return True

    assert [r["x"] for r in Records(writer.path, missing_ok=True).follow(ended)] == [1]


def test_readers_in_another_thread_follow_a_writing_process_without_a_gap() -> None:
    program = """
        from pathlib import Path
        from holdfast._sync import Durability
        from holdfast.records import RecordWriter
        writer = RecordWriter(Path("a.jsonl"), Durability())
        writer.save(step=0)
        print("ready", flush=True)
        for step in range(1, 20_000):
            writer.save(step=step, filling="x" * (step * 37 % 5000))
    """
    process = start(program)
    found: list[list[int]] = []

    def follow() -> None:
        rows = Records("a.jsonl").follow(lambda: process.poll() is not None, poll=0.0)
        found.append([row["step"] for row in rows])

    threads = [threading.Thread(target=follow) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    process.communicate()
    assert found == [list(range(20_000))] * 2


def test_a_line_that_is_being_written_is_waited_for_and_no_problem(writer: RecordWriter) -> None:
    writer.save(x=1)
    records = Records(writer.path)
    line = b'{"timestamp": "2026-01-01T00:00:00+00:00", "x": 2}\n'

    def write_slowly() -> None:
        with writer.path.open("ab", 0) as file:
            for number in range(len(line)):
                file.write(line[number : number + 1])
                time.sleep(0.001)

    thread = threading.Thread(target=write_slowly)
    thread.start()
    rows = records.follow(lambda: not thread.is_alive(), poll=0.0)
    assert [row["x"] for row in rows] == [1, 2]
    assert records.problems == []


# Forms


def test_a_table_prints_under_its_header() -> None:
    Path("a.jsonl").write_text(
        '{"iteration": 0, "timestamp": "t", "loss": 0.5}\n'.replace('"t"', '"2026-01-01"')
        + '{"iteration": 10, "max\\u001b T": "a"}\n'
    )
    records = Records("a.jsonl")
    assert str(records.as_table()).splitlines() == [
        "timestamp   iteration  loss  max\\x1b T",
        "2026-01-01  0          0.5",
        "            10               a",
    ]
    assert repr(records.as_table()) == str(records.as_table())
    assert repr(records).startswith("Records('a.jsonl', 2 rows, columns=['timestamp', ")


def test_a_long_table_shows_its_ends_and_says_what_is_between(writer: RecordWriter) -> None:
    for number in range(1000):
        writer.save(n=number)
    lines = str(Records(writer.path).as_table(5)).splitlines()
    assert [line.split()[-1] for line in lines] == ["n", "0", "1", "2", "...", "998", "999"]
    assert lines[4] == "... 995 more rows ..."
    assert len(str(Records(writer.path).as_table(None)).splitlines()) == 1001
    assert "1000 rows, the first 50 and the last 50" in Records(writer.path)._repr_html_()


def test_a_table_without_rows_says_so() -> None:
    Path("a.jsonl").touch()
    assert str(Records("a.jsonl").as_table()) == "a: no rows"


def test_a_notebook_shows_values_escaped(writer: RecordWriter) -> None:
    writer.save({"<i>": "<script>"})
    html = Records(writer.path)._repr_html_()
    assert "<script>" not in html
    assert "<i>" not in html


def test_a_data_frame_has_the_same_values(records: Records, writer: RecordWriter) -> None:
    writer.save(iteration=2**60 + 1)
    frame = records.to_pandas()
    assert list(frame.columns) == records.columns
    assert isinstance(frame["timestamp"].dtype, pd.DatetimeTZDtype)
    times = [pd.Timestamp(row["timestamp"]) for row in records]
    assert frame["timestamp"].tolist() == times
    assert frame["iteration"].tolist() == [0, 1, pd.NA, 2**60 + 1]
    assert frame["loss"].tolist()[:2] == [0.5, 0.25]
    assert frame["loss"].dtype.kind == "f"


def test_an_arrow_table_has_the_same_values(records: Records) -> None:
    table = records.to_arrow()
    assert table.column_names == records.columns
    assert table.schema.field("timestamp").type == pa.timestamp("us", tz="UTC")
    assert table.drop_columns("timestamp").to_pylist() == [
        {name: row.get(name) for name in records.columns[1:]} for row in ROWS
    ]


def test_other_libraries_take_records_as_an_arrow_stream(records: Records) -> None:
    assert pa.table(records).column("iteration").to_pylist() == [0, 1, None]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2.5, None], [1.0, 2.5, None]),
        ([1, "a"], ["1", "a"]),
        ([True, 2], ["true", "2"]),
        ([2, True], ["2", "true"]),
        ([10**30, 1], [str(10**30), "1"]),
        ([1, [1]], ["1", "[1]"]),
        ([1j, None], ['{"$complex": [0.0, 1.0]}', None]),
        ([[1], [2.5]], [[1.0], [2.5]]),
        (["\udc80"], ["\\udc80"]),
        ([None], [None]),
    ],
)
def test_an_arrow_column_of_several_kinds_becomes_text(
    writer: RecordWriter, values: list[Any], expected: list[Any]
) -> None:
    for value in values:
        writer.save(x=value)
    assert Records(writer.path).to_arrow().column("x").to_pylist() == expected


@pytest.fixture
def without_packages(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    real = builtins.__import__

    def refuse(name: str, *rest: Any, **more: Any) -> Any:
        if name in ("pandas", "pyarrow"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    yield
    monkeypatch.undo()


@pytest.mark.usefixtures("without_packages")
def test_a_missing_package_is_named_with_the_extra_that_brings_it(records: Records) -> None:
    for call in (records.to_pandas, records.to_arrow, records.__arrow_c_stream__):
        with pytest.raises(MissingDependencyError, match=r"holdfast\[tables\]"):
            call()
