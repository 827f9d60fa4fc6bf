"""Finding runs by the expression that makes them."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import store_work as work
from helpers import contents
from holdfast import HoldfastWarning, Run, Store, explain, get, task
from holdfast.errors import (
    InvalidInputError,
    NotFoundError,
)
from store_runs import edit_metadata, module

# Looking leaves no trace


def test_get_writes_nothing_and_needs_no_folder() -> None:
    run = get(work.square, x=2)
    assert (run.is_started(), run.is_active(), run.is_finished()) == (False, False, False)
    assert (run.is_failed(), run.is_incomplete()) == (False, False)
    for nothing in (run.started_at(), run.finished_at(), run.output(), run.code_changed):
        assert nothing is None
    assert get.all(work.square) == []
    assert not explain(work.square, x=2).is_hit
    assert repr(run) == f"Run [store_work.square-{run.id}]"
    assert os.listdir() == []


def test_get_changes_nothing_in_a_store_that_has_the_run() -> None:
    get(work.square, x=2).launch()
    before = contents(Path("storage"))
    run = get(work.square, x=2)
    assert (run.result, run.is_finished()) == (4.0, True)
    get(work.square, x=3)
    assert contents(Path("storage")) == before


def test_get_works_on_a_read_only_disk(read_only_disk: Path) -> None:
    with Store(read_only_disk):
        assert not get(work.square).is_started()
        with pytest.raises(OSError, match="ead-only"):
            get(work.square).launch()


# Parameters


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"y": 1}, "store_work.square has no parameter 'y'; it has x"),
        ({"x": "2"}, "store_work.square: x must be float, not '2' (str)"),
        ({"x": float("nan")}, "store_work.square: x is NaN"),
        ({1: 2}, "a parameter is named by text, with dots between names, not by 1"),
        ({"x..y": 2}, "a parameter is named by text"),
        (3, "given as a dictionary, a dataclass, or a list of these, not as int: 3"),
        (["~fast"], "store_work.square has no version 'fast'; it has nothing"),
        (["fast"], "'fast' is no version"),
        ({"x": {"a": 1}}, "x must be float"),
    ],
)
def test_wrong_parameters_are_refused_at_once_and_named(params: Any, message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        get(work.square, params)
    assert message in str(caught.value)
    assert os.listdir() == []


def test_a_misspelt_parameter_is_told_its_nearest_spelling() -> None:
    with pytest.raises(InvalidInputError, match=r"did you mean 'size'\?"):
        get(work.simulate, {"sise": 3})
    with pytest.raises(InvalidInputError, match=r"solver has no parameter 'scheem'.*'scheme'"):
        get(work.simulate, {"size": 3, "solver": {"scheem": "rk4"}})


def test_a_parameter_without_default_has_to_be_given() -> None:
    with pytest.raises(InvalidInputError, match="count_up needs the parameter 'n'"):
        get(work.count_up)


def test_parts_are_merged_left_to_right_and_dotted_names_are_nested() -> None:
    parts = [{"size": 1, "solver": {"dt": 1}}, {"solver.scheme": "rk4"}, {"solver.dt": 0.5}]
    run = get(work.simulate, parts, tags=("a",))
    assert run.params == {"size": 1, "solver": {"dt": 0.5, "scheme": "rk4"}, "tags": ["a"]}
    config = work.Config(1, work.Solver(0.5, "rk4"), ["a"])
    assert get(work.simulate, config).id == run.id
    assert run.launch().result == {"steps": 2.0, "type": "Config"}


def test_versions_are_named_sets_of_parameters() -> None:
    assert get(work.Walk, ["~quick"]).params == {"steps": 1, "bias": 0.0}
    run = get(work.Walk, ["~quick", "~biased(bias=2.5)", {"steps": 2}])
    assert run.params == {"steps": 2, "bias": 2.5}
    assert run.launch().result == 5.0
    for wrong in ("~quick(1)", "~biased(open('x'))", "~biased(1, 2)", "~no-name", "~"):
        with pytest.raises(InvalidInputError):
            get(work.Walk, wrong)


def test_a_parameter_named_like_an_argument_of_get_goes_into_the_dictionary() -> None:
    @task(name="own-seed")
    def own_seed(seed: int = 0, replicate: str = "") -> str:
        return f"{seed}{replicate}"

    run = get(own_seed, {"seed": 3, "replicate": "b"}, seed=4)
    assert (run.params, run.seed, run.replicate) == ({"seed": 3, "replicate": "b"}, 4, 0)
    assert run.launch().result == "3b"


@pytest.mark.parametrize(
    "options",
    [
        {"seed": -1},
        {"seed": 2**32},
        {"seed": True},
        {"seed": 1.5},
        {"replicate": -1},
        {"replicate": 1.0},
        {"replicate": True},
    ],
)
def test_seeds_and_replicates_are_whole_numbers(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match="whole number from 0"):
        get(work.square, **options)


def test_numbers_of_numpy_are_seeds_and_replicates_too() -> None:
    three: Any = np.int64(3)
    assert get(work.square, seed=three) == get(work.square, seed=3)
    assert get(work.square, replicate=three) == get(work.square, replicate=3)


def test_a_function_that_takes_any_parameters_is_found_by_those_it_got() -> None:
    @task(name="any-parameters")
    def anything(dt: float = 0.1, /, **more: Any) -> Any:
        return dt, more

    run = get(anything, {"dt": 1, "b": [1, {"c": 1j}]}).launch()
    assert run.result == [1.0, {"b": [1, {"c": 1j}]}]
    assert get(anything, {"b": (1, {"c": 1j}), "dt": 1.0}).is_finished()
    assert not get(anything, {"b": [True, {"c": 1j}], "dt": 1.0}).is_started()


def test_none_as_the_default_of_a_number_is_taken_as_meant() -> None:
    @task(name="loose")
    def loose(
        dt: float = None,  # type: ignore[assignment]  # noqa: RUF013 - as many write
        n: float = 1,
    ) -> Any:
        return dt, n

    assert get(loose, dt=None, n=1.0).id == get(loose).id
    assert get(loose).launch().result == [None, 1.0]
    assert Run.from_storage(get(loose).directory).params == {"dt": None, "n": 1.0}


def test_a_class_is_given_its_parameters_as_fields_arguments_or_attributes() -> None:
    module(
        "classes",
        """
        import dataclasses
        from typing import ClassVar
        from pydantic import BaseModel
        from holdfast import Logbook

        class Attributes:
            unit: ClassVar[str] = "m"
            dt: float = 0.1
            names: list[str] = []
            def __call__(self) -> list:
                self.names.append(self.unit)
                return [self.dt, self.names]

        class Arguments:
            def __init__(self, dt: float = 0.1, *, names: list[str] = ()) -> None:
                self.value = [dt, names]
            def __call__(self, log: Logbook) -> list:
                return self.value

        class Model(BaseModel):
            dt: float = 0.1
            names: list[str] = []
            def __call__(self) -> list:
                return [self.dt, self.names]
        """,
    )
    for kind, extra in (("Attributes", ["m"]), ("Arguments", []), ("Model", [])):
        run = get(f"classes:{kind}", dt=1, names=("a",))
        assert run.params == {"dt": 1.0, "names": ["a"]}
        assert run.launch().result == [1.0, ["a", *extra]]
        assert get(f"classes:{kind}").launch().result == [0.1, extra]
        with pytest.raises(InvalidInputError, match="did you mean 'names'"):
            get(f"classes:{kind}", name=["a"])


def test_a_logbook_that_is_not_annotated_is_hinted_at() -> None:
    module("bare", "def bare(log, x=1): ...")
    with pytest.raises(InvalidInputError, match="or annotate it as Logbook"):
        get("bare")


# Replicates, seeds, several


def test_new_is_the_next_replicate_and_all_gives_every_one() -> None:
    first = get(work.square, x=3).launch()
    second = get.new(work.square, x=3).launch()
    get(work.square, x=4).launch()
    assert (first.replicate, second.replicate, get.new(work.square, x=3).replicate) == (0, 1, 2)
    assert {run.id for run in get.all(work.square, x=3)} == {first.id, second.id}
    assert len(get.all("store_work.square")) == 3
    assert sorted(get.all(work.square).results()) == [9.0, 9.0, 16.0]
    with pytest.raises(InvalidInputError, match="has no parameter"):
        get.all(work.square, z=3)


def test_or_fail_gives_a_complete_run_or_says_why_there_is_none() -> None:
    get(work.square, x=3).launch()
    assert get.or_fail(work.square, x=3).result == 9
    with pytest.raises(NotFoundError, match=r"(?s)there is no run.*x is 3, not 4") as caught:
        get.or_fail(work.square, x=4)
    assert not str(caught.value).startswith('"')
    edit_metadata(get(work.square, x=3), code="another")
    with pytest.warns(HoldfastWarning, match="code of .*square has changed"):
        assert get.or_fail(work.square, x=3).result == 9
    with pytest.raises(ValueError, match="not ready"):
        get(work.fails_first).launch()
    with pytest.raises(NotFoundError, match="is failed"):
        get.or_fail(work.fails_first)
