"""Launching what another thread or process has, and many runs in worker processes."""

import concurrent.futures
import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import store_work as work
from helpers import HANG, python, wait_until
from holdfast import Run, Store, get, launch, task
from holdfast.errors import LockedError, StateError
from holdfast.store import _launch

TESTS = str(Path(__file__).resolve().parents[1])
LAUNCH = """
import sys
import store_work as work
from holdfast import get
get(getattr(work, sys.argv[1])).launch()
"""


def in_process(name: str) -> int:
    return python(LAUNCH, name, env=os.environ | {"PYTHONPATH": TESTS}).returncode


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
