"""`Experiment.run`: a function over a grid, in this process, in others, or in an executor."""

import subprocess
import sys
import textwrap
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import sweep_work as work
from helpers import HANG, python
from holdfast import Experiment, HoldfastWarning, InvalidInputError, Logbook
from holdfast.run import run_folder
from holdfast.sweeps import Outcome


def ids(*values: object) -> list[str]:
    return [f"e_x_{value}" for value in values]


@pytest.mark.parametrize("workers", [1, 2])
def test_every_combination_is_run_and_recorded(workers: int) -> None:
    experiment = Experiment("e")

    outcome = experiment.run(work.square, {"x": [1, 2, 3]}, workers=workers)

    assert sorted(outcome.complete) == ids(1, 2, 3)
    assert outcome.failed == outcome.interrupted == outcome.skipped == []
    assert [row["y"] for row in experiment.table()] == [1, 4, 9]
    assert str(outcome) == "3 complete, 0 failed, 0 interrupted, 0 skipped"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failure_is_recorded_and_the_rest_is_finished(workers: int) -> None:
    experiment = Experiment("e")

    outcome = experiment.run(work.fail_on_odd, {"x": range(4)}, workers=workers)

    assert (sorted(outcome.complete), sorted(outcome.failed)) == (ids(0, 2), ids(1, 3))
    meta = experiment.reader["e_x_3"].meta
    assert meta["failure_reason"] == "3 is odd"
    assert "sweep_work.py" in meta["failure_traceback"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_function_that_exits_is_a_failure_too(workers: int) -> None:
    outcome = Experiment("e").run(work.exit_on_two, {"x": [1, 2, 3]}, workers=workers)

    assert (sorted(outcome.complete), outcome.failed) == (ids(1, 3), ids(2))


def test_threads_of_an_executor_can_run_a_sweep() -> None:
    experiment = Experiment("e")

    with ThreadPoolExecutor(4) as executor:
        outcome = experiment.run(work.fail_on_odd, {"x": range(40)}, executor=executor)

    assert (len(outcome.complete), len(outcome.failed)) == (20, 20)
    assert len((experiment.path / "index.csv").read_text().splitlines()) == 41


def test_a_worker_that_kills_itself_does_not_take_the_others_along() -> None:
    experiment = Experiment("e")

    outcome = experiment.run(work.die_on_three, {"x": range(8)}, workers=2)

    assert sorted(outcome.complete) == ids(0, 1, 2, 4, 5, 6, 7)
    assert outcome.interrupted == ids(3)
    assert experiment.reader["e_x_3"].state == "interrupted"


def test_a_run_whose_worker_died_once_is_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIED_ONCE", str(Path("marker").absolute()))

    outcome = Experiment("e").run(work.die_once, {"x": range(5)}, workers=2)

    assert sorted(outcome.complete) == ids(*range(5))
    assert outcome.interrupted == []


def test_a_second_sweep_skips_what_is_done_and_retries_what_it_is_told_to() -> None:
    experiment = Experiment("e")
    experiment.run(work.fail_on_odd, {"x": range(4)}, workers=1)

    again = experiment.run(work.square, {"x": range(5)}, workers=1)
    assert (again.complete, again.skipped) == (ids(4), ids(0, 1, 2, 3))

    third = experiment.run(work.square, {"x": range(5)}, workers=1, retry="failed")
    assert (third.complete, third.skipped) == (ids(1, 3), ids(0, 2, 4))


def test_combinations_can_be_listed_and_doubles_are_run_once() -> None:
    experiment = Experiment("e")

    outcome = experiment.run(work.square, [{"x": 1}, {"x": 5}, {"x": 1}], workers=1)

    assert outcome.complete == ids(1, 5)


@pytest.mark.parametrize("workers", [1, 2])
def test_listed_sets_whose_readable_ids_agree_are_all_run(workers: int) -> None:
    experiment = Experiment("e")
    sets: list[dict[str, Any]] = [{"a": "b", "c": 1}, {"a_b_c": 1}, {"a": "b_c_1"}]

    outcome = experiment.run(work.mixed, sets, workers=workers)

    assert len(set(outcome.complete)) == 3
    assert sorted(map(str, experiment.reader.params.values())) == sorted(map(str, sets))
    assert sorted(outcome.complete) == experiment.reader.run_ids
    assert len(experiment.run(work.mixed, sets, workers=1).skipped) == 3


def test_a_damaged_run_is_skipped_with_a_warning_and_the_rest_is_run() -> None:
    experiment = Experiment("e")
    experiment.run(work.square, {"x": [1]}, workers=1)
    (experiment.path / "runs/log_e_x_1/params.yaml").write_text("x: [")

    with pytest.warns(HoldfastWarning, match="run e_x_1 is skipped"):
        outcome = experiment.run(work.square, {"x": [1, 2]}, workers=1)

    assert (outcome.skipped, outcome.complete) == (ids(1), ids(2))


@pytest.mark.parametrize("grid", [{"x": "abc"}, {"x": 5}, [1, 2], ["x"]])
def test_what_is_no_grid_is_refused(grid: Any) -> None:
    with pytest.raises(InvalidInputError):
        Experiment("e").run(work.square, grid, workers=1)


def test_at_least_one_worker_is_needed() -> None:
    with pytest.raises(InvalidInputError, match="at least one process"):
        Experiment("e").run(work.square, {"x": [1]}, workers=0)


def test_a_function_that_cannot_be_sent_is_refused_before_any_run_begins() -> None:
    experiment = Experiment("e")

    with pytest.raises(InvalidInputError, match="cannot be sent to worker processes"):
        experiment.run(lambda log, x: None, {"x": [1, 2]}, workers=2)

    assert experiment.reader.run_ids == []
    assert len(experiment.run(lambda log, x: None, {"x": [1]}, workers=1).complete) == 1


def test_a_script_without_a_main_guard_is_told_what_to_do(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
            from holdfast import Experiment
            from sweep_work import square
            Experiment("e").run(square, {"x": [1, 2]}, workers=2)
        """)
    )
    environment = {"PYTHONPATH": str(Path(work.__file__).parent), "PATH": "/usr/bin:/bin"}

    done = subprocess.run(
        [sys.executable, str(script)],
        check=False,
        capture_output=True,
        text=True,
        timeout=HANG,
        env=environment,
    )

    assert done.returncode == 1
    assert "StateError: the worker processes ended before they could begin" in done.stderr
    assert "if __name__ == '__main__':" in done.stderr
    assert Experiment("e").reader.run_ids == []


def test_a_function_of_an_interactive_session_is_told_what_to_do() -> None:
    program = """
        from holdfast import Experiment
        def f(log, x): pass
        if __name__ == "__main__":
            Experiment("e").run(f, {"x": [1, 2]}, workers=2)
    """

    done = python(program)

    assert done.returncode == 1
    assert "StateError: the worker processes ended before they could begin" in done.stderr
    assert "workers=1" in done.stderr


def test_an_interrupt_from_the_keyboard_ends_the_sweep_and_is_recorded() -> None:
    experiment = Experiment("e")

    def interrupt(log: Logbook, x: int) -> None:
        if x == 2:
            raise KeyboardInterrupt
        work.square(log, x)

    with pytest.raises(KeyboardInterrupt):
        experiment.run(interrupt, {"x": [1, 2, 3]}, workers=1)

    assert experiment.reader.run_ids == ids(1, 2)
    assert experiment.reader["e_x_2"].meta["failure_reason"] == "KeyboardInterrupt"


class Lazy(Executor):
    """Runs at once and remembers which futures were cancelled."""

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        if args and args[1] == {"x": 2}:
            future.set_exception(KeyboardInterrupt())
        elif args[1]["x"] < 2:
            future.set_result(function(*args, **kwargs))
        else:
            waiting.append(future)
        return future


waiting: list["Future[Any]"] = []


def test_an_interrupted_sweep_takes_back_what_has_not_begun() -> None:
    waiting.clear()

    with pytest.raises(KeyboardInterrupt):
        Experiment("e").run(work.square, {"x": range(6)}, executor=Lazy())

    assert len(waiting) == 3
    assert all(future.cancelled() for future in waiting)


def test_what_is_recorded_nowhere_is_raised() -> None:
    def damage(log: Logbook, x: int) -> None:
        (log.path / "artifacts").write_text("in the way")
        log.mark_complete()
        raise ValueError("late")

    outcome = Experiment("e").run(damage, {"x": [1]}, workers=1)
    assert outcome.failed == ids(1)  # the exception came later and is recorded

    def marked(log: Logbook, x: int) -> None:
        log.path.with_name(run_folder("e_x_3")).mkdir()
        log.path.rename(log.path.with_name("elsewhere"))

    with pytest.raises(FileNotFoundError):
        Experiment("e").run(marked, {"x": [2]}, workers=1)


def test_a_progress_bar_is_shown_on_request(capfd: pytest.CaptureFixture[str]) -> None:
    Experiment("e").run(work.square, {"x": [1, 2]}, workers=1)
    assert capfd.readouterr() == ("", "")

    Experiment("e").run(work.square, {"x": [3, 4]}, workers=1, progress=True)

    shown = capfd.readouterr()
    assert "2/2" in shown.err
    assert shown.out == ""


def test_an_outcome_says_why_runs_failed_and_what_was_skipped() -> None:
    experiment = Experiment("e")

    first = experiment.run(work.fail_on_odd, {"x": range(4)}, workers=1)
    own = experiment.add(x=9)
    again = experiment.run(work.fail_on_odd, {"x": [0, 1, 2, 3, 9, 9]}, workers=1)

    assert first.reasons == {"e_x_1": "1 is odd", "e_x_3": "3 is odd"}
    assert str(first).splitlines() == [
        "2 complete, 2 failed, 0 interrupted, 0 skipped",
        "  1 failed: 1 is odd",
        "  1 failed: 3 is odd",
    ]
    assert own is not None
    assert str(again) == (
        "0 complete, 0 failed, 0 interrupted, 6 skipped (2 of them failed, 1 running)"
    )
    assert again.reasons == {}


def test_an_outcome_names_each_distinct_reason_once_and_a_few_of_them() -> None:
    outcome = Outcome()
    for number in range(30):
        outcome.note(f"a{number}", "failed", "no convergence\nin 100 steps")
    for number in range(7):
        outcome.note(f"b{number}", "failed", f"reason {number} " + "x" * 500)

    first, *lines = str(outcome).splitlines()

    assert first.startswith("0 complete, 37 failed")
    assert lines[0] == "  30 failed: no convergence\\nin 100 steps"
    assert len(lines) == 6
    assert max(map(len, lines)) < 120
    assert lines[-1] == "  3 failed for 3 other reasons"


def test_reasons_come_from_worker_processes_too() -> None:
    outcome = Experiment("e").run(work.fail_on_odd, {"x": range(4)}, workers=2)

    assert outcome.reasons == {"e_x_1": "1 is odd", "e_x_3": "3 is odd"}
