"""The index is lost, damaged, moved or rebuilt, and answers the same."""

import json
import os
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.store._index import Index, _scan
from store_runs import answers, begin, delete, finish, truth


def unlink_all(file: Path) -> None:
    for path in file.parent.glob("index.sqlite*"):
        path.unlink()


def another_database(file: Path) -> None:
    file.unlink()
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE mine (x)")
    connection.close()


def scribble(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.seek(4096)
        opened.write(b"\xaa" * 3 * 4096)


LOSSES: dict[str, Callable[[Path], object]] = {
    "deleted": lambda file: file.unlink(),
    "deleted with its log": unlink_all,
    "emptied": lambda file: os.truncate(file, 0),
    "cut": lambda file: os.truncate(file, file.stat().st_size // 2),
    "cut in its header": lambda file: os.truncate(file, 50),
    "cut to a page": lambda file: os.truncate(file, 4096),
    "something else": lambda file: file.write_bytes(b"not a database" * 1000),
    "another database": another_database,
    "overwritten in its middle": scribble,
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
@pytest.mark.parametrize("is_open", [True, False], ids=["while open", "while closed"])
def test_an_index_that_is_lost_or_damaged_answers_the_same(
    store: Path, loss: Callable[[Path], object], *, is_open: bool
) -> None:
    for dt in (0.1, 0.2, 0.3):
        finish(store, dt=dt)
    with_failure = begin(store, dt=0.4)
    with_failure.mark_failed("diverged")
    index = Index(store)
    before = answers(index)
    file = index.sqlite_file
    if not is_open:
        index.close()

    loss(file)

    assert answers(index) == before == truth(store)
    assert index.find("dt > 0.15 and state == 'complete'") == index.find("dt in (0.2, 0.3)")
    assert answers(Index(store)) == before
    index.close()


def test_a_store_that_was_moved_answers_with_its_new_paths(store: Path, index: Index) -> None:
    path = finish(store, dt=0.1)
    assert index.find() == [path]
    index.close()
    moved = store.rename(store.parent / "moved")

    there = Index(moved)

    assert there.find(dt=0.1) == [moved / path.name]
    assert there.sql("SELECT directory FROM experiments")[0]["directory"] == str(moved / path.name)
    there.close()


def test_a_copy_of_a_store_does_not_answer_from_the_index_that_was_copied_with_it(
    store: Path, index: Index
) -> None:
    paths = [finish(store, dt=dt) for dt in (0.1, 0.2)]
    assert len(index.find()) == 2
    index.close()
    copy = store.parent / "copy"
    subprocess.run(["cp", "-a", str(store), str(copy)], check=True)
    delete(copy / paths[0].name)

    there = Index(copy)

    assert there.find() == [copy / paths[1].name]
    there.close()


def test_rebuilding_gives_the_same_answers_and_keeps_them_open(store: Path, index: Index) -> None:
    for dt in (0.1, 0.2):
        finish(store, dt=dt)
    other = Index(store)
    before = answers(other)

    index.rebuild()

    assert answers(index) == answers(other) == before
    finish(store, dt=0.3)
    assert answers(index) == answers(other) == truth(store)
    other.close()


def test_what_may_have_been_lost_at_a_power_loss_is_read_again(
    store: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_scan, "SETTLED_SECONDS", -1.0)
    path = finish(store, dt=0.1)
    assert index.find(state="complete") == [path]
    meta = json.loads((path / "metadata.json").read_bytes())
    (path / "metadata.json").write_text(json.dumps(meta | {"status": "failed"}))

    monkeypatch.setattr("holdfast.store._index._refresh.boot_id", lambda: "another boot")

    assert index.find(state="failed") == [path]
