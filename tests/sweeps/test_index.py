"""``index.csv``: derived, and never what an answer depends on."""

import csv
import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from holdfast import Experiment, LockedError
from holdfast.sweeps import _index
from holdfast.sweeps._rows import Reading, RunRow, read_row


def add(experiment: Experiment, metrics: dict[str, Any] | None = None, **params: Any) -> Path:
    log = experiment.add(params)
    assert log is not None
    with log:
        if metrics is not None:
            log.json("metrics", metrics)
    return log.path


@pytest.fixture
def experiment() -> Experiment:
    experiment = Experiment("e")
    add(experiment, {"y": 0.5, "text": 'a,"b"\nc'}, x=1)
    add(experiment, {"y": 1}, x=2, mode="1")
    add(experiment, x=3, seed=None)
    return experiment


def answers(experiment: Experiment) -> list[dict[str, Any]]:
    """Return what a new reader answers; columns in any order, values with their types."""
    rows = sorted(experiment.reader.index(), key=lambda row: str(row["run_id"]))
    return [{name: (type(v), v) for name, v in sorted(row.items())} for row in rows]


def csv_rows(experiment: Experiment) -> dict[str, dict[str, str]]:
    with (experiment.path / "index.csv").open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file, strict=True)
        names = next(reader)
        rows = [dict(zip(names, line, strict=True)) for line in reader]
    assert len({row["run_id"] for row in rows}) == len(rows)
    return {row["run_id"]: row for row in rows}


def test_the_index_is_plain_csv_with_the_union_of_the_columns(experiment: Experiment) -> None:
    rows = csv_rows(experiment)

    assert [row["x"] for row in rows.values()] == ["1", "2", "3"]
    assert list(rows["e_x_1"]) == ["run_id", "x", "mode", "seed", "status", "state", "y", "text"]
    assert rows["e_x_1"]["text"] == 'a,"b"\nc'
    assert rows["e_seed_None_x_3"]["status"] == "missing"
    assert rows["e_x_1"]["seed"] == ""


def test_the_table_of_notatas_readme_is_what_the_file_says() -> None:
    experiment = Experiment("falling_ball")
    add(experiment, {"final_height": 95.04595, "final_speed": 9.81}, dt=0.01)

    assert (experiment.path / "index.csv").read_text() == (
        "run_id,dt,status,state,final_height,final_speed\n"
        "falling_ball_dt_0.01,0.01,complete,complete,95.04595,9.81\n"
    )


def test_a_deleted_index_changes_no_answer_and_comes_back(experiment: Experiment) -> None:
    before = answers(experiment)
    file = experiment.path / "index.csv"
    rows = csv_rows(experiment)

    file.unlink()
    assert answers(experiment) == before
    assert not file.exists()  # readers write nothing

    experiment.reindex()
    assert csv_rows(experiment) == rows
    assert answers(experiment) == before


def test_the_next_mark_brings_a_deleted_index_back_whole(experiment: Experiment) -> None:
    (experiment.path / "index.csv").unlink()

    add(experiment, {"y": 2}, x=4)

    assert len(csv_rows(experiment)) == 4


def test_an_index_cut_off_at_any_byte_changes_no_answer(experiment: Experiment) -> None:
    before = answers(experiment)
    file = experiment.path / "index.csv"
    content = file.read_bytes()

    for length in range(len(content)):
        file.write_bytes(content[:length])
        assert answers(experiment) == before, length


def test_the_next_mark_mends_an_index_cut_off_at_any_byte(experiment: Experiment) -> None:
    file, stamps = experiment.path / "index.csv", experiment.path / ".index.stamps"
    content, stamped = file.read_bytes(), stamps.read_bytes()
    log = experiment.add(x=4)
    assert log is not None
    log.mark_complete()
    whole = csv_rows(experiment)

    for length in range(0, len(content), 3):
        file.write_bytes(content[:length])
        stamps.write_bytes(stamped)
        Experiment("e").record(log)
        assert csv_rows(experiment) == whole, length


def swap_bytes(content: bytes) -> bytes:
    return content[::-1]


def edit_value(content: bytes) -> bytes:
    assert b",0.5," in content
    return content.replace(b",0.5,", b",0.7,")


def edit_state(content: bytes) -> bytes:
    return content.replace(b"complete,complete", b"complete,failed")


def rename_column(content: bytes) -> bytes:
    return content.replace(b"state,y,", b"state,z,")


def swap_columns(content: bytes) -> bytes:
    return content.replace(b",mode,seed,", b",seed,mode,")


def from_windows(content: bytes) -> bytes:
    return content.replace(b"\n", b"\r\n")


def double_rows(content: bytes) -> bytes:
    header, _, rows = content.partition(b"\n")
    return header + b"\n" + rows + rows


def foreign_row(content: bytes) -> bytes:
    return content + b"e_x_99,99,,,complete,complete,1,\n"


