import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import json
import math
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast._plain import (
    dump_json,
    fields_as_value,
    fields_to_plain,
    from_plain,
    load_json,
    to_plain,
)
from holdfast.errors import FormatError, InvalidInputError

TAGS = st.sampled_from(["$numberDouble", "$complex", "$literal"])
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.complex_numbers()
    | st.sampled_from(["NaN", "Infinity"])
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | TAGS, inner, max_size=3),
    max_leaves=20,
)


def same(left: Any, right: Any) -> bool:
    """Equal, of the same types, and NaN is NaN."""
    return repr(left) == repr(right)


@given(VALUES)
def test_what_is_saved_as_json_comes_back_as_it_was(value: Any) -> None:
    assert same(load_json(dump_json(to_plain(value, "value")), "file"), value)


@given(VALUES)
def test_strict_parsers_read_every_json_file(value: Any) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    json.loads(dump_json(to_plain(value, "value")), parse_constant=refuse)


@given(VALUES)
def test_a_value_is_never_changed_by_being_saved(value: Any) -> None:
    before = repr(value)
    to_plain(value, "value")
    assert repr(value) == before


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Point(NamedTuple):
    x: float
    y: float


@dataclasses.dataclass(frozen=True, slots=True)
class Solver:
    name: str
    tolerance: np.float64
    start: Point


class Model:
    def model_dump(self) -> dict[str, int]:
        return {"n": 1}


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.float64(0.5), 0.5),
        (np.float32(0.5), 0.5),
        (np.int8(-3), -3),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.bool_(True), True),  # noqa: FBT003 - the value under test
        (np.str_("x"), "x"),
        (np.bytes_(b"x"), "x"),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array(7), 7),
        (np.array([]), []),
        (np.array([True, False]), [True, False]),
        (np.array(["a", "b"]), ["a", "b"]),
        (np.array([b"a", b"b"]), ["a", "b"]),
        (np.array([1, "x", None], dtype=object), [1, "x", None]),
        (np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]), {"a": [1], "b": [2.0]}),
        (np.ma.array([1, 2], mask=[False, True]), [1, None]),
        (np.datetime64("2024-01-02"), "2024-01-02"),
        (np.array(["2024-01-02"], "datetime64[D]"), ["2024-01-02"]),
        (np.timedelta64(1500, "ms"), 1.5),
        (np.array([1500], "timedelta64[ms]"), [1.5]),
        (Path("a/b"), "a/b"),
        (dt.datetime(2024, 1, 2, 3, 4, 5, tzinfo=dt.UTC), "2024-01-02T03:04:05+00:00"),
        (dt.date(2024, 1, 2), "2024-01-02"),
        (dt.time(3, 4), "03:04:00"),
        (dt.timedelta(minutes=2), 120.0),
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        ({Colour.RED: 1, 2: 3, np.int64(4): 5, True: 6}, {"red": 1, "2": 3, "4": 5, "True": 6}),
        (Point(1.0, 2.0), {"x": 1.0, "y": 2.0}),
        (
            Solver("cg", np.float64(1e-6), Point(0.0, 1.0)),
            {"name": "cg", "tolerance": 1e-6, "start": {"x": 0.0, "y": 1.0}},
        ),
        (Model(), {"n": 1}),
        ((1, 2), [1, 2]),
        (range(3), [0, 1, 2]),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset(["b", "a"]), ["a", "b"]),
        (collections.deque([1, 2]), [1, 2]),
        (collections.OrderedDict(a=1), {"a": 1}),
        (decimal.Decimal("0.10"), "0.10"),
        (fractions.Fraction(1, 3), "1/3"),
        (uuid.UUID(int=0), "00000000-0000-0000-0000-000000000000"),
        (1 + 2j, {"$complex": [1.0, 2.0]}),
        (np.complex64(1 + 2j), {"$complex": [1.0, 2.0]}),
        (np.array([1j]), [{"$complex": [0.0, 1.0]}]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_that_scientists_log_have_a_plain_form(value: Any, plain: Any) -> None:
    assert same(to_plain(value, "value"), plain)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, complex(math.nan, -math.inf)])
