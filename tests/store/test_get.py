"""Finding runs by the expression that makes them."""

import json
import os
import shutil
import sys
import textwrap
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import store_work as work
from helpers import contents, output
from holdfast import HoldfastWarning, Logbook, LogReader, Run, Store, explain, get, task
from holdfast.errors import (
    FormatError,
    IntegrityError,
    InvalidInputError,
    MissingFileError,
    NotFoundError,
)
from holdfast.store import _task


def module(name: str, text: str) -> None:
    """Write a module of the project, and let an earlier one of its name be forgotten."""
    Path(f"{name}.py").write_text(textwrap.dedent(text))
    sys.modules.pop(name, None)
    _task._known.pop(name, None)


@pytest.fixture(autouse=True)
def forget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Modules that a test loads, and tasks it declares, are gone after it."""
    monkeypatch.setattr(_task, "_known", dict(_task._known))
    yield
    for name, loaded in list(sys.modules.items()):
        if str(getattr(loaded, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


def edit_metadata(run: Run, **changes: Any) -> None:
    path = run.directory / "metadata.json"
    meta = json.loads(path.read_bytes())
    meta["task"] |= changes
    path.write_text(json.dumps(meta))


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


# Modules and names


def test_a_module_of_the_project_is_found_by_its_name() -> None:
    module("estimate", "def estimate(a: int = 1) -> int:\n    return a + 1\n")
    run = get("estimate", {"a": 2})
    assert run.name == f"estimate-{run.id}"
    assert run.launch().result == 3
    assert get("estimate:estimate", a=2).is_finished()
    sys.modules.pop("estimate")
    assert get("estimate", a=2).is_finished(), "loaded anew, it is the same task"


def test_the_one_task_of_a_module_needs_no_name_of_its_own() -> None:
    module(
        "tools",
        """
        from holdfast import task
        def helper(): ...
        @task
        class Estimate:
            def __init__(self, a: int = 1) -> None:
                self.a = a
            def __call__(self) -> int:
                return self.a + 1
        """,
    )
    assert get("tools", a=4).launch().result == 5
    assert get("tools.Estimate", a=4).is_finished()


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("estimat", NotFoundError, "did you mean 'estimate'?"),
        ("two", InvalidInputError, "has several tasks (one, other)"),
        ("none_at_all", InvalidInputError, "has no task"),
        ("estimate:other", NotFoundError, "has no 'other'"),
        ("../estimate", InvalidInputError, "no name of a module"),
        ("/etc/passwd", InvalidInputError, "no name of a module"),
        ("", InvalidInputError, "no name of a module"),
    ],
)
def test_what_a_name_does_not_find_is_told(name: str, error: type[Exception], message: str) -> None:
    module("estimate", "def estimate() -> None: ...")
    module("two", "from holdfast import task\n@task\ndef one(): ...\n@task\ndef other(): ...\n")
    module("none_at_all", "x = 1\n")
    with pytest.raises(error) as caught:
        get(name)
    assert message in str(caught.value)


def test_two_tasks_of_one_name_are_refused_and_one_defined_again_is_not() -> None:
    for _ in range(2):

        @task(name="mine")
        def one() -> int:
            return 1

    with pytest.raises(InvalidInputError, match="two tasks are named 'mine'"):

        @task(name="mine")
        def other() -> int:
            return 2


def test_a_task_with_a_name_of_its_own_is_found_by_it() -> None:
    assert get("dies-once", x=3).id == get(work.dies_once, x=3).id
    assert get("store_work:dies_once", x=3).id == get(work.dies_once, x=3).id


def test_functions_without_a_name_to_be_found_by_are_refused() -> None:
    def local() -> None: ...

    for nameless in (local, lambda: 0):
        with pytest.raises(InvalidInputError, match="has no name to be found again by"):
            get(nameless)
    wrongs: list[Any] = [3, None, "".join, np.float64(2), [work.square]]
    for wrong in wrongs:
        with pytest.raises(InvalidInputError):
            get(wrong)


@pytest.mark.parametrize(
    ("define", "message"),
    [
        ("def f(*args): ...", "takes *args"),
        ("def f(x=object()): ...", "plain form"),
        ("async def f(): ...", "when it is awaited"),
        ("def f():\n    yield 1", "or iterated over"),
        ("class f:\n    async def __call__(self): ...", "when it is awaited"),
        ("import functools\nf = functools.partial(print, 1)", "write a function that calls it"),
        ("def f(x: float = float('nan')): ...", "the default of x is NaN"),
        ("def f(x: 'Unknown' = 1): ...", "annotations of f cannot be read"),
        ("class f:\n    x: int = 1", "has no __call__"),
        ("class f:\n    def __call__(self, y): ...", "__call__ takes y"),
    ],
)
def test_tasks_that_could_not_be_found_again_are_refused(define: str, message: str) -> None:
    module("wrong", f"{define}\n")
    with pytest.raises(InvalidInputError) as caught:
        get("wrong:f")
    assert message in str(caught.value)


def test_a_task_of_the_script_that_runs_is_named_by_its_file(tmp_path: Path) -> None:
    text = """
    from holdfast import get, task
    @task
    def measure(x: float = 1.0) -> float:
        return x
    if __name__ == "__main__":
        print(get(measure).name, get("script:measure").id)
    """
    module("script", text)
    name, identity = output(f"import runpy, sys; sys.argv = ['script.py']\n{RUN_AS_MAIN}").split()
    assert name == f"script.measure-{identity}"
    assert get("script:measure").id == identity


RUN_AS_MAIN = """
import os
os.execv(sys.executable, [sys.executable, "script.py"])
"""


def test_in_an_interactive_session_a_task_is_named_main() -> None:
    program = """
    from holdfast import get, task
    def measure() -> int:
        return 3
    print(get(measure).launch().name.rpartition("-")[0], get(measure).result)
    """
    assert output(program) == "__main__.measure 3"


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


def test_one_damaged_run_hides_no_other() -> None:
    runs = [get(work.square, x=x).launch() for x in range(3)]
    (runs[1].directory / "metadata.json").write_text('{"status": "comp')
    with pytest.warns(HoldfastWarning, match="left out: .*not valid JSON"):
        assert [run.result for run in sorted(get.all(work.square), key=str)]
    with pytest.raises(FormatError, match="not valid JSON"):
        get(work.square, x=1)
    assert get(work.square, x=2).result == 4


# What is on disk and should not be


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


# The program changes

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