def of_notata(_: bytes) -> bytes:
    return b"run_id,x,status,y\ne_x_1,1,complete,0.5\ne_x_77,1,complete,0.5\n"


def latin_1(content: bytes) -> bytes:
    return content.replace(b"complete", b"compl\xe8te")


@pytest.mark.parametrize(
    "change",
    [
        swap_bytes,
        edit_value,
        edit_state,
        rename_column,
        swap_columns,
        from_windows,
        double_rows,
        foreign_row,
        of_notata,
        latin_1,
        lambda content: content[:0] + bytes(1000),
        lambda content: content + b"\n\n",
    ],
)
def test_an_index_that_somebody_changed_changes_no_answer(
    experiment: Experiment, change: Callable[[bytes], bytes]
) -> None:
    reader = experiment.reader
    before, live = answers(experiment), list(reader.index())
    file = experiment.path / "index.csv"
    changed = change(file.read_bytes())
    assert changed != file.read_bytes()

    file.write_bytes(changed)

    assert answers(experiment) == before
    assert [dict(sorted(row.items())) for row in reader.index()] == [
        dict(sorted(row.items())) for row in live
    ]
    experiment.reindex()
    assert len(csv_rows(experiment)) == 3
    assert answers(experiment) == before


def test_a_folder_in_the_place_of_the_index_changes_no_answer(experiment: Experiment) -> None:
    before = answers(experiment)
    (experiment.path / "index.csv").unlink()
    (experiment.path / "index.csv").mkdir()

    assert answers(experiment) == before


@pytest.mark.parametrize("content", [b"", b"\xff", b"\n", b"00000000 \te_x_1\n"])
def test_stamps_that_are_lost_or_damaged_change_no_answer(
    experiment: Experiment, content: bytes
) -> None:
    before = answers(experiment)
    stamps = experiment.path / ".index.stamps"

    stamps.write_bytes(content)
    assert answers(experiment) == before

    stamps.unlink()
    assert answers(experiment) == before


