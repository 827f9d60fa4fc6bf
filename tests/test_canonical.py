"""Parameters in canonical form: what the published vectors say, and what casting accepts."""

import dataclasses
import datetime as dt
import decimal
import enum
import json
import math
import re
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NewType, TypedDict

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from holdfast import get
from holdfast._plain import from_plain
from holdfast.canonical import canonical, canonical_text, cast, identity
from holdfast.errors import InvalidInputError

PAGE = Path(__file__).resolve().parents[1] / "docs" / "identity.md"
_ROW = re.compile(r"^\| `(get\(.*\))` \| `([0-9a-f]{32})` \|$", re.MULTILINE)
_PROGRAM = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Step(enum.IntEnum):
    ONE = 1


class Point(NamedTuple):
    x: float
    y: float = 0.0


class Options(TypedDict, total=False):
    a: int


@dataclasses.dataclass
class Inner:
    dt: float = 0.1
    names: list[str] = dataclasses.field(default_factory=list)
    derived: float = dataclasses.field(init=False, default=1.0)


class Model(BaseModel):
    size: int
    inner: Inner = Inner()


UserId = NewType("UserId", int)


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    """Return what the programs of the page define."""
    namespace: dict[str, Any] = {"__name__": "identity_page"}
    for program in _PROGRAM.findall(PAGE.read_text(encoding="utf-8")):
        exec(program, namespace)  # noqa: S102 - a page of this repository
    return namespace


def test_the_published_vectors_are_what_get_computes(page: dict[str, Any]) -> None:
    rows = _ROW.findall(PAGE.read_text(encoding="utf-8"))
    assert len(rows) > 30
    for call, expected in rows:
        run = eval(call, page)  # noqa: S307 - a page of this repository
        assert run.id == expected, call


def test_the_tables_say_rightly_what_is_the_same_and_what_is_not() -> None:
    text = PAGE.read_text(encoding="utf-8")
    same, other = text.split("## What is not")
    assert len({found for _, found in _ROW.findall(same)}) == 1
    rows = dict(_ROW.findall(other))
    first, second = (
        f'get(decay, {{"options": {options}}})'
        for options in ('{"b": 2, "a": 1}', '{"a": 1, "b": 2}')
    )
    assert rows.pop(first) == rows[second]
    assert len(set(rows.values())) == len(rows)


def test_an_identity_can_be_computed_with_the_standard_library_alone() -> None:
    import hashlib

    params = {"b": [1, 2.5], "a": "ü"}
    hashed = {"task": "t", "params": params, "replicate": 3, "seed": None}
    text = json.dumps(hashed, sort_keys=True, separators=(",", ":"))
    expected = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    assert identity("t", params, replicate=3) == expected


CASTS: list[tuple[Any, Any, Any]] = [
    (2, float, 2.0),
    (np.float32(0.5), float, 0.5),
    (2.0, int, 2),
    (np.int64(3), int, 3),
    (np.bool_(True), bool, True),  # noqa: FBT003 - the value under test
    (1, complex, 1 + 0j),
    ("a/b", Path, Path("a/b")),
    ("red", Colour, Colour.RED),
    (Colour.RED, Colour, Colour.RED),
    (1, Step, Step.ONE),
    ("2024-05-01", dt.date, dt.date(2024, 5, 1)),
    (1.5, dt.timedelta, dt.timedelta(seconds=1.5)),
    ("0.1", decimal.Decimal, decimal.Decimal("0.1")),
    (
        "12345678123456781234567812345678",
        uuid.UUID,
        uuid.UUID(int=0x12345678123456781234567812345678),
    ),
    ((1, 2), list[float], [1.0, 2.0]),
    (np.arange(2), list[int], [0, 1]),
    ([1, 2], tuple[float, ...], (1.0, 2.0)),
    ([1, "a"], tuple[float, str], (1.0, "a")),
    ([1, 1], set[int], {1}),
    ([1], Sequence[float], [1.0]),
    ({"a": 1}, dict[str, float], {"a": 1.0}),
    ({"a": 1}, Mapping[str, Any], {"a": 1}),
    ({"a": 1}, Options, {"a": 1}),
    (None, float | None, None),
    (1, float | int, 1),
    (1, float | str, 1.0),
    ("fast", Literal["fast", "slow"], "fast"),
    (3, Annotated[float, "metres"], 3.0),
    (3, UserId, 3),
    ([1, 2], Point, Point(1.0, 2.0)),
    ("x", Any, "x"),
    (np.float64(2), np.float32, np.float32(2)),
]


@pytest.mark.parametrize(("value", "kind", "expected"), CASTS)
def test_a_value_becomes_what_its_annotation_asks_for(value: Any, kind: Any, expected: Any) -> None:
    made = cast(value, kind, "x")
    assert made == expected
    assert type(made) is type(expected)
    stored = from_plain(json.loads(canonical_text(canonical(made, "x"))))
    assert cast(stored, kind, "x") == expected, "what is stored gives the same value again"


