"""Where the index lies, and its schema of older and later versions."""

import errno
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from holdfast import Logbook
from holdfast._filesystem import FileSystem
from holdfast.errors import LockedError, StateError
from holdfast.store._index import Index, _database, _place, _schema
from store_runs import answers, delete, finish, truth

FROZEN = Path(__file__).parents[1] / "data" / "index_1.sql"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "holdfast" / "index"


@pytest.fixture
def on_nfs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_place, "filesystem", lambda _: FileSystem("nfs4"))
    monkeypatch.setattr("holdfast.store._index._scan.filesystem", lambda _: FileSystem("nfs4"))


def files(store: Path) -> list[str]:
    return sorted(path.name for path in store.iterdir() if path.is_file())


def test_the_index_lies_in_the_store_as_a_wal_database(store: Path) -> None:
    finish(store, dt=0.1)
    index = Index(store)

    assert index.sqlite_file == store / "index.sqlite"
    assert index.sql("PRAGMA table_list").columns  # which tools ask for
    connection = sqlite3.connect(index.sqlite_file)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    index.close()


@pytest.mark.usefixtures("on_nfs")
def test_on_a_network_file_system_it_lies_in_the_cache_by_the_uuid_of_the_store(
    store: Path, cache: Path
) -> None:
    path = finish(store, dt=0.1)
    index = Index(store)

    assert index.find(dt=0.1) == [path]
    assert index.sqlite_file.parent == cache
    uuid = _place.store_uuid(store)
    assert uuid is not None
    assert index.sqlite_file.name.startswith(uuid)
    assert files(store) == ["store.json"]
    index.close()


@pytest.mark.usefixtures("on_nfs")
def test_a_store_that_was_moved_finds_its_cached_index_and_a_copy_has_its_own(
    store: Path, cache: Path
) -> None:
    path = finish(store, dt=0.1)
    first = Index(store)
    before = first.sqlite_file
    first.close()
    moved = store.rename(store.parent / "moved")
    shutil.copytree(moved, store.parent / "copy")

    there, copied = Index(moved), Index(store.parent / "copy")

    assert there.find() == [moved / path.name]
    assert there.sqlite_file == before
    assert copied.find() == [store.parent / "copy" / path.name]
    assert copied.sqlite_file != before
    there.close()
    copied.close()


@pytest.mark.usefixtures("on_nfs")
def test_without_a_file_of_the_store_it_is_known_by_its_path(store: Path, cache: Path) -> None:
    finish(store, dt=0.1)
    (store / "store.json").write_text("{")
    index = Index(store)

    assert len(index.find()) == 1
    assert index.sqlite_file.parent == cache
    index.close()


def test_a_store_on_a_read_only_disk_is_indexed_in_the_cache(
    read_only_disk: Path, cache: Path
) -> None:
    index = Index(read_only_disk)

    assert index.find() == []
    assert index.sqlite_file.parent == cache
    index.close()


