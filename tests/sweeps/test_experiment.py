"""`Experiment`: adding runs, one at a time and as a grid, skipping and retrying them."""

import contextlib
import dataclasses
import enum
import errno
import os
import socket
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import end, open_files, start
from holdfast import (
    AlreadyExistsError,
    Experiment,
    FormatError,
    HoldfastWarning,
    InvalidInputError,
    LockedError,
    Logbook,
    LogReader,
    StateError,
    _sync,
)
from holdfast.sweeps._index import Index


def add(experiment: Experiment, **params: Any) -> Logbook:
    log = experiment.add(params)
    assert log is not None
    return log


def complete(experiment: Experiment, **params: Any) -> Logbook:
    with add(experiment, **params) as log:
        log.json("metrics", {"y": 1})
    return log


def failed(experiment: Experiment, **params: Any) -> Logbook:
    log = add(experiment, **params)
    log.text("tried", "first")
    log.mark_failed("as planned")
    return log


def interrupted(experiment: Experiment, x: int) -> str:
    process = start(WRITER, x)
    process.kill()
    end(process)
    return f"{experiment.name}_x_{x}"


WRITER = """
    import sys
    from holdfast import Experiment
    log = Experiment("e").add(x=int(sys.argv[1]))
    log.text("tried", "first")
    print("ready", flush=True)
    input()
    log.mark_complete()
"""


def test_the_readme_of_notata_works_as_written() -> None:
    experiment = Experiment("falling_ball")
    for dt in [0.01, 0.5]:
        log = experiment.add(dt=dt, skip_existing=True)
        assert log is not None
        with contextlib.suppress(ZeroDivisionError), log:
            speed = 9.81 / (0.5 - dt) * (0.5 - dt)
            log.json("metrics", {"final_height": 95.0, "final_speed": speed})

    frame = experiment.to_dataframe()

    assert frame["run_id"].tolist() == ["falling_ball_dt_0.01", "falling_ball_dt_0.5"]
    assert frame["status"].tolist() == ["complete", "missing"]
    assert frame["final_height"].tolist()[0] == 95.0
    assert frame["final_speed"].isna().tolist() == [False, True]
    assert (Path("outputs/falling_ball/runs/log_falling_ball_dt_0.5/log.txt")).is_file()
    assert experiment.select(dt=0.01)["run_id"].tolist() == ["falling_ball_dt_0.01"]
    assert experiment.to_arrow().num_rows == len(experiment.table()) == 2


def test_an_existing_run_is_an_error_that_says_what_can_be_done() -> None:
    experiment = Experiment("e")
    complete(experiment, x=1)

    with pytest.raises(AlreadyExistsError, match=r"e_x_1 already \(complete\).*skip_existing"):
        experiment.add(x=1)
    with pytest.raises(FileExistsError):
        experiment.add(x=1, retry=True)


def test_a_running_run_in_the_way_is_told_with_the_process_that_has_it() -> None:
    running = start(WRITER, 1)
    own = add(Experiment("e"), x=2)

    with pytest.raises(AlreadyExistsError) as there:
        Experiment("e").add(x=1, retry=True)
    with pytest.raises(AlreadyExistsError, match=f"running in process {os.getpid()} on "):
        Experiment("e").add(x=2)

    message = str(there.value)
    assert f"(running in process {running.pid} on {socket.gethostname()})" in message
    assert "wait for its end" in message
    assert "retry" not in message
    assert own.status == "initialized"
    running.kill()
    end(running)


def test_only_a_remedy_that_helps_is_named() -> None:
    experiment = Experiment("e")
    complete(experiment, x=1)
    failed(experiment, x=2)
    interrupted(experiment, 3)

    told = {}
    for x in (1, 2, 3):
        with pytest.raises(AlreadyExistsError) as there:
            experiment.add(x=x)
        told[x] = str(there.value)

    assert "retry" not in told[1]
    assert "(failed)" in told[2]
    assert "retry='failed'" in told[2]
    assert "retry='interrupted'" in told[3]


