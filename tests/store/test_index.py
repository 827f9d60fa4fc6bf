"""The index follows the run directories, whatever happens to them and to it."""

import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast import HoldfastWarning, Logbook, _sync
from holdfast.store._index import Index, _index, _refresh, _scan
from store_runs import answers, begin, delete, finish, kill, truth


def test_a_run_is_found_as_soon_as_it_has_begun(store: Path, index: Index) -> None:
    assert index.find() == []

    path = begin(store, dt=0.1).path

    assert index.find(dt=0.1) == [path]
    assert index.find("state == 'running'") == [path]


def test_the_end_of_a_run_is_seen_without_a_hint(store: Path, index: Index) -> None:
    one, other = begin(store, dt=0.1), begin(store, dt=0.2)
    assert len(index.find(state="running")) == 2

    one.mark_complete()
    other.mark_failed("diverged")

    assert answers(index) == truth(store)
    assert index.find(status="finished") == [one.path]
    assert index.find("reason == 'diverged'") == [other.path]


def test_a_killed_run_is_interrupted_and_its_retry_is_seen(store: Path, index: Index) -> None:
    log = begin(store, dt=0.1)
    kill(log.path)
    assert index.find(state="interrupted") == [log.path]
    assert index.find(status="incomplete") == [log.path]

    with Logbook(log.path.name.removeprefix("log_"), store, retry=True):
        assert index.find(state="running") == [log.path]

    assert index.find(state="complete") == [log.path]


@pytest.mark.usefixtures("settled")
def test_runs_that_are_deleted_or_copied_in_by_hand_are_noticed(store: Path, index: Index) -> None:
    paths = [finish(store, dt=dt) for dt in (0.1, 0.2, 0.3)]
    assert len(index.find()) == 3

    delete(paths[0])
    paths[1].rename(store.parent / paths[1].name)
    assert index.find() == [paths[2]]

    shutil.copytree(store.parent / paths[1].name, paths[1])
    assert index.find() == paths[1:]


@pytest.mark.usefixtures("settled")
def test_a_run_that_replaces_another_of_its_name_is_read_anew(store: Path, index: Index) -> None:
    Logbook("one", store, params={"dt": 0.1}).mark_complete()
    (first,) = index.find(dt=0.1)

    Logbook("one", store, params={"dt": 0.2}, overwrite=True).mark_complete()

    assert index.find(dt=0.1) == []
    assert index.find(dt=0.2) == [first]


def test_a_copy_that_comes_in_slowly_becomes_a_run_when_its_metadata_are_there(
    store: Path, index: Index
) -> None:
    run = finish(store.parent / "elsewhere", dt=0.1, metrics={"error": 0.5})
    copy = store / run.name
    copy.mkdir()
    assert index.find() == []

    shutil.copy(run / "metadata.json", copy)
    assert index.find() == [copy]

    shutil.copytree(run / "artifacts", copy / "artifacts")
    assert index.find("error == 0.5") == [copy]


@pytest.mark.usefixtures("settled")
def test_files_of_a_complete_run_that_were_changed_by_hand_show_in_its_answer(
    store: Path, index: Index
) -> None:
    path = finish(store, dt=0.1, metrics={"error": 0.5})
    assert index.find("error == 0.5") == [path]

    (path / "artifacts/metrics.json").write_text('{"error": 0.7}')

    assert index.find("error == 0.5") == []
    assert index.find("error == 0.7") == [path]