def test_a_store_that_cannot_be_written_answers_the_same_and_is_not_written(
    store: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [finish(store, dt=dt) for dt in (0.1, 0.2)]
    before = files(store)
    real = os.access
    monkeypatch.setattr(
        os, "access", lambda p, mode: Path(p) != store and real(p, mode)
    )  # root may write everywhere
    monkeypatch.setattr(_place, "store_uuid", lambda _: None)
    index = Index(store)

    assert index.find() == paths
    assert files(store) == before
    delete(paths[0])
    assert index.find() == paths[1:]
    index.close()


def test_where_no_place_can_be_written_answers_come_from_memory(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = finish(store, dt=0.1)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(_place, "filesystem", lambda _: FileSystem("nfs4"))
    index = Index(store)

    assert index.find(dt=0.1) == [path]
    later = finish(store, dt=0.2)
    assert index.find(dt=0.2) == [later]
    assert index.sql("SELECT count(*) AS n FROM runs")[0] == {"n": 2}
    index.rebuild()
    assert len(index.find()) == 2
    with pytest.raises(StateError, match="XDG_CACHE_HOME"):
        _ = index.sqlite_file
    index.close()


def test_a_full_disk_costs_no_answer(
    small_disk: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = small_disk / "store"
    for number in range(5):
        finish(store, dt=number)
    index = Index(store)
    assert len(index.find()) == 5
    with (small_disk / "filler").open("wb", buffering=0) as filler:
        for size in (4096, 1):
            try:
                while True:
                    filler.write(bytes(size))
            except OSError as error:
                assert error.errno == errno.ENOSPC  # noqa: PT017 - it is how the disk is filled

    delete(store / next(path.name for path in index.find(dt=0)))
    index.rebuild()

    assert answers(index) == truth(store)
    assert answers(Index(store)) == truth(store)
    index.close()


def test_a_relative_cache_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "somewhere")

    assert _place.cache_folder() == Path.home() / ".cache" / "holdfast" / "index"


def test_a_process_that_keeps_the_index_locked_is_named_after_a_while(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(store, dt=0.1)
    index = Index(store)
    file = index.sqlite_file
    index.close()
    monkeypatch.setattr(_database, "BUSY_SECONDS", 0.05)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(LockedError, match="another process"):
        index.find()
    index.note(store / "anything")  # never raises

    other.execute("ROLLBACK")
    assert len(index.find()) == 1
    other.close()
    index.close()


# Versions


@pytest.fixture
def old_store(store: Path) -> Path:
    """Return a store whose index an older version left, with a run that it knew and a new one."""
    for run_id, dt in (("one", 0.1), ("new", 0.3)):
        with Logbook(run_id, store, params={"dt": dt}) as log:
            log.json("metrics", {"error": dt / 2})
    connection = sqlite3.connect(store / "index.sqlite")
    connection.executescript(FROZEN.read_text())
    connection.close()
    return store


def test_an_index_of_an_older_schema_is_brought_up_and_answers_the_same(old_store: Path) -> None:
    index = Index(old_store)

    assert index.find(dt=0.1) == [old_store / "log_one"]
    assert index.find("error == 0.05") == [old_store / "log_one"]
    assert [row["run_id"] for row in index.table()] == ["one", "new"]
    assert index.sql("SELECT id FROM runs WHERE folder = 'log_one'")[0] == {"id": 7}  # it was kept
    assert index.sql("SELECT metrics FROM experiments ORDER BY timestamp")[0] == {
        "metrics": '{"error":0.05}'
    }
    index.close()
    connection = sqlite3.connect(old_store / "index.sqlite")
    assert connection.execute("PRAGMA user_version").fetchone() == (_schema.VERSION,)
    connection.close()


def test_a_migrated_schema_is_the_same_as_a_new_one(old_store: Path, tmp_path: Path) -> None:
    finish(tmp_path / "fresh", dt=0.1)
    schemas = []
    for folder in (old_store, tmp_path / "fresh"):
        index = Index(folder)
        names = index.sql("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite%'")
        columns = {
            name: sorted(row["name"] for row in index.sql(f"PRAGMA table_info({name})"))
            for name in names.to_dict()["name"]
        }
        schemas.append(columns)
        index.close()

    assert schemas[0] == schemas[1]


def test_an_older_schema_that_cannot_be_brought_up_is_built_anew(old_store: Path) -> None:
    connection = sqlite3.connect(old_store / "index.sqlite")
    connection.execute("DROP VIEW experiments")
    connection.execute("DROP TABLE runs")
    connection.commit()
    connection.close()
    index = Index(old_store)

    assert [row["run_id"] for row in index.table()] == ["one", "new"]
    assert index.sqlite_file == old_store / "index.sqlite"
    index.close()


def test_the_index_of_a_later_version_is_left_alone(store: Path, cache: Path) -> None:
    path = finish(store, dt=0.1)
    connection = sqlite3.connect(store / "index.sqlite")
    connection.execute(f"PRAGMA application_id = {_schema.APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {_schema.VERSION + 1}")
    connection.execute("CREATE TABLE later (x)")
    connection.commit()
    connection.close()
    before = (store / "index.sqlite").read_bytes()
    index = Index(store)

    assert index.find(dt=0.1) == [path]
    assert index.sqlite_file.parent == cache
    assert (store / "index.sqlite").read_bytes() == before
    index.close()