def refuse_to_forget(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def refuse_to_lock(*_: object) -> None:
    raise LockedError("index.lock was held by another process")


@pytest.mark.parametrize("refuse", [refuse_to_forget, refuse_to_lock])
def test_a_retry_that_cannot_remove_the_old_row_begins_all_the_same(
    monkeypatch: pytest.MonkeyPatch, refuse: Any
) -> None:
    experiment = Experiment("e")
    failed(experiment, x=1)

    with monkeypatch.context() as patched:
        patched.setattr(Index, "forget", refuse)
        with pytest.warns(HoldfastWarning, match=r"row of run e_x_1 in .*index\.csv"):
            log = experiment.add(x=1, retry=True)

    assert log is not None
    assert experiment.table(x=1)[0]["state"] == "running"
    log.mark_complete()
    assert experiment.table(x=1)[0]["state"] == "complete"
    assert "e_x_1,1,missing,complete" in (experiment.path / "index.csv").read_text()


def test_skipping_skips_runs_in_any_state_and_no_others() -> None:
    experiment = Experiment("e")
    complete(experiment, x=1)
    failed(experiment, x=2)
    running = start(WRITER, 3)
    interrupted(experiment, 4)
    own = add(experiment, x=5)

    found = {x: experiment.add(x=x, skip_existing=True) for x in range(1, 7)}

    assert [x for x, log in found.items() if log is not None] == [6]
    assert own.status == "initialized"
    running.kill()
    end(running)


@pytest.mark.parametrize(
    ("retry", "expected"),
    [
        ("failed", [2]),
        ("interrupted", [4]),
        (True, [2, 4]),
        (["failed", "interrupted"], [2, 4]),
        (False, []),
        ((), []),
    ],
)
@pytest.mark.parametrize("skip_existing", [True, False])
def test_retrying_makes_the_named_states_anew_and_keeps_the_old_attempt(
    retry: Any, expected: list[int], *, skip_existing: bool
) -> None:
    experiment = Experiment("e")
    complete(experiment, x=1)
    failed(experiment, x=2)
    running = start(WRITER, 3)
    interrupted(experiment, 4)

    retried = []
    for x in range(1, 5):
        try:
            log = experiment.add(x=x, skip_existing=skip_existing, retry=retry)
        except AlreadyExistsError:
            assert not skip_existing
            continue
        if log is not None:
            retried.append(x)
            assert experiment.table(x=x)[0]["state"] == "running"
            with log:
                log.json("metrics", {"y": x})

    assert retried == expected
    for x in expected:
        run = experiment.reader[f"e_x_{x}"]
        assert run.state == "complete"
        assert run.artifacts == ["metrics"]
        assert (run.path / "attempts/1/artifacts/tried.txt").read_text() == "first"
        assert run.attempts[0].params == {"x": x}
        assert experiment.table(x=x)[0]["y"] == x
    running.kill()
    end(running)


def test_a_second_retry_keeps_both_attempts() -> None:
    experiment = Experiment("e")
    failed(experiment, x=1)
    for _ in range(2):
        log = experiment.add(x=1, retry="failed")
        assert log is not None
        log.mark_failed("again")

    reasons = [run.meta["failure_reason"] for run in experiment.reader["e_x_1"].attempts]

    assert reasons == ["as planned", "again"]
    assert len(experiment.table()) == 1


def test_a_run_whose_retry_was_killed_before_its_parameters_were_back_is_found_again() -> None:
    experiment = Experiment("e")
    path = failed(experiment, x=1).path
    (path / "attempts/1").mkdir(parents=True)
    (path / "params.yaml").rename(path / "attempts/1/params.yaml")

    log = experiment.add(x=1, retry="failed")

    assert log is not None
    assert log.path == path
    assert experiment.reader.run_ids == ["e_x_1"]
    assert experiment.reader["e_x_1"].params == {"x": 1}


@pytest.mark.parametrize("retry", ["complete", "running", ["failed", "all"], "faild"])
def test_only_failed_and_interrupted_runs_can_be_retried(retry: Any) -> None:
    with pytest.raises(InvalidInputError, match="choose 'failed', 'interrupted'"):
        Experiment("e").add(x=1, retry=retry)
    assert not list(Path("outputs/e/runs").iterdir())


def test_parameters_whose_names_are_taken_go_in_as_a_dictionary() -> None:
    experiment = Experiment("e")
    params = {
        "retry": 3,
        "skip_existing": False,
        "run_id": "mine",
        "status": "odd",
        "state": 1,
        "params": [1],
        "params.status": 2,
        "self": 4,
        "metrics.y": 5,
        "y": 6,
    }

    with experiment.add(params) or pytest.fail("skipped") as log:
        log.json("metrics", {"y": 7, "status": 8})

    assert experiment.reader[log.run_id].params == params
    (row,) = experiment.table()
    assert row["run_id"] == log.run_id
    assert (row["params.run_id"], row["params.status"], row["params.state"]) == ("mine", "odd", 1)
    assert (row["status"], row["state"]) == ("complete", "complete")
    assert (row["y"], row["metrics.metrics.y"], row["metrics.status"]) == (6, 7, 8)
    assert len(experiment.table("retry == 3 and params.status == 'odd'")) == 1
    assert experiment.add(params, skip_existing=True) is None


class Scheme(enum.Enum):
    VERLET = "verlet"


@dataclasses.dataclass
class Box:
    width: float
    height: float


def test_values_a_scientist_uses_are_parameters_and_are_recognised() -> None:
    experiment = Experiment("e")
    sets: list[dict[str, Any]] = [
        {"a": np.float64(0.5)},
        {"a": np.arange(3)},
        {"a": Path("some/file")},
        {"a": Scheme.VERLET},
        {"a": Box(1.0, 2.0)},
        {"a": 1 + 2j},
        {"a": [1j, {"b": 2j}]},
        {"a": {"$complex": [1, 2]}},
        {"a": None},
        {"a": float("nan")},
    ]

    for params in sets:
        complete(experiment, **params)

    assert len(experiment.reader) == len(sets)
    for params in sets:
        assert experiment.add(params, skip_existing=True) is None
    assert [
        run.params["a"] for run in experiment.reader if isinstance(run.params.get("a"), complex)
    ]


def test_a_parameter_that_cannot_be_stored_leaves_nothing_behind() -> None:
    experiment = Experiment("e")

    with pytest.raises(InvalidInputError, match="params"):
        experiment.add(x=object())

    assert experiment.reader.run_ids == []


@pytest.mark.parametrize("name", ["../x", "/x", "a/b", "", ".", "a\0b", "x" * 300])
def test_an_experiment_name_that_is_no_folder_is_refused(name: str) -> None:
    with pytest.raises(InvalidInputError, match="experiment name"):
        Experiment(name)
    assert not Path("outputs").exists()


def test_an_experiment_name_can_be_long_and_foreign() -> None:
    experiment = Experiment("größe " + "x" * 200)

    log = add(experiment, x=1)

    assert LogReader(log.path).params == {"x": 1}
    assert experiment.add(x=1, skip_existing=True) is None


def test_a_damaged_run_in_the_way_is_named() -> None:
    experiment = Experiment("e")
    path = complete(experiment, x=1).path
    (path / "params.yaml").write_text("x: [")

    with pytest.raises(FormatError, match=r"log_e_x_1.params\.yaml"):
        experiment.add(x=1, skip_existing=True)
    assert experiment.add(x=2) is not None


def test_a_dangling_link_in_the_way_is_an_error_and_no_endless_search() -> None:
    experiment = Experiment("e")
    (experiment.path / "runs/log_e_x_1").symlink_to("nowhere")

    with pytest.raises(FileNotFoundError, match="log_e_x_1"):
        experiment.add(x=1)


def test_a_grid_yields_every_combination_in_order_last_axis_fastest() -> None:
    experiment = Experiment("e")

    found = []
    for log in experiment.grid({"retry": [0]}, dt=(0.1, 0.2), omega=np.array([1, 2])):
        with log:
            found.append(tuple(log.params().values()))

    assert found == [(0, 0.1, 1), (0, 0.1, 2), (0, 0.2, 1), (0, 0.2, 2)]
    assert list(experiment.grid({"retry": [0]}, dt=[0.1], omega=[1, 2], skip_existing=True)) == []


def test_a_grid_retries_and_skips_as_add_does() -> None:
    experiment = Experiment("e")
    complete(experiment, x=1)
    failed(experiment, x=2)

    logs = list(experiment.grid(x=[1, 2, 3], skip_existing=True, retry="failed"))

    assert [log.params()["x"] for log in logs] == [2, 3]
    with pytest.raises(AlreadyExistsError):
        list(experiment.grid(x=[1]))


def test_a_grid_without_values_on_an_axis_is_empty() -> None:
    assert list(Experiment("e").grid(x=[1, 2], y=[])) == []


@pytest.mark.parametrize("axis", ["abc", b"abc", 5, None, {"a": 1}, np.array(3)])
def test_an_axis_that_is_no_list_of_values_is_refused(axis: Any) -> None:
    with pytest.raises(InvalidInputError, match="axis 'x'"):
        list(Experiment("e").grid(x=axis))


def test_options_reach_the_logbook_of_each_run() -> None:
    seen: list[str] = []
    experiment = Experiment(
        "e", sync="always", preallocate=True, callback=lambda log: seen.append(log.run_id)
    )

    log = complete(experiment, x=1)

    assert (log.path / "plots").is_dir()
    assert seen == ["e_x_1"]
    assert len(experiment.table("status == 'complete'")) == 1  # our own callback was not lost


def test_an_option_that_fails_is_not_taken_for_a_run_of_somebody_else() -> None:
    experiment = Experiment("e", handle_sigterm=True)
    errors: list[BaseException] = []

    def begin() -> None:
        try:
            experiment.add(x=1, skip_existing=True)
        except StateError as error:
            errors.append(error)

    thread = threading.Thread(target=begin)
    thread.start()
    thread.join()

    assert "main thread" in str(errors[0])


def test_no_file_stays_open_after_the_runs(tmp_path: Path) -> None:
    experiment = Experiment("e")
    for x in range(20):
        complete(experiment, x=x)

    _sync.drain()  # the background opens files to sync them
    assert open_files(tmp_path) == []


def test_an_experiment_shows_itself() -> None:
    experiment = Experiment("e")
    complete(experiment, x=1)
    failed(experiment, x=2)

    assert "2 runs (1 complete, 1 failed)" in str(experiment)
    assert "<td>e_x_1</td>" in experiment._repr_html_()
    assert repr(experiment) == (
        f"Experiment('e', {str(experiment.path)!r}, 2 runs: 1 complete, 1 failed)"
    )