@pytest.mark.usefixtures("settled")
def test_a_full_refresh_sees_what_an_answer_could_not(
    store: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = finish(store, dt=0.1, metrics={"error": 0.5})
    assert len(index.find()) == 1
    (path / "artifacts/metrics.json").write_text('{"error": 0.7}')
    assert index.find("error == 0.7") == []  # it was not in the answer, so nobody looked

    index.refresh(full=True)

    assert index.find("error == 0.7") == [path]


@pytest.mark.usefixtures("settled")
def test_an_unchanged_store_is_not_looked_through(
    store: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [finish(store, dt=dt) for dt in (0.1, 0.2, 0.3)]
    assert len(index.find()) == 3
    time.sleep(0.1)  # until the stamp of the folder can be trusted
    assert len(index.find()) == 3  # takes in that SQLite has put files of its own into the store
    looked_at: list[str] = []

    def signature(run: str, real: Callable[[str], str | None] = _scan.signature) -> str | None:
        looked_at.append(os.path.basename(run))
        return real(run)

    monkeypatch.setattr("holdfast.store._index._refresh.signature", signature)
    monkeypatch.setattr("holdfast.store._index._refresh.folders", lambda _: pytest.fail("listed"))

    assert index.find(dt=0.2) == [paths[1]]
    assert looked_at == [paths[1].name]


@pytest.mark.usefixtures("settled")
def test_an_unchanged_store_is_listed_once_for_all_processes_that_ask(
    store: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [finish(store, dt=dt) for dt in (0.1, 0.2)]
    index.find()
    time.sleep(0.1)  # until the stamp of the folder can be trusted
    index.find()
    index.close()
    listed: list[Path] = []

    def folders(directory: Path, real: Callable[..., dict[str, int]] = _scan.folders) -> Any:
        listed.append(directory)
        return real(directory)

    monkeypatch.setattr(_refresh, "folders", folders)
    for _ in range(3):
        fresh = Index(store)
        assert fresh.find() == paths
        assert fresh.table() is not None
        fresh.close()
    assert listed == []

    shutil.copytree(paths[0], store / "copied in while nobody has the index open")
    fresh = Index(store)
    with pytest.warns(HoldfastWarning, match="copied or renamed"):
        assert len(fresh.find()) == 3
    fresh.close()
    assert listed == [store]


@pytest.mark.usefixtures("settled")
def test_a_complete_run_with_damaged_metrics_is_not_read_by_each_question(
    store: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = finish(store, dt=0.1)
    (path / "artifacts").mkdir(exist_ok=True)
    (path / "artifacts" / "metrics.json").write_text("{")
    with pytest.warns(HoldfastWarning, match="metrics"):
        index.find()
    monkeypatch.setattr(_refresh, "read_entry", None)  # which would be called

    assert index.find(dt=0.1) == [path]


def test_a_result_that_comes_in_after_the_rest_of_a_copy_is_seen(store: Path, index: Index) -> None:
    path = finish(store, dt=0.1)
    assert index.find(dt=0.1) == [path]

    (path / "artifacts").mkdir(exist_ok=True)
    (path / "artifacts" / "result.json").write_text('{"error": 0.5}')

    assert index.find("result.error < 1") == [path]


def test_a_table_is_read_again_only_when_something_has_changed(store: Path, index: Index) -> None:
    begin(store, dt=0.1).mark_complete()
    index.find()
    time.sleep(0.1)  # until the stamp of the folder is trusted
    first = index.table()
    asked: list[str] = []
    index._database.run(lambda connection: connection.set_trace_callback(asked.append))

    again = index.table()
    assert list(again) == list(first)
    assert not any("reason" in text for text in asked)
    again[0]["dt"] = "changed by the user"
    assert index.table().to_dict()["dt"] == [0.1]

    another = Index(store)
    another.note(finish(store, dt=0.2))
    another.close()
    assert index.table().to_dict()["dt"] == [0.1, 0.2]
    assert index.table("dt > 0.1").to_dict()["dt"] == [0.2]


def test_a_noted_run_is_final_at_once(store: Path, index: Index) -> None:
    log = begin(store, dt=0.1)
    index.note(log.path)
    log.mark_complete()
    index.note(log.path)

    with sqlite3.connect(index.sqlite_file) as connection:
        looks = connection.execute("SELECT look FROM seen").fetchall()
    connection.close()

    assert looks == [(_scan.NEVER,)]


def test_a_note_of_something_that_is_no_run_changes_nothing(store: Path, index: Index) -> None:
    index.note(store / "nowhere")
    (store / "empty").mkdir()
    index.note(store / "empty")

    assert index.find() == []


def test_a_note_never_fails_the_run(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = finish(store, dt=0.1)
    index = Index(store)

    def broken(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(_index, "take_in", broken)
    index.note(path)
    monkeypatch.undo()

    assert index.find() == [path]
    index.close()


def test_hidden_folders_files_and_symlinks_are_no_runs(store: Path, index: Index) -> None:
    path = finish(store.parent / "elsewhere", dt=0.1)
    shutil.copytree(path, store / ".tmp-1-2-3")
    (store / "linked").symlink_to(path)
    (store / "file").write_text("x")

    assert index.find() == []


@pytest.mark.parametrize("what", ["file", "symlink"])
def test_a_run_folder_that_became_something_else_is_no_run_any_more(
    store: Path, index: Index, tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_index, "CHECKED_AT_MOST", 0)
    path, other = finish(store, dt=0.1), finish(store, dt=0.2)
    assert len(index.find()) == 2

    path.rename(tmp_path / "aside")
    if what == "file":
        path.write_text("a note")
    else:
        path.symlink_to(tmp_path / "aside")

    assert index.find() == [other]
    assert index.table().to_dict()["dt"] == [0.2]


def test_a_named_pipe_keeps_nobody_waiting(store: Path, index: Index) -> None:
    good, bad = finish(store, dt=0.1), finish(store, dt=0.2)
    _sync.drain()
    (bad / "artifacts").mkdir(exist_ok=True)
    (bad / "artifacts" / "metrics.json").unlink(missing_ok=True)
    os.mkfifo(bad / "artifacts" / "metrics.json")

    with pytest.warns(HoldfastWarning, match=bad.name):
        assert index.find() == [good, bad]


def test_a_folder_whose_name_is_no_text_hides_nothing(store: Path, index: Index) -> None:
    path = finish(store, dt=0.1)
    os.mkdir(os.fsencode(store) + b"/\xff")

    assert index.find() == [path]


def test_a_store_that_does_not_exist_yet_has_no_runs_and_is_not_made(tmp_path: Path) -> None:
    index = Index(tmp_path / "later")

    assert index.find() == []
    assert index.find(dt=0.1) == []
    assert len(index.table()) == 0
    assert index.sql("SELECT * FROM runs").columns[0] == "id"
    assert not (tmp_path / "later").exists()
    path = finish(tmp_path / "later", dt=0.1)
    assert index.find(dt=0.1) == [path]
    index.close()
