"""The names of tasks: by module, of their own, and of scripts."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import store_work as work
from helpers import output
from holdfast import get, task
from holdfast.errors import (
    InvalidInputError,
    NotFoundError,
)
from store_runs import module


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
