"""Torn and damaged files: what is whole is given, what is not is named, nothing else happens."""

import warnings
from pathlib import Path
from typing import Any

import pytest

from holdfast._sync import Durability
from holdfast.errors import HoldfastWarning
from holdfast.records import Records, RecordWriter, _index

ROWS: list[dict[str, Any]] = [{"n": 1}, {"n": 2, "text": "ü"}, {"n": 3, "z": 1j}]


@pytest.fixture
def path(monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(_index, "_QUIET_SECONDS", 0.0)
    path = Path("a.jsonl").absolute()
    writer = RecordWriter(path, Durability())
    for row in ROWS:
        writer.save(row)
    writer.close()
    return path


def read(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the rows without their times, and the problems, each of which was warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        records = Records(path)
        rows = [{k: v for k, v in row.items() if k != "timestamp"} for row in records]
        problems = records.problems
        assert len(records) == len(rows)
    assert [w.category for w in caught] == [HoldfastWarning] * bool(problems)
    for problem in problems[:3]:
        assert problem in str(caught[0].message)
    return rows, problems


def test_a_file_cut_at_any_byte_gives_its_whole_rows_and_names_the_torn_one(path: Path) -> None:
    content = path.read_bytes()
    lines = content.splitlines()
    for size in range(len(content)):
        path.write_bytes(content[:size])
        rows, problems = read(path)
        *ended, rest = content[:size].split(b"\n")
        whole = len(ended) + (rest in lines)  # with its closing brace, though its end is lost
        assert rows == ROWS[:whole]
        expected = [f"line {whole + 1}, the last, is unfinished after {len(rest)} bytes"]
        assert [p.partition(":")[0] for p in problems] == (
            [] if rest in lines or not rest else expected
        )


def test_a_row_saved_after_a_torn_one_stands_alone_wherever_it_was_torn(path: Path) -> None:
    content = path.read_bytes()
    for size in range(1, len(content)):
        path.write_bytes(content[:size])
        before, problems = read(path)
        RecordWriter(path, Durability()).save(n=4)
        RecordWriter(path, Durability()).save(n=5)
        assert path.read_bytes().startswith(content[:size])
        rows, later = read(path)
        assert rows == [*before, {"n": 4}, {"n": 5}]
        assert len(later) == len(problems)


def test_a_reader_that_saw_the_torn_row_sees_those_that_follow(path: Path) -> None:
    content = path.read_bytes()
    for size in range(1, len(content)):
        path.write_bytes(content[:size])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            records = Records(path)
            before = list(records)
            RecordWriter(path, Durability()).save(n=4)
            assert [row["n"] for row in records] == [*(row["n"] for row in before), 4]
            assert records.problems == Records(path).problems


def test_any_flipped_bit_spoils_only_its_own_line(path: Path) -> None:
    content = path.read_bytes()
    ends = [number for number, byte in enumerate(content) if byte == 10]
    for place in range(len(content)):
        for bit in range(8):
            damaged = bytearray(content)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            rows, _ = read(path)
            line = sum(end < place for end in ends)
            others = [row for n, row in enumerate(ROWS) if n != line]
            if content[place] == 10:  # two lines became one
                others = [row for n, row in enumerate(ROWS) if n not in (line, line + 1)]
            assert [row for row in rows if row in others] == others


def test_a_damaged_line_is_named_with_its_number_and_reason_and_left_out(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = b"\0" * 20 + b"\n"
    path.write_bytes(b"".join([*lines, b"[1]\n", b'{"timestamp": "noon"}\n', lines[0]]))
    rows, problems = read(path)
    assert [row["n"] for row in rows] == [1, 3, 1]
    assert problems[0].startswith("line 2: it is not valid JSON: ")
    assert problems[1:] == [
        "line 4: it holds a list, not an object",
        "line 5: its timestamp 'noon' is no time in ISO 8601",
    ]


def test_many_damaged_lines_make_one_short_warning(path: Path) -> None:
    path.write_bytes(b"x\n" * 1000)
    with pytest.warns(HoldfastWarning) as caught:
        assert len(Records(path)) == 0
    assert len(caught) == 1
    assert str(caught[0].message).endswith("; and 997 more, see problems")
    assert len(str(caught[0].message)) < 400


def test_a_problem_that_comes_later_is_warned_of_once(path: Path) -> None:
    records = Records(path)
    assert len(records) == 3
    with path.open("ab") as file:
        file.write(b"damaged\n")
    with pytest.warns(HoldfastWarning, match="line 4"):
        assert len(records) == 3
    assert len(records) == 3
    assert len(records.problems) == 1


def test_a_time_that_no_clock_shows_hides_no_other_row(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b'{"timestamp": "0001-01-01T00:00:00+05:00", "n": 4}\n')
    records = Records(path)
    assert records.to_pandas()["n"].tolist() == [1, 2, 3, 4]
    times = records.to_arrow().column("timestamp").to_pylist()
    assert times[3] is None
    assert all(times[:3])


def test_a_file_edited_while_rows_are_read_is_a_clear_error(path: Path) -> None:
    rows = iter(Records(path))
    content = path.read_bytes()
    path.write_bytes(b" " * len(content))
    with pytest.raises(ValueError, match="was changed while it was read"):
        list(rows)
