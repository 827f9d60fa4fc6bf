import dataclasses
import datetime as dt
import enum
import typing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pytest
import yaml

from holdfast.config import YamlConfig
from holdfast.errors import FormatError, InvalidInputError, MissingFileError, StateError
from holdfast.run import Logbook, LogReader


class Mode(enum.Enum):
    FAST = "fast"
    SLOW = "slow"


class Level(enum.IntEnum):
    LOW = 0
    HIGH = 1


@dataclass
class Grid:
    shape: tuple[int, int]
    spacing: float = 0.1


@dataclass
class Everything(YamlConfig):
    folder: Path
    mode: Mode
    grid: Grid
    grids: list[Grid]
    by_mode: dict[Mode, Path]
    by_number: dict[int, tuple[str, ...]]
    choice: Literal["a", 2]
    start: dt.datetime
    day: dt.date
    length: dt.timedelta
    ident: UUID
    price: Decimal
    impedance: complex
    raw: bytes
    tags: set[str]
    weights: npt.NDArray[np.float32]
    count: np.uint8
    either: int | str | None = None
    level: Level | str = Level.HIGH
    maybe: Path | None = None
    anything: Any = None


def everything() -> Everything:
    return Everything(
        folder=Path("data/run"),
        mode=Mode.SLOW,
        grid=Grid((3, 4)),
        grids=[Grid((1, 2), 1e-5)],
        by_mode={Mode.FAST: Path("a/b")},
        by_number={7: ("x", "no")},
        choice=2,
        start=dt.datetime(2024, 2, 29, 12, 30, 1, 5, tzinfo=dt.UTC),
        day=dt.date(2024, 1, 2),
        length=dt.timedelta(days=3, microseconds=7),
        ident=UUID(int=5),
        price=Decimal("1.10"),
        impedance=1 - 2j,
        raw=b"\x00\xff",
        tags={"b", "a"},
        weights=np.array([1.5, 2.5], np.float32),
        count=np.uint8(200),
        either="12",
        anything={"deep": [1, None, "yes"]},
    )


def test_every_kind_of_value_comes_back_as_its_annotation(tmp_path: Path) -> None:
    config = everything()
    config.to_yaml(tmp_path / "c.yaml")
    config.to_json(tmp_path / "c.json")
    for back in (
        Everything.from_yaml(tmp_path / "c.yaml"),
        Everything.from_json(tmp_path / "c.json"),
        Everything.from_json(config.to_json()),
        Everything.from_dict(config.to_dict()),
    ):
        for item in dataclasses.fields(Everything):
            ours, theirs = getattr(back, item.name), getattr(config, item.name)
            assert type(ours) is type(theirs), item.name
            assert np.array_equal(ours, theirs), item.name
        assert back.weights.dtype == np.float32


def test_the_file_is_plain_yaml_that_any_reader_takes(tmp_path: Path) -> None:
    everything().to_yaml(tmp_path / "c.yml")
    plain = yaml.safe_load((tmp_path / "c.yml").read_text())
    assert plain["folder"] == "data/run"
    assert plain["grid"] == {"shape": [3, 4], "spacing": 0.1}
    assert plain["by_mode"] == {"fast": "a/b"}
    assert plain["level"] == 1


@dataclass
class Traps(YamlConfig):
    country: str = ""
    rate: float = 0.0
    count: int = 0
    day: str = ""
    flag: bool = False
    version: str = ""
    octal: int = 0