def test_numbers_that_are_not_finite_come_back_as_they_were(value: Any) -> None:
    content = dump_json(to_plain({"a": [value]}, "value"))
    assert same(load_json(content, "file"), {"a": [value]})


def test_numbers_that_are_not_finite_are_written_so_that_one_sees_what_they_are() -> None:
    assert json.loads(dump_json([math.nan, -math.inf])) == [
        {"$numberDouble": "NaN"},
        {"$numberDouble": "-Infinity"},
    ]


@pytest.mark.parametrize(
    "value", [object(), b"bytes", bytearray(1), lambda: None, iter([]), int, Solver, math,
              np.array([b"x", object()], dtype=object), np.timedelta64(1, "Y"), {(1, 2): 3},
              {"a": {"b": object()}}, {b"x": 1}, {1: 1, "1": 2}]
)  # fmt: skip
def test_a_value_without_a_plain_form_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInputError, match="params"):
        to_plain(value, "params")


def test_the_message_names_the_part_that_cannot_be_stored() -> None:
    with pytest.raises(InvalidInputError, match=r"params\['a'\]\[1\]\['f'\] is a builtins.object"):
        to_plain({"a": [1, {"f": object()}]}, "params")


def test_a_value_that_contains_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(InvalidInputError, match="contain itself"):
        to_plain(value, "params")


@given(st.dictionaries(st.text() | TAGS, VALUES, max_size=3))
def test_fields_come_back_whatever_their_names_are(fields: dict[str, Any]) -> None:
    merged: dict[str, Any] = {}
    for name, value in fields.items():
        merged |= fields_to_plain({name: value}, "params")
    assert same(load_json(dump_json(fields_as_value(merged)), "file"), fields)


@pytest.mark.parametrize(
    "foreign",
    [{"$numberDouble": "1.5"}, {"$numberDouble": []}, {"$numberDouble": {}}, {"$complex": "x"},
     {"$complex": ["a", 1]}, {"$complex": [1.0]}, {"$complex": [None, {}]}, {"$literal": 3}]
)  # fmt: skip
def test_a_foreign_file_that_looks_like_ours_is_read_as_it_is(foreign: Any) -> None:
    assert from_plain(foreign) == foreign
    assert load_json(json.dumps(foreign).encode(), "file") == foreign


@pytest.mark.parametrize(
    "content", [b"", b" \n", b"{", b"{'a': 1}", b'{"a": 1', b"\xff\xfe", b"nul", b"\0" * 10,
                b"[" * 100_000, b'{"$literal":' * 900 + b"1" + b"}" * 900]
)  # fmt: skip
def test_a_damaged_file_says_which_one_it_is(content: bytes) -> None:
    try:
        load_json(content, "the/file.json")
    except FormatError as error:
        assert "the/file.json" in str(error)  # noqa: PT017 - the last of them may be readable
    else:
        assert content.startswith(b'{"$literal"')


def test_an_empty_file_is_called_empty() -> None:
    with pytest.raises(FormatError, match="it is empty"):
        load_json(b"", "file")


def test_half_a_surrogate_pair_survives() -> None:
    text = "file\udcff"
    assert load_json(dump_json(text), "file") == text


_TOO_LONG = 10**4300


@pytest.mark.parametrize(
    "value",
    [_TOO_LONG, -_TOO_LONG, [_TOO_LONG], {_TOO_LONG: 1}],
    ids=["positive", "negative", "in a list", "as a key"],
)
def test_a_whole_number_that_no_reader_takes_is_refused_with_its_place(value: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"params.*4300 digits"):
        to_plain({"n": value}, "params")
    assert to_plain(10**4300 - 1, "params") == 10**4300 - 1


def test_a_value_that_contains_itself_is_told_in_a_short_message() -> None:
    value: dict[str, Any] = {}
    value["a long name of a part"] = value
    with pytest.raises(InvalidInputError, match="does it contain itself") as caught:
        to_plain(value, "params")
    assert len(str(caught.value)) < 300
