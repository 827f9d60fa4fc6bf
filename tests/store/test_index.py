"""The index follows the run directories, whatever happens to them and to it."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers import output
from holdfast import HoldfastWarning, Logbook, _sync
from holdfast.errors import InvalidInputError
from holdfast.store._index import Index, _index, _refresh, _scan
from store_runs import answers, begin, delete, finish, kill, truth


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


@pytest.fixture
def index(store: Path) -> Iterator[Index]:
    made = Index(store)
    yield made
    made.close()


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let complete runs count as final at once."""
    monkeypatch.setattr(_scan, "SETTLED_SECONDS", -1.0)


# What changes on disk


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


# What happens to the index


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


# One bad run


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


# Threads and forks


def test_threads_share_an_index(store: Path, index: Index) -> None:
    problems: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for step in range(5):
                index.note(finish(store, dt=number, step=step))
                assert len(index.find(dt=number)) == step + 1
        except BaseException as error:  # noqa: BLE001 - told by the test
            problems.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert problems == []
    assert answers(index) == truth(store)


def test_a_forked_child_opens_the_index_for_itself(store: Path) -> None:
    printed = output(
        """
        import os, sys
        from pathlib import Path
        from holdfast.store._index import Index
        from store_runs import finish
        store = Path(sys.argv[1])
        finish(store, dt=0.1)
        index = Index(store)
        print(len(index.find()), flush=True)
        child = os.fork()
        if not child:
            finish(store, dt=0.2)
            ok = len(index.find()) == 2
            index.close()
            os._exit(0 if ok else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), len(index.find(dt=0.2)))
        """,
        store,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )

    assert printed.split() == ["1", "0", "1"]


LEFT_OPEN = """
import builtins, sys
from holdfast.store import Store
builtins.kept = index = Store(sys.argv[1]).index
assert len(index.find()) == 1
"""


@pytest.mark.parametrize("end", ["", "sys.exit(0)", "del index, builtins.kept"])
def test_a_program_ends_quietly_with_an_index_open(store: Path, end: str) -> None:
    finish(store, dt=0.1)
    program = [sys.executable, "-X", "dev", "-c", LEFT_OPEN + end, str(store)]

    done = subprocess.run(program, check=True, capture_output=True, text=True)

    assert done.stderr == ""
    assert Path(f"{store}/index.sqlite-wal").stat().st_size == 0  # closed, not left to die


def test_a_closed_index_opens_again(store: Path, index: Index) -> None:
    path = finish(store, dt=0.1)
    assert index.find() == [path]
    index.close()
    index.close()

    assert index.find() == [path]
    assert repr(index) == f"Index({str(store)!r})"


def test_a_question_that_is_no_expression_is_refused(index: Index, store: Path) -> None:
    finish(store, dt=0.1)

    with pytest.raises(InvalidInputError, match="compare with '=='"):
        index.find("dt = 0.1")


def test_metrics_that_a_symlink_leads_out_of_the_run_are_not_read(
    store: Path, index: Index
) -> None:
    path = finish(store, dt=0.1)
    (store.parent / "metrics.json").write_text('{"secret": 1}')
    (path / "artifacts").mkdir(exist_ok=True)
    (path / "artifacts/metrics.json").symlink_to(store.parent / "metrics.json")

    with pytest.warns(HoldfastWarning, match="leads out"):
        assert "secret" not in index.table().columns