def test_the_traps_of_yaml_come_back_as_the_annotated_type(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(
        "country: no\nrate: 1e-3\ncount: 1e6\nday: 2024-01-02\nflag: yes\nversion: 1.10\noctal: 010"
    )
    assert Traps.from_yaml(path) == Traps(
        "no", 1e-3, 10**6, "2024-01-02", flag=True, version="1.10", octal=10
    )


@pytest.mark.parametrize(
    "text", ["no", "1e-3", "010", "0o17", "2024-01-02", "~", "null", "1_000", "12:30:00", "", " "]
)
def test_text_that_looks_like_something_else_is_quoted_for_every_reader(
    tmp_path: Path, text: str
) -> None:
    Traps(country=text).to_yaml(tmp_path / "t.yaml")
    assert Traps.from_yaml(tmp_path / "t.yaml").country == text
    assert yaml.safe_load((tmp_path / "t.yaml").read_text())["country"] == text


def test_an_error_names_file_key_expected_and_found(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("folder: x\nmode: quick\n")
    with pytest.raises(FormatError, match=r"c\.yaml: mode: expected one of 'fast', 'slow'.*quick"):
        Everything.from_yaml(path)
    with pytest.raises(
        FormatError, match=r"grids\[1\]\.shape\[0\]: expected a whole number, found"
    ):
        Everything.from_dict({"grids": [{"shape": [1, 2]}, {"shape": ["a", 2]}]})


def test_an_unknown_key_is_answered_with_the_nearest() -> None:
    with pytest.raises(
        FormatError, match=r"grid\.spcaing: is no field of Grid; did you mean 'spac"
    ):
        Everything.from_dict({"grid": {"spcaing": 1}})


def test_a_missing_field_is_named() -> None:
    with pytest.raises(FormatError, match="grid: shape missing"):
        Everything.from_dict({"grid": {}})


@pytest.mark.parametrize(
    ("content", "problem"),
    [("a: [", "not valid YAML"), ("rate: 1\nrate: 2", "stands twice"), ("- 1", "a mapping"),
     ("rate: !!python/object/apply:os.getcwd []", "not valid YAML"), ("flag: 1", "true or false"),
     ("count: 1.5", "whole number"), ("rate: fast", "a number"), ("rate:", "nothing")],
)  # fmt: skip
def test_a_wrong_file_says_what_is_wrong(tmp_path: Path, content: str, problem: str) -> None:
    (tmp_path / "t.yaml").write_text(content)
    with pytest.raises(FormatError, match=problem):
        Traps.from_yaml(tmp_path / "t.yaml")


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("")
    assert Traps.from_yaml(tmp_path / "t.yaml") == Traps()


def test_other_suffixes_and_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="yaml"):
        Traps().to_yaml(tmp_path / "t.txt")
    with pytest.raises(InvalidInputError):
        Traps.from_yaml(tmp_path / "t.json")
    with pytest.raises(MissingFileError):
        Traps.from_yaml(tmp_path / "t.yaml")


def test_a_class_that_is_no_dataclass_is_refused() -> None:
    class Bare(YamlConfig):
        pass

    with pytest.raises(StateError, match="@dataclass"):
        Bare().to_dict()


@dataclass
class Documented(YamlConfig):
    speed: float = 1.0
    """Metres per second."""
    size: Annotated[int, "How many cells."] = 3
    mode: Mode = field(default=Mode.FAST, metadata={"doc": "What to prefer."})
    grid: Grid = field(default_factory=lambda: Grid((1, 1)))


def test_comments_come_from_what_is_said_of_the_fields(tmp_path: Path) -> None:
    Documented().to_yaml(tmp_path / "d.yaml", comments=True)
    text = (tmp_path / "d.yaml").read_text()
    assert "# Metres per second.\nspeed: 1.0\n" in text
    assert "# How many cells.\nsize: 3\n" in text
    assert "# What to prefer.\nmode: fast\n" in text
    assert Documented.from_yaml(tmp_path / "d.yaml") == Documented()


def test_a_value_without_plain_form_changes_nothing(tmp_path: Path) -> None:
    Traps().to_yaml(tmp_path / "t.yaml")
    with pytest.raises(InvalidInputError, match="country"):
        Traps(country=typing.cast("str", object())).to_yaml(tmp_path / "t.yaml")
    assert Traps.from_yaml(tmp_path / "t.yaml") == Traps()
    assert [p.name for p in tmp_path.iterdir()] == ["t.yaml"]


def test_anchors_and_merge_keys_work(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("<<: {count: 3, rate: 2}\nrate: 5\n")
    assert Traps.from_yaml(tmp_path / "t.yaml") == Traps(count=3, rate=5.0)


def test_a_logbook_takes_a_configuration_as_params(tmp_path: Path) -> None:
    with Logbook("r", tmp_path, params=Traps(country="no", count=4)) as log:
        assert log.params()["count"] == 4
    assert LogReader(log.path).params["country"] == "no"
