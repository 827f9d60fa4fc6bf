"""Sweeps over processes that fork, are stopped, or lose their parent, with real processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import sweep_work as work
from helpers import HANG, end, output, start, wait_until
from holdfast import Experiment, Logbook
from holdfast.sweeps._index import Index


def ids(*values: object) -> list[str]:
    return [f"e_x_{value}" for value in values]


def test_an_executor_that_forks_finishes_what_a_sweep_in_the_parent_began() -> None:
    program = """
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        from holdfast import Experiment

        def square(log, x):
            log.json("metrics", {"y": x * x})

        e = Experiment("e")
        e.run(square, {"x": [1, 2]}, workers=1)
        fork = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(2, mp_context=fork) as executor:
            print(e.run(square, {"x": range(6)}, executor=executor))
    """

    told = output(program)

    assert told == "4 complete, 0 failed, 0 interrupted, 2 skipped"
    assert [row["y"] for row in Experiment("e").table()] == [0, 1, 4, 9, 16, 25]
    assert len(Path("outputs/e/index.csv").read_text().splitlines()) == 7


def test_forked_processes_can_add_to_an_experiment_of_their_parent() -> None:
    program = """
        import multiprocessing
        from holdfast import Experiment

        e = Experiment("e")

        def add(x):
            with e.add(x=x) as log:
                log.json("metrics", {"y": x * x})
            return e.table(x=x)[0]["y"]

        add(0)
        with multiprocessing.get_context("fork").Pool(3) as pool:
            print(pool.map(add, range(1, 10)))
        add(10)
        print(len(e.table("y >= 0")))
    """

    assert output(program).splitlines() == ["[1, 4, 9, 16, 25, 36, 49, 64, 81]", "11"]


def test_a_process_forked_while_a_thread_writes_the_index_does_not_wait_for_that_thread() -> None:
    program = """
        import os, signal, threading
        from pathlib import Path
        from holdfast import Experiment

        e = Experiment("e")
        held, release = threading.Event(), threading.Event()

        def read():
            held.set()
            release.wait()
            return []

        writer = threading.Thread(target=e._index.rebuild, args=[read])
        writer.start()
        held.wait()
        child = os.fork()
        if child == 0:
            signal.alarm(120)  # a child that waits for ever is ended by this
            print(len(e.table()), flush=True)
            with e.add(x=1):
                Path("begun").touch()
            os._exit(0)
        while not Path("begun").exists():  # the child goes on as far as the lock of the file
            assert os.waitpid(child, os.WNOHANG) == (0, 0)
        release.set()
        writer.join()
        assert os.waitpid(child, 0)[1] == 0
        print(len(e.table()))
    """

    assert output(program).splitlines() == ["0", "1"]


def test_starting_again_after_an_interrupt_from_the_keyboard_finishes_the_sweep() -> None:
    program = """
        import sys, time
        from holdfast import Experiment
        def f(log, x):
            if x == 1:
                print("ready", flush=True)
                time.sleep(60)
        Experiment("e").run(f, {"x": range(3)}, workers=1)
    """
    process = start(program, stderr=subprocess.DEVNULL)
    process.send_signal(signal.SIGINT)
    end(process)
    experiment = Experiment("e")
    assert experiment.reader["e_x_1"].state == "failed"

    outcome = experiment.run(work.square, {"x": range(3)}, workers=1)

    assert (outcome.complete, outcome.skipped) == (ids(1, 2), ids(0))
    assert experiment.reader["e_x_1"].attempts[0].meta["failure_reason"] == "KeyboardInterrupt"


def test_starting_again_after_sigterm_finishes_the_sweep() -> None:
    program = """
        import time
        from holdfast import Experiment
        def f(log, x):
            print("ready", flush=True)
            time.sleep(60)
        Experiment("e", handle_sigterm=True).run(f, {"x": range(3)}, workers=1)
    """
    process = start(program)
    process.terminate()
    end(process)
    experiment = Experiment("e")
    assert experiment.reader["e_x_0"].state == "failed"

    assert experiment.run(work.square, {"x": [0]}, workers=1, retry=False).skipped == ids(0)
    assert experiment.run(work.square, {"x": range(3)}, workers=1).complete == ids(0, 1, 2)


@pytest.mark.parametrize("reason", ["KeyboardInterrupted", "SIGTERM", "no KeyboardInterrupt", ""])
def test_a_run_that_failed_by_itself_is_not_taken_for_a_stopped_one(reason: str) -> None:
    experiment = Experiment("e")
    log = experiment.add(x=1)
    assert log is not None
    log.mark_failed(reason)

    assert experiment.run(work.square, {"x": [1]}, workers=1).skipped == ids(1)


def test_runs_whose_workers_a_broken_pool_terminated_are_done_again() -> None:
    experiment = Experiment("e", handle_sigterm=True)

    outcome = experiment.run(work.end_siblings, {"x": [0, 1]}, workers=2)

    assert sorted(outcome.complete) == ids(0, 1)
    terminated = experiment.reader["e_x_1"].attempts[0]
    assert terminated.meta["failure_reason"].startswith("SIGTERM")


def is_gone(pid: int) -> bool:
    """Whether a process has ended; as a zombie too, for not everybody's init reaps orphans."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes by /proc")
def test_workers_end_when_their_parent_is_killed_and_the_next_sweep_finishes() -> None:
    script = """
import sweep_work as work
from holdfast import Experiment
if __name__ == "__main__":
    print("ready", flush=True)
    Experiment("e").run(work.stay, {"x": range(5)}, workers=2)
"""
    Path("script.py").write_text(script)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.Popen([sys.executable, "script.py"], env=environment)
    runs = Path("outputs/e/runs")
    # One worker is in the middle of a run, and the other has nothing left to do.
    wait_until(Path("staying").exists)
    wait_until(lambda: sum(row["state"] == "complete" for row in Experiment("e").table()) == 4)
    workers = [int(path.name.removeprefix("pid")) for path in Path().glob("pid*")]
    assert len(workers) == 2
    assert not any(map(is_gone, workers))

    parent.kill()
    parent.wait(HANG)

    wait_until(lambda: all(map(is_gone, workers)))
    experiment = Experiment("e")
    assert experiment.reader["e_x_0"].state == "interrupted"
    assert experiment.run(work.stay, {"x": range(5)}, workers=1).complete == ids(0)
    assert len(list(runs.glob("log_*"))) == 5


def test_an_index_forgets_in_a_forked_child_what_its_parent_was_in_the_middle_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    experiment = Experiment("e")
    log = experiment.add(x=1)
    assert isinstance(log, Logbook)
    log.mark_complete()
    index: Index = experiment._index
    assert index.read()
    index._lines.clear()  # as a thread of the parent leaves it between two steps

    pid = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: pid + 1)

    assert list(index.read()) == ["e_x_1"]
