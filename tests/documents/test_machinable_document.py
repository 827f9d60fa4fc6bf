"""The page of document 003 works in meaning, line by line, those lost from it included."""

import datetime as dt
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast import Run, Store, get
from holdfast.store import _context

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "exoplanet" / "estimate_gravity.py"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a project folder with the tutorial's module, and leave no store active."""
    (tmp_path / "estimate_gravity.py").write_bytes(EXAMPLE.read_bytes())
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    while _context.top() is not None:
        _context.drop(_context.top())  # type: ignore[arg-type]  # there is one


def test_an_experiment_is_retrieved_by_the_expression_that_makes_it(project: Path) -> None:
    gravity = get("estimate_gravity", {"time_dilation": 2.0})
    assert not gravity.is_finished()
    assert not (project / "storage").exists(), "get has no side effects"

    gravity.launch()

    again = get("estimate_gravity", {"time_dilation": 2.0})
    assert again.is_finished()
    assert again.result == gravity.result
    assert again.directory == gravity.directory
    assert again.directory.parent == project / "storage"


def test_the_conditional_of_the_page_takes_either_branch(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def ask() -> None:
        gravity = get("estimate_gravity", {"time_dilation": 0.5})

        if not gravity.is_finished():
            print("An experiment with this configuration was not found")
        else:
            print(f"The gravity for a time dilation of 0.5 is {gravity.result}")

    ask()
    assert capsys.readouterr().out == "An experiment with this configuration was not found\n"
    get("estimate_gravity", {"time_dilation": 0.5}).launch()
    capsys.readouterr()
    ask()
    said = capsys.readouterr().out
    assert said.startswith("The gravity for a time dilation of 0.5 is ")
    assert float(said.split()[-1]) == pytest.approx(4 * 24.79, rel=0.02)


@pytest.mark.parametrize(
    "make",
    [
        lambda: get("holdfast.store", {"directory": "./my-storage"}),
        lambda: get(Store, {"directory": "./my-storage"}),
        lambda: Store("./my-storage"),
    ],
)
def test_a_storage_is_configured_and_used_in_a_context(
    project: Path, make: Callable[[], Store]
) -> None:
    experiment = get("estimate_gravity")
    storage = make()

    with storage:
        experiment.launch()

    assert experiment.directory.parent == project / "my-storage"
    assert not (project / "storage").exists()
    assert not get("estimate_gravity").is_started(), "it is in the other store"
    with storage:
        assert get("estimate_gravity").is_finished()


def test_a_storage_may_be_entered_without_a_block(project: Path) -> None:
    storage = get(Store, {"directory": "./my-storage"})
    storage.__enter__()
    experiment = get("estimate_gravity")
    experiment.launch()
    assert experiment.directory.parent == project / "my-storage"
    assert Store.get() is storage


def test_data_are_saved_and_loaded_by_their_ending() -> None:
    results = {"any": {1, 2}, "object": Path("x")}
    gravity = get("estimate_gravity").launch()

    gravity.save_data("prediction.txt", "a string")  # text
    gravity.save_data("settings.json", {"neurons": [1, 2]})  # jsonable
    gravity.save_data("inputs.npy", np.array([1.0, 2.0]))  # numpy
    gravity.save_data("results.p", results)  # pickled

    assert gravity.load_data("prediction.txt") == "a string"
    assert gravity.load_data("settings.json") == {"neurons": [1, 2]}
    assert gravity.load_data("inputs.npy").tolist() == [1.0, 2.0]
    assert gravity.load_data("results.p", trust=True) == results


def test_records_become_a_table_of_the_iterations() -> None:
    gravity = get("estimate_gravity").launch()
    record = gravity.record()

    for iteration in range(3):
        record["iteration"] = iteration
        record["accuracy"] = 0.1
        # save at the end of the iteration to start a new row
        record.save()

    table = str(gravity.records().as_table()).splitlines()
    assert table[0].split() == ["timestamp", "iteration", "accuracy"]
    assert [line.split()[-2:] for line in table[1:]] == [[str(n), "0.1"] for n in range(3)]


def test_experiments_are_grouped_by_patterns_of_time(project: Path) -> None:
    year = dt.date.today().strftime("%Y")  # noqa: DTZ011 - as the page has it
    experiment = get("estimate_gravity")
    experiment.group_as("lab-reports/%Y")
    assert repr(experiment.group) == f"Group [lab-reports/{year}]"
    experiment.launch()
    assert repr(get("estimate_gravity").group) == f"Group [lab-reports/{year}]"
    assert not (project / "storage" / "lab-reports").exists(), "a group is no folder"


def test_a_storage_has_a_default_group(project: Path) -> None:
    now = dt.datetime.now().astimezone()
    assert str(get("estimate_gravity").group) == now.strftime("%Y_%U_%a")
    get(
        "holdfast.store",
        {"directory": "./my-storage"},
        default_group="lab-reports/%Y",
    ).__enter__()
    run = get("estimate_gravity").launch()
    assert str(run.group) == f"lab-reports/{now:%Y}"


class Seq(list[Any]):
    """Stands for PyFunctional's ``seq``, which reads SQLite by the standard library."""

    def map(self, function: Callable[[Any], Any]) -> "Seq":
        return Seq(map(function, self))

    def to_list(self) -> list[Any]:
        return list(self)


def seq_sqlite3(path: Any, query: str) -> Seq:
    with sqlite3.connect(path) as connection:
        rows = connection.execute(query).fetchall()
    connection.close()
    return Seq(rows)


def test_third_party_tools_search_the_storage_by_sql(project: Path) -> None:
    launched = [get("estimate_gravity", {"drops": n}).launch() for n in (10, 20, 30, 40)]

    storage = Store.get()
    assert repr(storage) == "Store <./storage>"
    assert isinstance(storage, Store)
    assert Path(storage.sqlite_file) == project / "storage" / "index.sqlite"

    recent = seq_sqlite3(
        storage.sqlite_file, "SELECT * FROM experiments ORDER BY timestamp DESC LIMIT 3"
    ).map(lambda x: x[1])
    paths = [Path(path).resolve() for path in recent]
    assert paths == [run.directory.resolve() for run in reversed(launched[1:])]

    experiments = recent.map(Run.from_storage).to_list()
    assert [repr(run) for run in experiments] == [f"Run [{path.name}]" for path in paths]
    assert experiments[0].finished_at().humanize() == "just now"
    assert experiments[0].result == launched[-1].result