def test_answers_come_from_the_index_while_it_is_right(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = answers(experiment)

    def refuse(*_: object) -> None:
        raise AssertionError("a run was read although its row is in the index")

    monkeypatch.setattr("holdfast.sweeps._reader.read_row", refuse)

    assert answers(experiment) == before


def change_metrics(run: Path) -> None:
    (run / "artifacts/metrics.json").write_text('{"y": 0.6, "text": ""}')


def change_metrics_keeping_time_and_size(run: Path) -> None:
    file = run / "artifacts/metrics.json"
    found, content = file.stat(), file.read_bytes()
    assert b"0.5" in content
    (run / "new").write_bytes(content.replace(b"0.5", b"0.9"))
    os.utime(run / "new", ns=(found.st_atime_ns, found.st_mtime_ns))
    os.replace(run / "new", file)


def remove_metrics(run: Path) -> None:
    (run / "artifacts/metrics.json").unlink()


def change_params(run: Path) -> None:
    (run / "params.yaml").write_text("x: 8\nnew: [1, 2]\n")


def remove_params(run: Path) -> None:
    (run / "params.yaml").unlink()


def params_as_json(run: Path) -> None:
    (run / "params.yaml").unlink()
    (run / "params.json").write_text('{"x": 9}')


def change_status(run: Path) -> None:
    meta = json.loads((run / "metadata.json").read_text())
    (run / "metadata.json").write_text(json.dumps(meta | {"status": "failed"}))


def remove_run(run: Path) -> None:
    shutil.rmtree(run)


def copy_run(run: Path) -> None:
    shutil.copytree(run, run.with_name("log_e_copy"))


def rename_run(run: Path) -> None:
    run.rename(run.with_name("log_e_renamed"))


@pytest.mark.parametrize("recorded_since", [False, True])
@pytest.mark.parametrize(
    "change",
    [
        change_metrics,
        change_metrics_keeping_time_and_size,
        remove_metrics,
        change_params,
        remove_params,
        params_as_json,
        change_status,
        remove_run,
        copy_run,
        rename_run,
    ],
)
def test_a_run_changed_by_hand_is_answered_as_it_is_now(
    experiment: Experiment, change: Callable[[Path], None], *, recorded_since: bool
) -> None:
    before = answers(experiment)

    change(experiment.path / "runs/log_e_x_1")
    if recorded_since:  # which makes the index newer than the change
        add(experiment, {"y": 7}, x=7)
    now = answers(experiment)

    assert now != before
    (experiment.path / "index.csv").unlink()
    assert answers(experiment) == now


def test_metrics_saved_after_the_mark_are_answered(experiment: Experiment) -> None:
    log = experiment.add(x=6)
    assert log is not None
    with log:
        log.json("metrics", {"y": 1})
    log.json("metrics", {"y": 2})
    add(experiment, x=7)

    assert experiment.table(x=6)[0]["y"] == 2


def test_a_run_marked_again_has_one_row(experiment: Experiment) -> None:
    log = experiment.add(x=6)
    assert log is not None
    log.mark_complete()
    log.json("metrics", {"y": 2})
    log.mark_complete()
    assert csv_rows(experiment)["e_x_6"]["y"] == "2"

    log.mark_failed("after all")

    assert csv_rows(experiment)["e_x_6"]["state"] == "failed"
    assert len(csv_rows(experiment)) == 4


def test_the_next_process_removes_rows_of_runs_that_were_deleted(experiment: Experiment) -> None:
    shutil.rmtree(experiment.path / "runs/log_e_x_1")

    add(Experiment("e"), x=4)

    assert sorted(row["x"] for row in csv_rows(experiment).values()) == ["2", "3", "4"]


def test_another_metrics_file_can_be_recorded(experiment: Experiment) -> None:
    log = experiment.add(x=6)
    assert log is not None
    log.json("final", {"y": 5})
    log.mark_complete()

    experiment.record(log, metrics_file="artifacts/final.json")
    assert csv_rows(experiment)["e_x_6"]["y"] == "5"

    log.json("final", {"y": 6})
    assert experiment.table(x=6)[0]["y"] == 6


def test_a_killed_writer_between_run_and_index_leaves_no_old_answer(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = experiment.add(x=6)
    assert log is not None
    log.mark_complete()
    with monkeypatch.context() as killed:
        killed.setattr(Experiment, "record", lambda *_: None)  # before it wrote the index
        log.mark_failed("late")

    add(experiment, x=7)

    assert experiment.table(x=6)[0]["state"] == "failed"
    add(Experiment("e"), x=8)  # by the next process
    assert csv_rows(experiment)["e_x_6"]["state"] == "failed"


def test_a_writer_takes_in_what_others_wrote(experiment: Experiment) -> None:
    other = Experiment("e")
    for number in range(4, 10):
        add(experiment, {"y": number}, x=number)
        add(other, {f"m{number}": number}, **{f"p{number}": number})

    assert len(csv_rows(experiment)) == 15
    before = answers(experiment)
    (experiment.path / "index.csv").unlink()
    assert answers(experiment) == before


def test_running_runs_are_not_in_the_file_but_in_the_answers(experiment: Experiment) -> None:
    log = experiment.add(x=8)
    assert log is not None

    experiment.reindex()

    assert "e_x_8" not in csv_rows(experiment)
    assert experiment.table(x=8)[0]["state"] == "running"
    del log


def test_a_full_disk_leaves_the_index_as_it_was_and_the_run_recorded_later(
    small_disk: Path,
) -> None:
    experiment = Experiment("e", small_disk)
    log = experiment.add(x=1)
    assert log is not None
    with log:
        log.json("metrics", {"y": 1})
    index = experiment.path / "index.csv"
    before = index.read_bytes()
    reading = read_row("e_x_1", log.path)
    reading.row.metrics["text"] = "long " * 2000
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1024))
        except OSError:
            pass

    with pytest.raises(OSError, match="No space") as full:
        experiment._index.record(reading, list)
    assert full.value.errno == errno.ENOSPC
    assert index.read_bytes() == before
    assert not list(experiment.path.glob(".tmp-*"))

    filler.unlink()
    experiment._index.record(reading, list)
    assert csv_rows(experiment)["e_x_1"]["text"] == "long " * 2000


def test_an_append_that_does_not_fit_leaves_no_part_of_its_line(small_disk: Path) -> None:
    experiment = Experiment("e", small_disk)
    add(experiment, {"text": "short"}, x=1)
    index = experiment.path / "index.csv"
    before = index.read_bytes()
    row = RunRow("e_x_2", {"x": 2}, "complete", "complete", {"text": "x" * 2**20})

    with pytest.raises(OSError, match="No space"):
        experiment._index.record(Reading(row), list)

    assert index.read_bytes() == before


def test_a_lock_that_somebody_keeps_is_an_error_that_says_so(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_index, "LOCK_TIMEOUT", 0.05)
    other = Experiment("e")

    with (
        FileLock(experiment.path / ".index.lock"),
        pytest.raises(LockedError, match="held by another process"),
    ):
        other.reindex()


def test_a_run_of_another_experiment_is_not_recorded(experiment: Experiment) -> None:
    stranger = Experiment("other").add(x=1)
    assert stranger is not None

    with pytest.raises(ValueError, match="does not belong"):
        experiment.record(stranger)
    mine = experiment.add(x=9)
    assert mine is not None
    with pytest.raises(ValueError, match="metrics file"):
        experiment.record(mine, metrics_file="../../secret.json")
    assert "metrics_file" not in experiment.reader["e_x_9"].meta
