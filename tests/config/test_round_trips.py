"""Dataclasses nobody wrote: generated fields with generated values come back the same."""

import datetime as dt
import enum
from dataclasses import field, make_dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.config import YamlConfig


class Colour(enum.Enum):
    RED = "red"
    NO = "no"
    ONE = 1


_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_WORDS = st.sampled_from(["no", "1e-3", "null", "0x1F", "2024-01-01", "~", "- a", "a: b", "<<"])
# ISO 8601 has no word for the second of two equal times on a clock that is set back.
_MOMENTS = st.datetimes().map(lambda moment: moment.replace(fold=0))
_LEAVES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, st.integers(-(2**70), 2**70)),
    (float, st.floats(allow_nan=False)),
    (bool, st.booleans()),
    (str, _TEXTS | _WORDS),
    (Path, st.sampled_from([Path("a/b"), Path("/x"), Path("no"), Path("1")])),
    (PurePosixPath, st.just(PurePosixPath("q/r"))),
    (Colour, st.sampled_from(Colour)),
    (Literal["a", 1, True], st.sampled_from(["a", 1, True])),
    (dt.datetime, _MOMENTS | _MOMENTS.map(lambda moment: moment.replace(tzinfo=dt.UTC))),
    (dt.date, st.dates(dt.date(1000, 1, 1))),
    (dt.time, st.times().map(lambda time: time.replace(fold=0))),
    (dt.timedelta, st.timedeltas(dt.timedelta(days=-9999), dt.timedelta(days=9999))),
    (complex, st.complex_numbers(allow_nan=False)),
    (bytes, st.binary(max_size=8)),
    (int | str | None, st.none() | st.integers() | _TEXTS | _WORDS),
    (float | bool, st.booleans() | st.floats(allow_nan=False)),
]
_KEYS = _LEAVES[:1] + _LEAVES[3:5] + _LEAVES[6:7]

Typed = tuple[Any, Any]


@st.composite
def typed(draw: st.DrawFn, depth: int = 2) -> Typed:
    """Draw an annotation and a value of it."""
    shape = draw(st.sampled_from(["leaf", "list", "tuple", "dict", "optional", "dataclass"]))
    if depth == 0 or shape == "leaf":
        kind, values = draw(st.sampled_from(_LEAVES))
        return kind, draw(values)
    kind, value = draw(typed(depth=depth - 1))
    if shape == "list":
        return list[kind], [value] * draw(st.integers(0, 2))  # type: ignore[valid-type]
    if shape == "tuple":
        if draw(st.booleans()):
            return tuple[kind, ...], (value,)  # type: ignore[valid-type]
        return tuple[kind, int], (value, 3)  # type: ignore[valid-type]
    if shape == "dict":
        key_kind, keys = draw(st.sampled_from(_KEYS))
        return dict[key_kind, kind], {draw(keys): value}  # type: ignore[valid-type]
    if shape == "optional":
        return kind | None, draw(st.sampled_from([None, value]))
    inner = make_dataclass("Inner", [("part", kind)])
    return inner, inner(value)


@given(st.lists(typed(), max_size=4))
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_generated_dataclasses_come_back_the_same(tmp_path: Path, fields: list[Typed]) -> None:
    specs: list[Any] = [(f"f{i}", kind, field()) for i, (kind, _) in enumerate(fields)]
    made: Any = make_dataclass("Made", specs, bases=(YamlConfig,))
    config = made(*(value for _, value in fields))
    config.to_yaml(tmp_path / "c.yaml")
    assert repr(made.from_yaml(tmp_path / "c.yaml")) == repr(config)
    config.to_yaml(tmp_path / "d.yaml", comments=True)
    assert repr(made.from_yaml(tmp_path / "d.yaml")) == repr(config)
    assert repr(made.from_json(config.to_json())) == repr(config)
