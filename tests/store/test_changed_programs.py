"""A program that changes after its runs were made: defaults, parameters, code."""

import time
import warnings

import pytest

import store_work as work
from holdfast import HoldfastWarning, LogReader, Run, explain, get, task
from holdfast.errors import (
    InvalidInputError,
)
from store_runs import module

OLD = "from holdfast import task\n@task\ndef grown(dt: float = 0.1) -> float:\n    return dt\n"


def test_a_changed_default_never_gives_the_old_result_and_is_said() -> None:
    module("grown", OLD)
    old = get("grown").launch()
    module("grown", OLD.replace("0.1", "0.5"))
    with pytest.warns(HoldfastWarning, match=r"default of dt was 0.1 and is 0.5 now.*pass dt=0.1"):
        run = get("grown")
    assert not run.is_started()
    assert run.launch().result == 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert get("grown", dt=0.1).result == old.result == 0.1
        assert not get("grown", dt=0.3).is_started(), "the default plays no part here"


def test_a_new_parameter_orphans_runs_unless_its_author_says_how_they_behaved() -> None:
    module("grown", OLD)
    old = get("grown", dt=2).launch()
    changed = OLD.replace("dt: float = 0.1", "dt: float = 0.1, gamma: float = 0.0")
    module("grown", changed)
    with pytest.warns(HoldfastWarning, match=r"parameter gamma is new.*added=\{'gamma': 0.0\}"):
        assert not get("grown", dt=2).is_started()

    module("grown", changed.replace("@task", "@task(added={'gamma': 0})"))
    with pytest.warns(HoldfastWarning, match="code of grown has changed"):
        run = get("grown", dt=2)
    assert run.directory == old.directory
    assert run.params == {"dt": 2.0, "gamma": 0.0}
    assert not get("grown", dt=2, gamma=1).is_started()

    later = changed.replace("gamma: float = 0.0", "gamma: float = 0.0, beta: int = 3")
    module("grown", later.replace("@task", "@task(added={'gamma': 0, 'beta': 2})"))
    assert not get("grown", dt=2).is_started(), "with beta=3 it behaves otherwise"
    with pytest.warns(HoldfastWarning, match="code of grown has changed"):
        assert get("grown", dt=2, beta=2).directory == old.directory


def test_a_run_of_an_earlier_version_goes_on_as_its_author_says_or_not_at_all() -> None:
    failing = OLD.replace("return dt", "raise ValueError('not yet')")
    module("grown", failing)
    with pytest.raises(ValueError, match="not yet"):
        get("grown", dt=2).launch()
    path = get("grown", dt=2).directory
    changed = OLD.replace("dt: float = 0.1", "dt: float = 0.1, gamma: float = 5.0")
    changed = changed.replace("return dt", "return dt + gamma")

    module("grown", changed)
    with pytest.raises(InvalidInputError, match=r"had other parameters \(now it has gamma more"):
        Run.from_storage(path).launch()
    assert Run.from_storage(path).reader.attempts == []

    module("grown", changed.replace("@task", "@task(added={'gamma': 0})"))
    assert Run.from_storage(path).launch().result == 2, "not with the new default"
    assert get("grown", dt=2, gamma=0).result == 2
    assert get("grown", dt=2, gamma=0).directory == path
    assert not get("grown", dt=2).is_started()


def test_added_names_have_to_be_parameters_of_the_task() -> None:
    with pytest.raises(InvalidInputError, match="names b, which is no parameter"):

        @task(name="added-wrong", added={"b": 1})
        def wrong(a: int = 1) -> int:
            return a


def test_a_removed_parameter_is_said() -> None:
    module("grown", OLD.replace("dt: float = 0.1", "dt: float = 0.1, old: int = 1"))
    get("grown").launch()
    module("grown", OLD)
    with pytest.warns(HoldfastWarning, match="parameter old was removed"):
        get("grown")


CODE = """
from holdfast import task
FACTOR = 2.0
def helper(x: float) -> float:
    return FACTOR * x
@task
def coded(x: float = 1.0) -> float:
    return helper(x)
"""


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("return helper(x)", "return helper(x) + 1", True),
        ("FACTOR * x", "FACTOR + x", True),
        ("FACTOR = 2.0", "FACTOR = 3.0", True),
        ("return helper(x)", '"""Say more."""\n    # why\n    return helper( x )', False),
        ("FACTOR = 2.0", "FACTOR = 2.0\nOTHER = 1", False),
    ],
)
def test_changed_code_is_said_and_comments_are_no_change(
    old: str,
    new: str,
    changed: bool,  # noqa: FBT001 - a case
) -> None:
    module("coded", CODE)
    get("coded").launch()
    time.sleep(0.01)
    module("coded", CODE.replace(old, new))
    import linecache

    linecache.clearcache()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = get("coded")
    assert run.is_finished()
    assert run.code_changed is changed
    assert ["code of coded has changed" in str(w.message) for w in caught] == [True] * changed
    assert all(w.filename == __file__ for w in caught), "the warning points at the user's line"


def test_an_explanation_names_the_nearest_runs_and_what_differs() -> None:
    for size, dt in ((1, 0.1), (1, 0.2), (5, 0.9)):
        get(work.simulate, {"size": size, "solver.dt": dt}).launch()
    answer = explain(work.simulate, {"size": 1, "solver.dt": 0.3})
    assert (answer.is_hit, answer.state, answer.total) == (False, None, 3)
    assert [set(near.differs) for near in answer.near] == [
        {"solver"},
        {"solver"},
        {"size", "solver"},
    ]
    wanted, theirs = answer.near[0].differs["solver"]
    assert wanted["dt"] == 0.3
    assert theirs["dt"] in (0.1, 0.2)
    assert "The nearest of 3 runs" in str(answer)

    hit = explain(work.simulate, {"size": 1})
    assert hit.is_hit
    assert "is complete, in " in str(hit)
    assert "no runs of this task" in str(explain(work.square))
    other = explain(work.simulate, {"size": 1}, replicate=2)
    assert other.near[0].differs == {"replicate": (2, 0)}


def test_what_a_run_was_made_from_is_in_its_metadata() -> None:
    run = get(work.simulate, {"size": 2}, seed=5).launch()
    told = LogReader(run.directory).meta["task"]
    assert told["name"] == "store_work.simulate"
    assert told["identity"] == run.id == run.directory.name.rpartition("-")[2]
    assert told["params"] == run.params
    assert (told["seed"], told["drawn_seed"], told["replicate"]) == (5, None, 0)
    assert told["schema"]["size"] == {"type": "int"}
    assert told["schema"]["solver"]["default"] == {"dt": 0.1, "scheme": "euler"}
    assert len(told["code"]) == 32
    assert told["group_pattern"] == "%Y_%U_%a"
    assert run.reader.params == run.params
