"""Launching: once, again, after a failure, after a kill; and what surrounds the task meanwhile."""

import concurrent.futures
import contextlib
import os
import random
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import store_work as work
from helpers import HANG, open_files, python, temporaries
from holdfast import Store, get, launch, task
from holdfast.errors import InvalidInputError, StateError

TESTS = str(Path(__file__).resolve().parents[1])
LAUNCH = """
import sys
import store_work as work
from holdfast import get
get(getattr(work, sys.argv[1])).launch()
"""


def in_process(name: str) -> int:
    return python(LAUNCH, name, env=os.environ | {"PYTHONPATH": TESTS}).returncode


# Once, and again


def test_a_complete_run_is_not_made_again() -> None:
    calls = []

    @task(name="counted")
    def counted() -> int:
        calls.append(1)
        return 1

    run = get(counted)
    assert run.launch() is run
    assert run.launch().result == get(counted).launch().result == 1
    assert len(calls) == 1
    assert run.finished_at() is not None
    assert run.started_at() is not None


def test_a_failed_run_says_so_and_is_made_anew_with_its_first_attempt_kept() -> None:
    run = get(work.fails_first, x=3)
    with pytest.raises(ValueError, match="3 is not ready") as caught:
        run.launch()
    assert any(run.name in note for note in caught.value.__notes__)
    assert (run.is_failed(), run.is_incomplete(), run.is_active()) == (True, True, False)
    with pytest.raises(StateError, match=r"is failed \(3 is not ready\) and has no result"):
        _ = run.result

    assert run.launch().result == 3

    (first,) = run.reader.attempts
    assert first.state == "failed"
    assert "ValueError" in first.meta["failure_traceback"]
    assert first.load_json("partial") == {"x": 3}
    assert first.meta["task"]["identity"] == run.id
    assert run.reader.artifacts == ["result"]


def test_a_killed_run_goes_on_in_its_directory_with_all_its_rows() -> None:
    assert in_process("dies_once") == -signal.SIGKILL
    run = get(work.dies_once)
    assert (run.is_incomplete(), run.is_failed(), run.is_active()) == (True, False, False)
    seed = run.drawn_seed

    assert run.launch().result == 1

    assert run.reader.stream("x")[:].tolist() == [float(n) for n in range(10)]
    assert run.reader.attempts == []
    assert run.drawn_seed == seed, "it goes on with the same random numbers"
    assert temporaries(Path("storage")) == []


def test_a_killed_run_whose_task_cannot_go_on_begins_anew() -> None:
    assert in_process("begins_anew") == -signal.SIGKILL
    run = get(work.begins_anew).launch()
    assert len(run.reader.stream("x")) == 1
    (first,) = run.reader.attempts
    assert first.state == "interrupted"


def test_ctrl_c_fails_the_run_and_goes_on_to_the_user() -> None:
    @task(name="interrupts")
    def interrupts() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(interrupts).launch()
    run = get(interrupts)
    assert run.is_failed()
    assert run.reader.meta["failure_reason"] == "KeyboardInterrupt"
    assert Store("storage").claims.identities() == []


def test_a_launch_where_nothing_can_be_written_says_what_to_do(read_only_disk: Path) -> None:
    with Store(read_only_disk), pytest.raises(OSError, match=r"launch in a store that can be"):
        get(work.square).launch()
    Path("file").touch()
    with Store("file"), pytest.raises(NotADirectoryError, match="this is a file, not a folder"):
        get(work.square).launch()


def test_a_run_that_launches_itself_is_told_so() -> None:
    @task(name="ring")
    def ring() -> None:
        get(ring).launch()

    with pytest.raises(StateError, match="launched by itself"):
        get(ring).launch()


def test_tasks_may_launch_others() -> None:
    @task(name="outer")
    def outer(x: float = 3.0) -> float:
        print("outer")
        inner: float = get(work.square, x=x).launch().result
        print("done")
        return inner + float(get(work.noisy).launch().result[0])

    run = get(outer).launch()
    assert 9 <= run.result <= 10
    assert run.output() == "outer\ndone\n"


