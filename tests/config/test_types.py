"""Types that are less common in configurations, and files that try to crash the reader."""

import typing
from collections import OrderedDict, deque
from dataclasses import InitVar, dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, TypedDict, TypeVar

import pytest

from holdfast.config import YamlConfig
from holdfast.errors import FormatError, InvalidInputError

T = TypeVar("T")


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Box(Generic[T]):
    item: T
    many: list[T] = field(default_factory=list)


@dataclass
class PathBox(Box[Path]):
    count: int = 1


class Typed(TypedDict, total=False):
    number: typing.Required[int]
    path: Path


class Named(NamedTuple):
    number: int
    path: Path = Path("x")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rare(YamlConfig):
    box: Box[Path]
    inner: Box[Box[Colour]]
    maybe: Box[Path | None]
    special: PathBox
    typed: Typed
    named: Named
    ordered: OrderedDict[str, int]
    last: deque[int]
    pairs: dict[tuple[Colour, int], Path]
    next: "Rare | None" = None
    constant: ClassVar[int] = 5


def rare(after: Rare | None = None) -> Rare:
    return Rare(
        box=Box(Path("a"), [Path("b")]),
        inner=Box(Box(Colour.RED)),
        maybe=Box(None, [Path("c")]),
        special=PathBox(Path("d")),
        typed={"number": 1, "path": Path("e")},
        named=Named(2),
        ordered=OrderedDict(b=1, a=2),
        last=deque([1, 2]),
        pairs={(Colour.RED, 1): Path("f"), (Colour.BLUE, -2): Path("g")},
        next=after,
    )


def test_generic_and_other_rare_types_come_back_as_annotated() -> None:
    config = rare(rare())
    config.to_yaml(Path("rare.yaml"))
    assert Rare.from_yaml(Path("rare.yaml")) == config
    assert Rare.from_json(config.to_json()) == config


def test_a_wrong_value_in_a_typed_dictionary_or_key_is_named() -> None:
    data = rare().to_dict()
    data["typed"] = {"path": "x"}
    with pytest.raises(FormatError, match=r"typed: number missing"):
        Rare.from_dict(data)
    data = rare().to_dict() | {"pairs": {"[green, 1]": "x"}}
    with pytest.raises(FormatError, match=r"a key of pairs.*'red', 'blue'"):
        Rare.from_dict(data)


@dataclass
class Scaled(YamlConfig):
    value: float
    scale: InitVar[int]

    def __post_init__(self, scale: int) -> None:
        self.value *= scale


def test_what_only_init_takes_can_be_given_and_is_missed_by_name() -> None:
    Path("scaled.yaml").write_text("value: 2\nscale: 3\n")
    assert Scaled.from_yaml(Path("scaled.yaml")).value == 6
    with pytest.raises(FormatError, match="scale missing"):
        Scaled.from_dict({"value": 2})


@dataclass
class Free(YamlConfig):
    value: Any = None


@pytest.mark.parametrize("text", ["[" * 100_000 + "]" * 100_000, "- " * 100_000, "{a: " * 100_000])
def test_a_file_nested_without_end_is_an_error_and_no_crash(text: str) -> None:
    Path("deep.yaml").write_text(f"value: {text}\n")
    with pytest.raises(FormatError, match=r"deep\.yaml"):
        Free.from_yaml(Path("deep.yaml"))


def test_a_value_that_holds_itself_is_refused() -> None:
    ring: list[Any] = []
    ring.append(ring)
    with pytest.raises(InvalidInputError, match="holds itself"):
        Free(ring).to_yaml(Path("ring.yaml"))
    assert not Path("ring.yaml").exists()