REFUSED: list[tuple[Any, Any, str]] = [
    ("2", float, "x must be float, not '2' (str)"),
    (True, float, "x must be float"),
    (True, int, "x must be int"),
    (1, bool, "x must be bool"),
    (2.5, int, "x must be int, not 2.5"),
    (2**53 + 1, float, "cannot hold this number"),
    (10**400, float, "cannot hold this number"),
    (None, float, "x must be float, not None"),
    ("ab", list[str], "x must be list"),
    ([1, "a"], list[int], "x[1] must be int"),
    ([1], tuple[int, int], "x takes 2 values, not 1"),
    ({"a": "b"}, dict[str, int], "x['a'] must be int"),
    ("rot", Colour, "one of 'red', 'blue'"),
    ("fats", Literal["fast", "slow"], "did you mean 'fast'"),
    (1, str, "x must be str"),
    ("yesterday", dt.date, "x must be date"),
    ("x", float | int, "x must be float or int"),
    (3, object.__new__, "not understood"),
    ([[1], [1, 2]], npt.NDArray[np.float64], "cannot be an array"),
]


@pytest.mark.parametrize(("value", "kind", "message"), REFUSED)
def test_what_would_lose_something_or_guess_is_refused(value: Any, kind: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        cast(value, kind, "x")


def test_an_array_is_cast_to_its_dtype_and_stored_as_a_list() -> None:
    made = cast([1, 2], npt.NDArray[np.float64], "x")
    assert made.dtype == np.float64
    assert canonical(made, "x") == [1.0, 2.0]


def test_a_config_is_made_of_its_fields_and_wrong_names_are_hinted_at() -> None:
    made = cast({"dt": 1, "names": ("a",)}, Inner, "x")
    assert made == Inner(dt=1.0, names=["a"])
    assert canonical(made, "x") == {"dt": 1.0, "names": ["a"]}, "derived fields do not count"
    with pytest.raises(InvalidInputError, match=r"x has no parameter 'nmes'.*did you mean 'names'"):
        cast({"nmes": []}, Inner, "x")
    with pytest.raises(InvalidInputError, match=r"x\.dt must be float"):
        cast({"dt": "a"}, Inner, "x")


def test_a_pydantic_model_casts_by_its_own_rules() -> None:
    made = cast({"size": "3", "inner": {"dt": 2}}, Model, "x")
    assert made.size == 3
    assert canonical(made, "x") == {"size": 3, "inner": {"dt": 2.0, "names": []}}
    with pytest.raises(InvalidInputError, match="x: 1 validation error"):
        cast({"size": "many"}, Model, "x")
    with pytest.raises(InvalidInputError, match="did you mean 'size'"):
        cast({"siz": 3}, Model, "x")


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        [math.nan],
        {"a": np.float64("nan")},
        np.array([1.0, math.nan]),
        complex(0, math.nan),
    ],
)
def test_nan_is_refused_wherever_it_is(value: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"simulate: dt.* is NaN"):
        canonical(value, "simulate: dt")


RING: list[Any] = []
RING.append({"ring": RING})


@pytest.mark.parametrize("value", ["\udc80", Path("\udc80"), {"\udc80": 1}, [["a\ud800"]]])
def test_text_that_no_file_of_a_run_holds_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInputError, match="holds half a character"):
        canonical(value, "x")


def test_what_contains_itself_is_refused() -> None:
    wrongs: list[Any] = [RING, {"x": RING}]
    for wrong in wrongs:
        with pytest.raises(InvalidInputError, match="does it contain itself"):
            canonical(wrong, "x")
    deep: Any = {}
    deep["deep"] = deep
    with pytest.raises(InvalidInputError, match="does it contain itself"):
        get(free, [{"x": deep}, {"x": deep}])


def free(x: Any = None) -> Any:
    return x


@pytest.mark.parametrize("value", [{1: 2}, [{"a": {None: 1}}], {("a",): 1}])
def test_keys_that_are_no_text_are_refused(value: Any) -> None:
    with pytest.raises(InvalidInputError, match="use text as keys"):
        canonical(value, "x")


@pytest.mark.parametrize("value", [object(), [object()], open, b"bytes", lambda: 0])
def test_values_without_a_plain_form_are_refused(value: Any) -> None:
    with pytest.raises(InvalidInputError, match="plain form"):
        canonical(value, "x")


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.complex_numbers(allow_nan=False)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_the_canonical_form_of_what_was_stored_is_the_same(value: Any) -> None:
    plain = canonical(value, "x")
    text = canonical_text(plain)
    stored = from_plain(json.loads(text))
    assert canonical_text(canonical(stored, "x")) == text
    assert text.isascii()


@given(st.dictionaries(st.text(), SCALARS, max_size=6))
def test_the_order_of_keys_does_not_matter(value: dict[str, Any]) -> None:
    turned = dict(reversed(value.items()))
    assert identity("t", canonical(turned, "x")) == identity("t", canonical(value, "x"))


@given(VALUES, VALUES)
def test_different_values_have_different_identities(one: Any, two: Any) -> None:
    first, second = canonical({"a": one}, "x"), canonical({"a": two}, "x")
    same = canonical_text(first) == canonical_text(second)
    assert (identity("t", first) == identity("t", second)) == same
