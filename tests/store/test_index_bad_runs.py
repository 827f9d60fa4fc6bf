"""Runs that are damaged, copied or renamed are named, and hide no other."""

import shutil
from pathlib import Path

import pytest

from holdfast import HoldfastWarning, Logbook
from holdfast.store._index import Index
from store_runs import delete, finish


def test_a_run_with_damaged_metadata_is_named_and_hides_no_other(store: Path) -> None:
    good, bad = finish(store, dt=0.1), finish(store, dt=0.2)
    (bad / "metadata.json").write_text("{")
    index = Index(store)

    with pytest.warns(HoldfastWarning, match=bad.name):
        assert index.find() == [good]

    assert list(index.problems) == [bad.name]
    assert "is not valid JSON" in index.problems[bad.name]
    assert index.find(state="unreadable") == [bad]
    assert {row["state"] for row in index.table()} == {"complete", "unreadable"}
    index.close()


@pytest.mark.usefixtures("settled")
def test_a_run_that_is_damaged_after_it_was_indexed_is_named_in_the_next_answer(
    store: Path, index: Index
) -> None:
    good, bad = finish(store, dt=0.1), finish(store, dt=0.2)
    assert len(index.find()) == 2
    (bad / "metadata.json").write_text("{")

    with pytest.warns(HoldfastWarning, match=bad.name):
        assert index.find() == [good]


def test_damaged_parameters_and_metrics_are_named_and_the_rest_is_known(
    store: Path, index: Index
) -> None:
    log = Logbook("plain", store, params={"dt": 0.1})
    log.mark_complete()
    (log.path / "params.yaml").write_text("{")
    other = finish(store, dt=0.2, metrics={"error": 1})
    (other / "artifacts/metrics.json").write_text("[1]")

    with pytest.warns(HoldfastWarning, match="is left out or incomplete"):
        assert sorted(index.find(status="complete")) == sorted([log.path, other])

    assert sorted(index.problems) == sorted([log.path.name, other.name])


def test_a_renamed_or_copied_run_is_named_and_does_not_take_the_identity(
    store: Path, index: Index
) -> None:
    path = finish(store, dt=0.1)
    shutil.copytree(path, store / "copy")
    shutil.copytree(path, store / f"again-{path.name}")

    with pytest.warns(HoldfastWarning):
        assert len(index.find(dt=0.1)) == 3

    assert "was copied or renamed" in index.problems["copy"]
    assert len(index.problems) == 2
    assert len(index.sql("SELECT * FROM runs WHERE identity IS NOT NULL")) == 1
    for folder in index.problems:
        delete(store / folder)
    assert index.problems == {}
    assert len(index.sql("SELECT * FROM runs WHERE identity IS NOT NULL")) == 1


@pytest.mark.parametrize(
    "task",
    [5, "text", [], {}, {"name": 3, "params": 4, "identity": []}, {"identity": "x" * 32}],
    ids=str,
)
def test_whatever_metadata_say_of_a_task_is_no_error(
    store: Path, index: Index, task: object
) -> None:
    log = Logbook("odd", store)
    log.meta(task=task)
    log.mark_complete()

    assert len(index.sql("SELECT * FROM runs")) == 1