def test_a_forked_child_does_not_finish_its_parents_run() -> None:
    program = """
    import os
    from holdfast import get, task
    @task(name="forks")
    def forks() -> int:
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
        return pid
    parent = os.getpid()
    try:
        run = get(forks).launch()
    except Exception as error:
        assert os.getpid() != parent
        open("child.txt", "w").write(f"{type(error).__name__}: {error}")
        os._exit(0)
    assert run.result > 0
    """
    done = python(program)
    assert done.returncode == 0, done.stderr
    assert Path("child.txt").read_text().startswith("StateError: a forked child returned")


def test_an_unknown_word_for_claims_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="choose 'wait', 'skip' or 'fail'"):
        get(work.square).launch("later")  # type: ignore[arg-type]
    assert os.listdir() == []


# Around the task


def test_what_is_saved_before_the_launch_waits_for_it() -> None:
    run = get(work.square, x=3)
    run.save_data("notes.txt", "before")
    run.save_data("grid.npy", [1.0, 2.0])
    row = run.record("plan")
    row["step"] = 1
    row.save()
    assert len(run.records("plan")) == 0
    assert os.listdir() == []
    assert run.load_data("notes.txt") == "before"
    run.launch()
    assert run.load_data("notes.txt") == "before"
    assert run.load_data("grid.npy").tolist() == [1.0, 2.0]
    row["step"] = 2
    row.save()
    assert [r["step"] for r in run.records("plan")] == [1, 2]
    assert [r["step"] for r in get(work.square, x=3).records("plan")] == [1, 2]


def test_drawn_seeds_are_recorded_and_given_ones_are_part_of_the_identity() -> None:
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002 - the global one
    states = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]  # noqa: NPY002
    drawn = get(work.noisy).launch()
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states  # type: ignore[index]  # noqa: NPY002
    again = get(work.noisy, seed=drawn.drawn_seed).launch()
    assert again.id != drawn.id
    assert again.result == drawn.result
    assert again.drawn_seed is None
    assert get(work.noisy, seed=1).launch().result != drawn.result
    assert get(work.noisy, seed=1).id != get(work.noisy, seed=2).id


def test_what_a_task_prints_is_shown_and_kept(capsys: pytest.CaptureFixture[str]) -> None:
    run = get(work.prints, word="größer").launch()
    assert run.output() == "größer\nto the other stream\n"
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("größer\n", "to the other stream\n")
    print("after")
    assert "after" not in (run.output() or "")
    assert run.result is None
    assert open_files(Path("storage")) == []


def test_output_of_runs_in_several_threads_is_kept_apart() -> None:
    barrier = threading.Barrier(3)

    @task(name="says")
    def says(word: str) -> None:
        barrier.wait(HANG)
        for _ in range(50):
            print(word)

    runs = [get(says, word=word) for word in "abc"]
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        launch(runs, pool)
    assert [run.output() for run in runs] == [f"{word}\n" * 50 for word in "abc"]


def test_groups_are_recorded_and_stay() -> None:
    run = get(work.fails_first).group_as("lab/%Y")
    with contextlib.suppress(ValueError):
        run.launch()
    year = str(run.group).removeprefix("lab/")
    assert year.isdigit()
    assert repr(run.group) == f"Group [lab/{year}]"
    with pytest.raises(StateError, match="its group stays"):
        run.group_as("other")
    get(work.fails_first).launch()
    told = run.reader.meta["task"]
    assert (told["group"], told["group_pattern"]) == (f"lab/{year}", "lab/%Y")
    with Store("ungrouped", default_group=None):
        assert get(work.square).launch().group is None


@pytest.mark.parametrize(
    "pattern", ["../up", "/abs", "a//b", "a/../b", "", "/", "a\x00b", "a\n%Y", 3]
)
def test_group_patterns_that_are_no_plain_names_are_refused(pattern: Any) -> None:
    with pytest.raises((InvalidInputError, ValueError)):
        get(work.square).group_as(pattern)
    with pytest.raises((InvalidInputError, ValueError)):
        Store("storage", default_group=pattern)
