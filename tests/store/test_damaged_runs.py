"""Runs that are damaged, moved or renamed are told from those that are not there."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import store_work as work
from holdfast import HoldfastWarning, Logbook, Run, Store, get
from holdfast.errors import (
    FormatError,
    IntegrityError,
    MissingFileError,
)
from store_runs import edit_metadata


def test_one_damaged_run_hides_no_other() -> None:
    runs = [get(work.square, x=x).launch() for x in range(3)]
    (runs[1].directory / "metadata.json").write_text('{"status": "comp')
    with pytest.warns(HoldfastWarning, match="left out: .*not valid JSON"):
        assert [run.result for run in sorted(get.all(work.square), key=str)]
    with pytest.raises(FormatError, match="not valid JSON"):
        get(work.square, x=1)
    assert get(work.square, x=2).result == 4


def test_a_directory_whose_metadata_are_gone_is_not_taken_for_no_run() -> None:
    run = get(work.square, x=1).launch()
    (run.directory / "metadata.json").unlink()
    with pytest.raises(FormatError, match="has lost its metadata"):
        get(work.square, x=1)


@pytest.mark.parametrize("make", [Path.touch, lambda path: path.symlink_to("nothing")])
def test_what_is_no_folder_is_not_taken_for_no_run(make: Callable[[Path], object]) -> None:
    run = get(work.square, x=4)
    run.directory.parent.mkdir()
    make(run.directory)
    with pytest.raises(FormatError, match="is no run"):
        run.launch()


def test_a_run_that_comes_while_it_is_looked_for_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    run, real = get(work.square, x=4), os.path.lexists

    def looked(path: Any) -> bool:
        with monkeypatch.context() as within:
            within.setattr(os.path, "lexists", real)
            if Path(path) == run.directory:
                get(work.square, x=4).launch()
        return real(path)

    monkeypatch.setattr(os.path, "lexists", looked)
    assert run.is_finished()


def test_parameters_edited_into_none_are_damage() -> None:
    run = get(work.square, x=2).launch()
    edit_metadata(run, params={"x": float("nan")})
    with pytest.raises(FormatError, match=r"was edited: its parameters.* is NaN"):
        get(work.square, x=2)
    with pytest.warns(HoldfastWarning, match="left out"):
        assert get.all(work.square) == []


def test_a_run_that_was_renamed_or_edited_is_not_taken_for_another() -> None:
    one = get(work.square, x=1).launch()
    two = get(work.square, x=2)
    shutil.copytree(one.directory, two.directory)
    with pytest.raises(IntegrityError, match="renamed, or edited"):
        get(work.square, x=2)
    edit_metadata(one, params={"x": 5.0})
    with pytest.raises(IntegrityError):
        get(work.square, x=1)


def test_a_missing_and_a_damaged_result_are_different_answers() -> None:
    run = get(work.square, x=2).launch()
    file = run.directory / "artifacts" / "result.json"
    file.write_text("{")
    with pytest.raises(FormatError):
        _ = run.result
    file.unlink()
    with pytest.raises(MissingFileError, match="its result is not there"):
        _ = run.result


def test_a_store_that_was_moved_answers_the_same() -> None:
    get(work.square, x=2).launch()
    shutil.move("storage", "elsewhere")
    assert not get(work.square, x=2).is_started()
    with Store("elsewhere") as store:
        assert get(work.square, x=2).result == 4
        assert [run.result for run in store.find(x=2)] == [4.0]


def test_a_run_is_read_from_its_directory_and_can_be_launched_from_there() -> None:
    with pytest.raises(ValueError, match="not ready"):
        get(work.fails_first, x=4).launch()
    run = Run.from_storage(get(work.fails_first, x=4).directory)
    assert (run.params, run.is_failed()) == ({"x": 4}, True)
    assert run.launch().result == 4
    Logbook("other").mark_complete()
    with pytest.raises(FormatError, match="not one of a task"):
        Run.from_storage("outputs/log_other")
    with pytest.raises(MissingFileError):
        Run.from_storage("nowhere")
