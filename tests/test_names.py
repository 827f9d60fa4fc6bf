import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast._names import (
    MAX_COMPONENT_BYTES,
    inside,
    listing,
    nearest,
    safe_component,
    safe_name,
)
from holdfast.errors import InvalidInputError

ESCAPING = [
    "../x", "..", ".", "a/../../x", "a/..", "/x", "/", "a//b", "a/", "a\0b", "a\nb", "\x7f", "",
    " ", "a\\b", "x" * 300, "ü" * 128, ".tmp-1", "a/.tmp-x/b", "\ud800", "a/./b",
]  # fmt: skip


@pytest.mark.parametrize("name", ESCAPING)
def test_a_name_that_could_escape_or_cannot_be_a_file_is_refused(name: str) -> None:
    with pytest.raises(InvalidInputError, match="choose a plain relative name"):
        safe_name(name, "name")


@pytest.mark.parametrize("name", ["a", "a/b/c", "états/T_step100", ".hidden", "a..b", "x" * 255])
def test_an_ordinary_name_is_taken_as_it_is(name: str) -> None:
    assert safe_name(name, "name") == name


@pytest.mark.parametrize("name", [None, 3, b"x", Path("x")])
def test_a_name_that_is_no_text_is_refused(name: object) -> None:
    with pytest.raises(InvalidInputError, match="must be text"):
        safe_name(name, "name")  # type: ignore[arg-type]


def test_a_part_may_not_hold_a_separator() -> None:
    with pytest.raises(InvalidInputError, match="run id 'a/b' contains a path separator"):
        safe_component("a/b", "run id")


def test_the_ending_counts_into_the_length() -> None:
    assert safe_component("x" * 251, "name", suffix=".npy")
    with pytest.raises(InvalidInputError, match="too long"):
        safe_component("x" * 252, "name", suffix=".npy")


@given(st.text(st.characters(), max_size=300))
def test_what_is_accepted_stays_below_its_folder_and_can_be_made(name: str) -> None:
    try:
        safe_name(name, "name")
    except InvalidInputError:
        return
    path = os.path.normpath(f"/root_of_run/{name}")
    assert path == f"/root_of_run/{name}"
    assert all(0 < len(part.encode()) <= MAX_COMPONENT_BYTES for part in name.split("/"))


def test_a_symlink_out_of_the_run_is_refused_wherever_it_stands(tmp_path: Path) -> None:
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    run.mkdir()
    elsewhere.mkdir()
    (run / "folder").symlink_to(elsewhere)
    (run / "file").symlink_to(elsewhere / "nothing")
    for name in ("folder", "folder/x", "file"):
        with pytest.raises(InvalidInputError, match="leads out of"):
            inside(run, name)


def test_a_symlink_within_the_run_and_a_run_behind_a_symlink_are_fine(tmp_path: Path) -> None:
    (tmp_path / "run" / "data").mkdir(parents=True)
    (tmp_path / "link").symlink_to("run")
    (tmp_path / "run" / "same").symlink_to("data")
    assert inside(tmp_path / "link", "same/x") == tmp_path / "link" / "same" / "x"


def test_a_neighbour_whose_name_begins_alike_is_outside(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run2").mkdir()
    (tmp_path / "run" / "x").symlink_to("../run2")
    with pytest.raises(InvalidInputError):
        inside(tmp_path / "run", "x")


def test_hints_name_the_nearest_and_lists_are_short() -> None:
    assert nearest("enrgy", ["energy", "mass"]) == "; did you mean 'energy'?"
    assert nearest("q", ["energy"]) == ""
    assert listing([]) == "nothing"
    assert listing(["b", "a"]) == "a, b"
    assert listing(map(str, range(20)), most=2) == "0, 1 and 18 more"


@pytest.mark.parametrize("name", [3, None, b"x"])
def test_a_name_that_is_no_text_is_refused_as_such(name: Any) -> None:
    with pytest.raises(InvalidInputError, match="experiment must be text"):
        safe_component(name, "experiment")
