"""Launching: once, again, after a failure, after a kill; and what surrounds the task meanwhile."""

import concurrent.futures
import contextlib
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import store_work as work
from helpers import HANG, open_files, python, temporaries, wait_until
from holdfast import Logbook, Run, Store, get, launch, task
from holdfast.errors import InvalidInputError, LockedError, StateError
from holdfast.store import _launch, _task

TESTS = str(Path(__file__).resolve().parents[1])
LAUNCH = """
import sys
import store_work as work
from holdfast import get
get(getattr(work, sys.argv[1])).launch()
"""


def in_process(name: str) -> int:
    return python(LAUNCH, name, env=os.environ | {"PYTHONPATH": TESTS}).returncode


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_task, "_known", dict(_task._known))


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


# Another process, or thread, has it


def test_waiting_for_another_thread_gives_its_result() -> None:
    run = get(work.waits_for, path=str(Path("go").absolute()))
    store = Store("storage")
    run.bind(store)
    other = Run.from_storage
    first = threading.Thread(target=run.launch)
    first.start()
    wait_until(lambda: list(Path("storage").glob("*/working")))
    second = other(run.directory)
    with pytest.raises(LockedError, match="is being made by process"):
        second.launch("fail")
    with pytest.raises(LockedError):
        second.launch(timeout=0.05)
    assert second.launch("skip").is_active()
    Path("go").touch()
    assert second.launch().result == str(Path("go").absolute())
    first.join(HANG)
    assert second.reader.attempts == []


def test_who_waited_for_a_process_that_fails_is_told_and_does_not_repeat_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, waits, go = (threading.Event() for _ in range(3))
    refuse = _launch._refuse_waiting

    def waiting_begins(*arguments: Any) -> None:
        refuse(*arguments)
        waits.set()

    monkeypatch.setattr(_launch, "_refuse_waiting", waiting_begins)

    @task(name="fails-late")
    def fails_late() -> None:
        begun.set()
        go.wait(HANG)
        raise ValueError("it diverged")

    run = get(fails_late)
    run.bind(Store("storage"))
    errors = []

    def in_thread() -> None:
        with contextlib.suppress(ValueError):
            run.launch()

    def waiting() -> None:
        try:
            Run.from_storage(run.directory).launch()
        except StateError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=in_thread)]
    threads[0].start()
    assert begun.wait(HANG)
    threads.append(threading.Thread(target=waiting))
    threads[1].start()
    assert waits.wait(HANG)
    go.set()
    for thread in threads:
        thread.join(HANG)
    assert len(errors) == 1
    assert "failed in the process that was waited for (it diverged)" in errors[0]
    assert run.reader.attempts == []


def test_a_full_disk_fails_the_run_and_it_is_launched_when_there_is_space(
    small_disk: Path,
) -> None:
    filler = small_disk / "filler"

    @task(name="large")
    def large() -> Any:
        if not filler.exists():
            with contextlib.suppress(OSError):
                filler.write_bytes(bytes(2**20))
        return np.zeros(20_000)

    with Store(small_disk / "storage"):
        with pytest.raises(OSError, match="No space left"):
            get(large).launch()
        assert not get(large).is_finished()
        filler.write_bytes(b"")
        run = get(large).launch()
        assert run.result.shape == (20_000,)
        (first,) = run.reader.attempts
        assert first.state == "failed"


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


# Many


def test_many_runs_are_launched_in_processes_and_the_failed_ones_named() -> None:
    runs = [get(work.square, x=x) for x in range(4)] + [get(work.fails_first)]
    runs[0].save_data("note.txt", "sent along")
    context = multiprocessing.get_context("spawn")
    with (
        concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool,
        Store("elsewhere"),
    ):
        with pytest.raises(StateError, match=r"1 of 5 runs failed: store_work\.fails_first.*ready"):
            launch(runs, pool)
        assert launch(runs).results() == [0.0, 1.0, 4.0, 9.0, 1]
    assert {run.directory.parent.name for run in runs} == {"elsewhere"}
    assert runs[0].load_data("note.txt") == "sent along"
    pids = {
        json.loads((r.directory / "metadata.json").read_bytes())["environment"]["pid"]
        for r in runs[:4]
    }
    assert os.getpid() not in pids


def test_tasks_of_the_project_folder_are_found_by_worker_processes() -> None:
    Path("local_task.py").write_text("def local_task(x: int = 1) -> int:\n    return x + 1\n")
    Path("script.py").write_text(SCRIPT)
    command = [sys.executable, "-P", str(Path("script.py").absolute())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[2, 3] [0, 2]\n"


SCRIPT = """
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from holdfast import get, launch

def double(x: int) -> int:
    return 2 * x

if __name__ == "__main__":
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        found = launch([get("local_task", x=x) for x in (1, 2)], pool)
        own = launch([get(double, x=x) for x in (0, 1)], pool)
        print(found.results(), own.results())
"""


def test_a_task_within_a_function_cannot_be_sent_and_says_so() -> None:
    @task(name="inner-one")
    def inner() -> int:
        return 1

    with (
        concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool,
        pytest.raises(StateError, match="no other process can import it"),
    ):
        launch([get(inner)], pool)


def test_one_failure_does_not_stop_the_others_in_this_process() -> None:
    with pytest.raises(StateError, match="1 of 2 runs failed") as caught:
        launch([get(work.fails_first), get(work.square)])
    assert isinstance(caught.value.__cause__, ValueError)
    assert get(work.square).is_finished()


# Stores


def test_stores_are_nested_and_each_thread_has_its_own() -> None:
    seen: list[Any] = []
    with Store("outer") as outer:
        with Store("inner") as inner:
            assert Store.get() is inner
            thread = threading.Thread(target=lambda: seen.append(Store.get()))
            thread.start()
            thread.join()
        assert Store.get() is outer
    assert repr(Store.get()) == "Store <./storage>"
    assert [repr(store) for store in seen] == ["Store <./storage>"]
    assert os.listdir() == []


def test_stores_may_be_left_in_another_order_than_entered() -> None:
    one, two = Store("one"), Store("two")
    one.__enter__()
    two.__enter__()
    one.__exit__()
    assert Store.get() is two
    two.__exit__()
    assert Store.get() is not two


def test_a_run_found_in_a_store_stays_there_and_one_to_be_made_goes_where_it_is_launched() -> None:
    with Store("one"):
        found = get(work.fails_first)
        with contextlib.suppress(ValueError):
            found.launch()
        planned = get(work.square)
    with Store("two"):
        assert found.launch().directory.parent.name == "one"
        assert planned.launch().directory.parent.name == "two"
    assert planned.is_finished()


def test_get_makes_stores_by_class_and_by_module() -> None:
    for target in (Store, "holdfast.store"):
        store = get(target, {"directory": "here"}, default_group="lab/%Y")
        assert (store.directory, store.default_group) == (Path("here").absolute(), "lab/%Y")
    with pytest.raises(InvalidInputError, match="cannot be made"):
        get(Store, {"folder": "here"})


def test_a_run_in_a_store_is_read_without_holdfast_knowing_tasks() -> None:
    run = get(work.square, x=2).launch()
    assert json.loads((run.directory / "artifacts/result.json").read_bytes()) == 4.0
    assert Logbook("beside").path.exists()
