"""``holdfast ls --where``, ``sql``, ``reindex``, ``gc`` and ``explain``, as a script meets them."""

import io
import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers import contents
from holdfast import Experiment, Logbook
from holdfast.cli import main
from holdfast.store import Store
from store_runs import begin, finish, kill

Answer = tuple[int, str, str]
Command = Callable[..., Answer]

DEAD = 4_000_000
"""A process id beyond what Linux gives out."""


@pytest.fixture
def holdfast(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    def call(*arguments: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["holdfast", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, err

    return call


@pytest.fixture
def store() -> Path:
    folder = Path("storage")
    finish(folder, dt=0.1, group="lab/2023", metrics={"error": 0.5})
    finish(folder, dt=0.2)
    begin(folder, dt=0.3).mark_failed("diverged")
    Store(folder).index.refresh()
    return folder


def listed(out: str) -> list[tuple[Any, ...]]:
    return [(Path(run["path"]).name[:12], run["state"]) for run in json.loads(out)]


# ls


def test_ls_lists_the_runs_of_a_store_by_its_index(holdfast: Command, store: Path) -> None:
    code, out, _ = holdfast("ls", "storage", "--json")

    assert code == 0
    runs = json.loads(out)
    assert sorted(run["state"] for run in runs) == ["complete", "complete", "failed"]
    assert all(Path(run["path"]).parent == store for run in runs)
    (failed,) = (run for run in runs if run["state"] == "failed")
    assert failed["failure_reason"] == "diverged"
    assert failed["task"] == "simulate"
    assert {"run_id", "status", "start_time", "end_time", "runtime_sec"} <= failed.keys()


@pytest.mark.usefixtures("store")
def test_ls_where_selects_in_a_store(holdfast: Command) -> None:
    _, some, _ = holdfast("ls", "storage", "--where", "dt < 0.25 and error is None", "--json")
    _, text, _ = holdfast("ls", "storage", "--where", "like(group, 'lab/*')")
    code, nothing, err = holdfast("ls", "storage", "--where", "dt > 5")

    assert len(json.loads(some)) == 1
    assert len(text.splitlines()) == 2
    assert (code, nothing) == (0, "")
    assert "no such runs in storage" in err


def test_ls_where_selects_in_an_experiment_and_any_folder_and_writes_nothing(
    holdfast: Command,
) -> None:
    for log in Experiment("sweep").grid(dt=[0.1, 0.2]):
        with log:
            log.json("metrics", {"error": 0.5})
    Logbook("alone", "outputs", params={"dt": 0.3}).mark_failed("no")
    before = contents(Path())

    answers = [
        holdfast("ls", folder, "--where", where, "--json")[1]
        for folder, where in (
            ("outputs", "dt >= 0.2"),
            ("outputs/sweep", "dt >= 0.2 and error < 1"),
            ("outputs", "state == 'failed'"),
            ("outputs/log_alone", "dt > 0"),
        )
    ]

    names = [[run["run_id"] for run in json.loads(answer)] for answer in answers]
    assert names == [["sweep_dt_0.2", "alone"], ["sweep_dt_0.2"], ["alone"], ["alone"]]
    assert json.loads(answers[0])[0]["path"] == "outputs/sweep/runs/log_sweep_dt_0.2"
    assert contents(Path()) == before


@pytest.mark.usefixtures("store")
def test_ls_where_with_a_wrong_expression_exits_with_2_and_a_hint(holdfast: Command) -> None:
    code, out, err = holdfast("ls", "storage", "--where", "dtt < 1")

    assert (code, out) == (2, "")
    assert "did you mean 'dt'" in err


def test_ls_lists_a_damaged_run_of_a_store_as_unreadable(holdfast: Command, store: Path) -> None:
    (bad,) = Store(store).index.find(dt=0.2)
    (bad / "metadata.json").write_text("{")

    code, out, err = holdfast("ls", "storage", "--json")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        _, selected, warned = holdfast("ls", "storage", "--where", "dt < 1", "--json")

    assert code == 0
    assert err == ""
    (told,) = (run for run in json.loads(out) if run["state"] == "unreadable")
    assert "not valid JSON" in told["problem"]
    assert len(json.loads(selected)) == 2
    assert bad.name in warned


# sql, reindex


@pytest.mark.usefixtures("store")
def test_sql_prints_what_a_query_gives(holdfast: Command) -> None:
    query = "SELECT state, count(*) AS runs FROM experiments GROUP BY state ORDER BY state"
    code, text, _ = holdfast("sql", query)
    _, out, _ = holdfast("sql", query, "storage", "--json")

    assert code == 0
    assert text.split() == ["state", "runs", "complete", "2", "failed", "1"]
    assert json.loads(out) == [{"state": "complete", "runs": 2}, {"state": "failed", "runs": 1}]


@pytest.mark.usefixtures("store")
def test_sql_that_writes_exits_with_2_and_changes_nothing(holdfast: Command) -> None:
    code, out, err = holdfast("sql", "DELETE FROM runs")

    assert (code, out) == (2, "")
    assert "would do more than read" in err
    assert len(json.loads(holdfast("ls", "storage", "--json")[1])) == 3


@pytest.mark.parametrize("command", [("sql", "SELECT 1"), ("reindex",), ("gc",)])
def test_a_store_that_is_not_there_exits_with_3(
    holdfast: Command, command: tuple[str, ...]
) -> None:
    code, _, err = holdfast(*command, "nowhere")

    assert code == 3
    assert "there is no store nowhere" in err
    assert not Path("nowhere").exists()


def test_reindex_builds_the_index_anew_and_names_damaged_runs(
    holdfast: Command, store: Path
) -> None:
    (bad,) = Store(store).index.find(dt=0.2)
    (bad / "metadata.json").write_text("{")
    (store / "index.sqlite").write_bytes(b"nonsense")

    code, out, err = holdfast("reindex")
    _, told, _ = holdfast("reindex", "storage", "--json")

    assert code == 0
    assert "3 runs in" in out
    assert bad.name in err
    assert json.loads(told)["runs"] == 3
    assert list(json.loads(told)["problems"]) == [bad.name]


# gc


def age(path: Path, seconds: float = 7200.0) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_gc_lists_what_dead_processes_left_and_removes_it_when_confirmed(
    holdfast: Command, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = next(path for path in store.iterdir() if path.name.startswith("log_"))
    orphans = [store / f".tmp-{DEAD}-1-abc", run / f".tmp-{DEAD}-2-abc"]
    for orphan in orphans:
        orphan.write_bytes(bytes(1500))
        age(orphan)
    (store / "empty").mkdir()
    age(store / "empty")
    before = contents(run)

    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    code, out, _ = holdfast("gc")
    assert code == 0
    assert "3 things, 3 kB" in out
    assert all(orphan.exists() for orphan in orphans)

    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    code, out, _ = holdfast("gc")

    assert code == 0
    assert "removed 3 things, 3 kB" in out
    assert not any(orphan.exists() for orphan in orphans)
    assert not (store / "empty").exists()
    assert contents(run).items() <= before.items()
    assert len(json.loads(holdfast("ls", "storage", "--json")[1])) == 3
    assert "nothing to remove" in holdfast("gc")[1]


def test_gc_that_nobody_answers_says_so_and_removes_nothing(
    holdfast: Command, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orphan = store / f".tmp-{DEAD}-1-abc"
    orphan.write_bytes(b"")
    age(orphan)
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))

    code, _, err = holdfast("gc")

    assert code == 2
    assert "nothing was removed" in err
    assert "--yes" in err
    assert orphan.exists()


def test_gc_shows_the_whole_of_a_long_path(holdfast: Command, store: Path) -> None:
    long = store / f".tmp-{DEAD}-1-{'x' * 120}"
    long.write_bytes(b"")
    age(long)

    _, out, _ = holdfast("gc", "--yes")

    assert long.name in out


def test_gc_leaves_what_is_young_or_whose_maker_lives(holdfast: Command, store: Path) -> None:
    young, living = store / f".tmp-{DEAD}-1-abc", store / f".tmp-{os.getpid()}-1-abc"
    for path in (young, living):
        path.write_text("x")
    age(living)
    (store / "filled").mkdir()
    (store / "filled" / "file").write_text("x")
    age(store / "filled")
    (store / "just made").mkdir()

    code, out, _ = holdfast("gc", "--yes")

    assert code == 0
    assert "nothing to remove" in out
    assert young.exists()
    assert living.exists()


def test_gc_removes_failed_and_interrupted_runs_only_when_asked(
    holdfast: Command, store: Path
) -> None:
    interrupted = begin(store, dt=0.4)
    kill(interrupted.path)
    running = begin(store, dt=0.5)

    assert "nothing to remove" in holdfast("gc", "--yes")[1]
    code, out, _ = holdfast("gc", "--failed", "--json")
    assert code == 0
    assert [item["kind"] for item in json.loads(out)["found"]] == ["failed run"]
    assert json.loads(out)["removed"] == []
    assert json.loads(out)["found"][0]["bytes"] > 500

    code, out, _ = holdfast("gc", "--failed", "--interrupted", "--yes", "--json")

    assert code == 0
    assert len(json.loads(out)["removed"]) == 2
    left = listed(holdfast("ls", "storage", "--json")[1])
    assert sorted(state for _, state in left) == ["complete", "complete", "running"]
    assert not interrupted.path.exists()
    running.mark_complete()


def test_gc_removes_claims_of_dead_processes_and_no_others(holdfast: Command, store: Path) -> None:
    claims = Store(store).claims
    dead, alive = "0" * 32, "1" * 32
    taken = []
    for identity in (dead, alive):
        with claims.locked(identity):
            taken.append(claims.claim(identity))
            assert claims.take(taken[-1]) is None
    file = claims.folder / dead / "1"
    told = json.loads(file.read_bytes())
    told["owner"]["process_start"] = 1
    file.write_text(json.dumps(told))

    code, out, _ = holdfast("gc", "--yes", "--json")

    assert code == 0
    assert [item["kind"] for item in json.loads(out)["removed"]] == ["claim"]
    assert not (claims.folder / dead).exists()
    assert (claims.folder / alive).exists()
    for claim in taken:
        claim.let_go()


# explain


TASK = """
from holdfast import task

@task
def simulate(dt: float = 0.1, steps: int = 10) -> float:
    return dt * steps
"""


@pytest.fixture
def task_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("my_simulation.py").write_text(TASK)
    Path("params.yaml").write_text("dt: 0.2\n")


@pytest.mark.usefixtures("task_file")
def test_explain_tells_why_there_is_no_run_and_which_is_near(holdfast: Command) -> None:
    from holdfast import get

    code, out, _ = holdfast("explain", "my_simulation", "params.yaml")
    assert code == 0
    assert "there is no run" in out
    assert not Path("storage").exists()

    with Store("storage"):
        get("my_simulation", {"dt": 0.3}).launch()
    _, out, _ = holdfast("explain", "my_simulation", "params.yaml")
    _, told, _ = holdfast("explain", "my_simulation", "params.yaml", "--json")

    assert "dt is 0.3, not 0.2" in out
    assert json.loads(told)["hit"] is False
    assert json.loads(told)["near"][0]["differs"] == {"dt": [0.2, 0.3]}


@pytest.mark.usefixtures("task_file")
def test_explain_tells_where_the_run_is(holdfast: Command) -> None:
    from holdfast import get

    with Store("elsewhere"):
        run = get("my_simulation", {"dt": 0.2}).launch()

    _, out, _ = holdfast("explain", "my_simulation", "params.yaml", "--store", "elsewhere")
    _, miss, _ = holdfast("explain", "my_simulation", "--store", "elsewhere", "--seed", "3")

    assert str(run.directory) in out
    assert "is complete" in out
    assert "there is no run" in miss


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("no_such_module",), 3),
        (("my_simulation", "nowhere.yaml"), 3),
        (("my_simulation", "list.yaml"), 4),
        (("my_simulation", "bad.json"), 4),
        (("my_simulation", "typo.yaml"), 2),
    ],
)
@pytest.mark.usefixtures("task_file")
def test_explain_says_what_is_wrong(
    holdfast: Command, arguments: tuple[str, ...], code: int
) -> None:
    Path("list.yaml").write_text("[1, 2]")
    Path("bad.json").write_text("{")
    Path("typo.yaml").write_text("dtt: 1")

    assert holdfast("explain", *arguments)[0] == code
