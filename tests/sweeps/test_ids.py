"""Run ids: readable, and different whenever the parameters are."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import Experiment, Logbook
from holdfast._names import safe_component
from holdfast.sweeps._grid import as_params
from holdfast.sweeps._ids import MAX_READABLE, digest, holds, run_id, same_text


def id_of(params: dict[str, Any]) -> str:
    return run_id("falling_ball", as_params(params))


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"dt": 0.01}, "falling_ball_dt_0.01"),
        ({"dt": 0.5, "a": 3}, "falling_ball_a_3_dt_0.5"),
        ({"omega": 1e-7}, "falling_ball_omega_1e-07"),
        ({"dt": 2.0}, "falling_ball_dt_2"),
        ({"scheme": "semi_implicit"}, "falling_ball_scheme_semi_implicit"),
        ({"flag": True, "seed": None}, "falling_ball_flag_True_seed_None"),
        ({"x": float("nan")}, "falling_ball_x_nan"),
        ({"n": -12}, "falling_ball_n_-12"),
        ({}, "falling_ball"),
    ],
)
def test_simple_parameters_give_the_id_that_notata_gives(
    params: dict[str, Any], expected: str
) -> None:
    assert id_of(params) == expected


def test_a_value_that_loses_something_keeps_its_readable_part_and_gets_a_hash() -> None:
    name = id_of({"dt": 0.123456})

    assert name.startswith("falling_ball_dt_0.12346-")
    assert name == id_of({"dt": 0.123456})


LOOK_ALIKES: list[dict[str, Any]] = [
    {"x": 1},
    {"x": "1"},
    {"x": True},
    {"x": "True"},
    {"x": None},
    {"x": "None"},
    {"x": "none"},
    {"x": float("nan")},
    {"x": "nan"},
    {"x": float("inf")},
    {"x": float("-inf")},
    {"x": "inf"},
    {"x": ""},
    {"x": " "},
    {"x": "_"},
    {"x": 0.123456},
    {"x": 0.123457},
    {"x": 0.12346},
    {"x": "0.12346"},
    {"x": 10**20},
    {"x": 10**20 + 1},
    {"x": "a b"},
    {"x": "a_b"},
    {"x": "a/b"},
    {"x": "ä"},
    {"x": "ö"},
    {"x": "a" * 500},
    {"x": "a" * 501},
    {"x": [1, [2, 3]]},
    {"x": [[1, 2], 3]},
    {"x": "[1, [2, 3]]"},
    {"x": {"y": 1}},
    {"x": {"y": "1"}},
    {"x": 1j},
    {"x": [1, 0]},
    {"x y": 1},
    {"x_y": 1},
    {"x": []},
    {"x": {}},
    {" ": 1},
    {"_": 1},
]


def test_parameters_that_look_alike_have_different_ids() -> None:
    for one, other in itertools.combinations(LOOK_ALIKES, 2):
        assert id_of(one) != id_of(other), (one, other)


AMBIGUOUS: list[dict[str, Any]] = [
    {"a": "b", "c": 1},
    {"a_b_c": 1},
    {"a": "b_c_1"},
    {"a_b": "c_1"},
    {"a": "b_c", "1": ""},
]


@pytest.mark.parametrize("order", list(itertools.permutations(AMBIGUOUS, 3)))
def test_sets_whose_readable_ids_agree_have_a_run_each(order: tuple[dict[str, Any], ...]) -> None:
    experiment = Experiment("e")

    logs = [experiment.add(params) for params in order]

    assert len(experiment.reader) == 3
    for log, params in zip(logs, order, strict=True):
        assert log is not None
        assert experiment.reader[log.run_id].params == params
        assert experiment.add(params, skip_existing=True) is None


def test_a_run_is_found_under_its_hash_when_the_readable_id_is_free_again() -> None:
    experiment = Experiment("e")
    first = experiment.add({"a": "b", "c": 1})
    assert first is not None
    assert experiment.add({"a_b_c": 1}) is not None
    first.path.rename(first.path.with_name("log_elsewhere"))

    assert experiment.add({"a_b_c": 1}, skip_existing=True) is None


def test_a_value_cannot_pose_as_another_runs_hash() -> None:
    plain = {"a": "b c"}
    posing = {"a": f"b_c-{digest(plain)}"}

    assert run_id("e", plain) != run_id("e", posing)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from([0.123456, 0.123457, 1e22, 1e-320]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.sampled_from(["1", "1.0", "nan", "None", "a b", "a_b", "2020-01-01", "yes", "~", "1e3"]),
)
PARAMS = st.dictionaries(
    st.one_of(
        st.sampled_from(["a", "b", "a_b", "x", "status", "on", "1"]),
        st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=6),
    ),
    st.recursive(
        SCALARS,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("pq"), inner, max_size=2)
        ),
        max_leaves=4,
    ),
    max_size=3,
)


@settings(deadline=None)
@given(PARAMS, PARAMS)
def test_different_parameters_differ_in_id_or_are_told_apart_by_content(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    first, second = as_params(one), as_params(other)
    same = same_text(first) == same_text(second)

    if id_of(one) == id_of(other) and not same:
        assert not (holds(first, second) and holds(second, first))
        hashed = {run_id("e", plain, hashed=True) for plain in (first, second)}
        assert len(hashed) == 2


@settings(deadline=None)
@given(PARAMS)
def test_an_id_can_be_a_folder_and_depends_on_the_values_alone(params: dict[str, Any]) -> None:
    name = id_of(params)
    backwards = dict(reversed(list(params.items())))

    assert safe_component(name, "run id", suffix="log_") == name
    assert name.isascii()
    assert len(name) <= MAX_READABLE + 17
    assert id_of(backwards) == name


@settings(deadline=None)
@given(PARAMS)
def test_stored_parameters_are_recognised(tmp_path_factory: Any, params: dict[str, Any]) -> None:
    log = Logbook("run", tmp_path_factory.mktemp("runs"), params=params)

    plain = as_params(params)
    stored = as_params(json.loads(json.dumps(plain)))

    assert holds(stored, plain)
    assert holds(as_params(log.params()), plain)


@pytest.mark.parametrize("params", LOOK_ALIKES, ids=str)
def test_a_run_is_found_again_whatever_its_parameters_are(params: dict[str, Any]) -> None:
    experiment = Experiment("e")
    log = experiment.add(params)
    assert log is not None

    assert experiment.add(params, skip_existing=True) is None
    stored = experiment.reader[log.run_id].params
    assert same_text(as_params(stored)) == same_text(as_params(params))


@settings(deadline=None)
@given(PARAMS)
def test_a_run_is_found_again_for_any_parameters(
    tmp_path_factory: Any, params: dict[str, Any]
) -> None:
    experiment = Experiment("e", tmp_path_factory.mktemp("sweep"))
    log = experiment.add(params)
    assert log is not None

    assert experiment.add(params, skip_existing=True) is None
    assert len(experiment.reader) == 1
