"""`ExperimentReader`: everything about an experiment, one damaged run or not."""

import json
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import contents, end, start
from holdfast import (
    Experiment,
    ExperimentReader,
    FormatError,
    HoldfastWarning,
    InvalidInputError,
    LogReader,
    MissingFileError,
    NotFoundError,
)


@pytest.fixture
def path() -> Path:
    """Three runs: one complete with metrics, one complete without, one failed."""
    experiment = Experiment("e")
    for x in (1, 2):
        log = experiment.add(x=x)
        assert log is not None
        with log:
            log.array("a", np.arange(x))
            if x == 1:
                log.json("metrics", {"y": 0.5})
    failing = experiment.add(x=3, mode="rough")
    assert failing is not None
    with pytest.raises(ZeroDivisionError), failing:
        _ = 1 / 0
    return experiment.path


def test_iterating_gives_a_reader_of_each_run_in_order_of_ids(path: Path) -> None:
    runs = list(ExperimentReader(path))

    assert all(isinstance(run, LogReader) for run in runs)
    assert [run.run_id for run in runs] == ["e_mode_rough_x_3", "e_x_1", "e_x_2"]
    assert [run.params["x"] for run in runs] == [3, 1, 2]


def test_a_run_is_found_by_place_and_by_id(path: Path) -> None:
    reader = ExperimentReader(str(path))

    assert len(reader) == 3
    assert reader[0].run_id == "e_mode_rough_x_3"
    assert reader[-1].run_id == "e_x_2"
    assert reader[np.int64(1)].run_id == "e_x_1"
    assert reader["e_x_2"].load_array("a").tolist() == [0, 1]
    assert "e_x_2" in reader
    assert "e_x_9" not in reader
    assert 2 not in reader


def test_a_run_that_is_not_there_is_an_error_that_lists_those_that_are(path: Path) -> None:
    reader = ExperimentReader(path)

    with pytest.raises(IndexError, match="has 3 runs, none with number 3"):
        reader[3]
    with pytest.raises(IndexError):
        reader[-4]
    with pytest.raises(KeyError, match=r"did you mean 'e_x_[12]'") as missing:
        reader["e_x_"]
    assert isinstance(missing.value, NotFoundError)
    assert "e_x_2" in str(missing.value)


@pytest.mark.parametrize("key", [1.0, None, True, slice(0, 2), b"e_x_1"])
def test_other_keys_are_type_errors(path: Path, key: Any) -> None:
    with pytest.raises(TypeError, match="by number or run id"):
        ExperimentReader(path)[key]


@pytest.mark.parametrize("key", ["../runs/log_e_x_1", "/", "", ".", "..", "a\0b", "x" * 300])
def test_a_key_cannot_lead_out_of_the_experiment(path: Path, key: str) -> None:
    (path / "log_").mkdir()

    with pytest.raises(NotFoundError):
        ExperimentReader(path)[key]


def test_parameters_and_metadata_come_by_run_id(path: Path) -> None:
    reader = ExperimentReader(path)

    assert reader.params == {
        "e_mode_rough_x_3": {"x": 3, "mode": "rough"},
        "e_x_1": {"x": 1},
        "e_x_2": {"x": 2},
    }
    assert reader.meta["e_mode_rough_x_3"]["failure_reason"] == "division by zero"
    assert reader.run_ids == sorted(reader.meta)


def test_the_index_has_a_row_of_all_columns_for_each_run(path: Path) -> None:
    rows = list(ExperimentReader(path).index())

    assert [tuple(row.values()) for row in rows] == [
        ("e_mode_rough_x_3", 3, "rough", "missing", "failed", None),
        ("e_x_1", 1, None, "complete", "complete", 0.5),
        ("e_x_2", 2, None, "missing", "complete", None),
    ]
    assert list(rows[0]) == ["run_id", "x", "mode", "status", "state", "y"]


def test_runs_are_selected_by_expression_and_by_value(path: Path) -> None:
    reader = ExperimentReader(path)

    assert reader.select("x < 3 and state == 'complete'")["x"].tolist() == [1, 2]
    assert reader.select(x=2)["run_id"].tolist() == ["e_x_2"]
    assert reader.select("x > 1", status="missing")["x"].tolist() == [3, 2]
    assert len(reader.to_dataframe()) == 3
    assert reader.to_arrow().num_rows == 3
    with pytest.raises(InvalidInputError, match="did you mean 'mode'"):
        reader.select("moode == 1")


def test_a_summary_counts_the_states(path: Path) -> None:
    reader = ExperimentReader(path)

    assert "3 runs (2 complete, 1 failed)" in str(reader)
    assert repr(reader) == f"ExperimentReader({str(path)!r}, 3 runs: 2 complete, 1 failed)"
    assert "<table>" in reader._repr_html_()


def test_an_experiment_without_runs_is_empty_and_no_error() -> None:
    reader = Experiment("none").reader

    assert len(reader) == 0
    assert list(reader) == []
    assert list(reader.index()) == []
    assert len(reader.select("dt < 1")) == 0
    assert "0 runs (none yet)" in str(reader)
    assert repr(reader).endswith("none', no runs yet)")
    with pytest.raises(IndexError):
        reader[0]


def test_what_is_no_experiment_is_refused(path: Path) -> None:
    with pytest.raises(MissingFileError, match="there is no experiment"):
        ExperimentReader("nowhere")
    with pytest.raises(FormatError, match="has no folder runs/"):
        ExperimentReader(path / "runs")


def damage_metadata(run: Path) -> None:
    (run / "metadata.json").write_text('{"status": "compl')


def remove_metadata(run: Path) -> None:
    (run / "metadata.json").unlink()


def damage_params(run: Path) -> None:
    (run / "params.yaml").write_text("x: [1,")


def impossible_params(run: Path) -> None:
    (run / "params.yaml").write_text("x: 2026-06-31\n")


def binary_params(run: Path) -> None:
    (run / "params.yaml").write_bytes(b"\xff\xfe\x00x")


def damage_metrics(run: Path) -> None:
    (run / "artifacts/metrics.json").write_text("{")


def listed_metrics(run: Path) -> None:
    (run / "artifacts/metrics.json").write_text("[1, 2]")


def folder_of_metrics(run: Path) -> None:
    (run / "artifacts/metrics.json").unlink()
    (run / "artifacts/metrics.json").mkdir()


def escaping_metrics(run: Path) -> None:
    meta = json.loads((run / "metadata.json").read_text())
    (run / "metadata.json").write_text(json.dumps(meta | {"metrics_file": "../../secret.json"}))
    (run.parent.parent / "secret.json").write_text('{"secret": 1}')


@pytest.mark.parametrize("with_index", [True, False])
@pytest.mark.parametrize(
    "damage",
    [
        damage_metadata,
        remove_metadata,
        damage_params,
        impossible_params,
        binary_params,
        damage_metrics,
        listed_metrics,
        folder_of_metrics,
        escaping_metrics,
    ],
)
def test_one_damaged_run_is_named_and_the_others_are_answered(
    path: Path, damage: Any, *, with_index: bool
) -> None:
    damage(path / "runs/log_e_x_1")
    if not with_index:
        (path / "index.csv").unlink()

    with pytest.warns(HoldfastWarning, match="run e_x_1 "):
        rows = {row["run_id"]: row for row in ExperimentReader(path).index()}

    assert rows["e_x_2"]["x"] == 2
    assert rows["e_mode_rough_x_3"]["state"] == "failed"
    assert rows["e_x_1"]["status"] == "error" or rows["e_x_1"]["x"] is None
    assert "secret" not in rows["e_x_1"]
    # The next look, and what stands in the index by then, say the same.
    with pytest.warns(HoldfastWarning, match="run e_x_1 "):
        Experiment("e").reindex()
    with pytest.warns(HoldfastWarning, match="run e_x_1 "):
        again = {row["run_id"]: row for row in ExperimentReader(path).index()}
    assert again == rows


@pytest.mark.parametrize("damage", [damage_metadata, remove_metadata])
def test_iterating_leaves_a_damaged_run_out_with_a_warning(path: Path, damage: Any) -> None:
    damage(path / "runs/log_e_x_1")
    reader = ExperimentReader(path)

    with pytest.warns(HoldfastWarning, match="run e_x_1 "):
        found = [run.run_id for run in reader]

    assert found == ["e_mode_rough_x_3", "e_x_2"]
    assert "e_x_1" in reader.run_ids
    with pytest.warns(HoldfastWarning, match="run e_x_1 "):
        assert sorted(reader.params) == found


def test_a_run_that_cannot_be_read_at_all_does_not_hide_the_others(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path / "index.csv").unlink()
    real = Path.read_bytes

    def refuse(self: Path) -> bytes:
        if "log_e_x_1" in self.parts:
            raise PermissionError(13, "Permission denied", str(self))
        return real(self)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    reader = ExperimentReader(path)

    with pytest.warns(HoldfastWarning, match=r"run e_x_1 .*Permission denied"):
        assert len(list(reader)) == 2
    with pytest.warns(HoldfastWarning, match=r"run e_x_1 .*Permission denied"):
        assert len(list(reader.index())) == 3


def leading_out(run: Path) -> None:
    (run / "metadata.json").rename(run.parent.parent / "elsewhere.json")
    (run / "metadata.json").symlink_to(run.parent.parent / "elsewhere.json")


def test_iterating_leaves_out_a_run_whose_metadata_lie_elsewhere(path: Path) -> None:
    leading_out(path / "runs/log_e_x_1")
    reader = ExperimentReader(path)

    with pytest.warns(HoldfastWarning, match="run e_x_1 .*leads out"):
        assert [run.run_id for run in reader] == ["e_mode_rough_x_3", "e_x_2"]
    with pytest.warns(HoldfastWarning, match="run e_x_1 .*leads out"):
        assert sorted(reader.meta) == ["e_mode_rough_x_3", "e_x_2"]


@pytest.mark.parametrize("damage", [damage_params, impossible_params, binary_params])
def test_damaged_parameters_do_not_hide_those_of_other_runs(path: Path, damage: Any) -> None:
    damage(path / "runs/log_e_x_1")
    reader = ExperimentReader(path)

    with pytest.warns(HoldfastWarning, match="run e_x_1 "):
        params = reader.params

    assert params == {"e_mode_rough_x_3": {"x": 3, "mode": "rough"}, "e_x_2": {"x": 2}}
    assert sorted(reader.meta) == reader.run_ids


def test_a_copy_of_a_run_has_an_entry_of_its_own(path: Path) -> None:
    shutil.copytree(path / "runs/log_e_x_1", path / "runs/log_e_copy")
    reader = ExperimentReader(path)

    assert reader.params["e_copy"] == reader.params["e_x_1"] == {"x": 1}
    assert list(reader.meta) == list(reader.params) == reader.run_ids


def test_a_reader_of_a_relative_path_goes_on_after_a_change_of_folder(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = ExperimentReader(os.path.relpath(path))
    (path / "elsewhere").mkdir()

    monkeypatch.chdir(path / "elsewhere")

    assert len(list(reader)) == len(reader.table()) == 3
    assert reader["e_x_1"].params == {"x": 1}
    assert reader.name == "e"


def test_showing_a_reader_at_the_prompt_never_raises_or_warns(path: Path) -> None:
    reader = ExperimentReader(path)

    damage_metadata(path / "runs/log_e_x_1")
    assert "3 runs: 1 complete, 1 failed, 1 unreadable" in repr(reader)

    shutil.rmtree(path)
    assert repr(reader).endswith("unreadable: No such file or directory)")


def test_files_beside_the_runs_are_no_runs(path: Path) -> None:
    (path / "runs/notes.txt").write_text("mine")
    (path / "runs/.hidden").mkdir()
    (path / "runs/.tmp-1-2-3").mkdir()

    assert len(ExperimentReader(path)) == 3
    assert len(list(ExperimentReader(path).index())) == 3


def test_a_run_folder_without_the_usual_prefix_is_read_too(path: Path) -> None:
    (path / "runs/log_e_x_1").rename(path / "runs/e_x_1")
    reader = ExperimentReader(path)

    assert reader["e_x_1"].params == {"x": 1}
    assert len(list(reader)) == 3


def test_a_run_id_that_holds_log_is_not_shortened() -> None:
    experiment = Experiment("log_log")
    log = experiment.add(x="log_")
    assert log is not None

    assert experiment.reader.run_ids == ["log_log_x_log_"]
    assert experiment.reader["log_log_x_log_"].params == {"x": "log_"}


def test_a_live_reader_sees_new_and_deleted_runs_at_once(path: Path) -> None:
    reader = ExperimentReader(path)
    assert len(list(reader.index())) == 3

    log = Experiment("e").add(x=4)
    assert log is not None
    assert reader["e_x_4"].state == "running"
    assert {row["run_id"]: row["state"] for row in reader.index()}["e_x_4"] == "running"
    log.mark_complete()
    assert {row["run_id"]: row["state"] for row in reader.index()}["e_x_4"] == "complete"

    for file in sorted(log.path.rglob("*"), reverse=True):
        file.unlink()
    log.path.rmdir()
    assert len(reader) == 3
    assert len(list(reader.index())) == 3
    assert "e_x_4" not in reader


def test_a_killed_run_is_interrupted_and_in_the_table(path: Path) -> None:
    program = """
        from holdfast import Experiment
        log = Experiment("e").add(x=5)
        log.json("metrics", {"y": 1.5})
        print("ready", flush=True)
        input()
    """
    process = start(program)
    reader = ExperimentReader(path)
    assert reader.table(x=5)[0]["state"] == "running"

    process.kill()
    end(process)

    row = reader.table(x=5)[0]
    assert (row["state"], row["status"], row["y"]) == ("interrupted", "complete", 1.5)


def test_one_of_ten_thousand_runs_is_found_without_reading_the_others(path: Path) -> None:
    for number in range(10_000):
        os.mkdir(path / f"runs/log_poisoned_{number}")
        # A folder without metadata: whoever reads it raises or warns, and warnings are errors here.

    reader = ExperimentReader(path)

    assert reader["e_x_1"].params == {"x": 1}
    assert len(reader) == 10_003
    with pytest.raises(NotFoundError, match="and 9991 more"):
        reader["e_x_7"]
    with pytest.raises(FormatError):
        reader["poisoned_77"]


def test_a_reader_writes_nothing(path: Path) -> None:
    before = contents(path)

    reader = ExperimentReader(path)
    assert len(list(reader.index())) == len(list(reader)) == 3
    assert str(reader)
    assert reader.params

    assert contents(path) == before


def test_an_experiment_on_read_only_media_is_read(path: Path) -> None:
    for name in ("index.csv", ".index.stamps", ".index.lock"):
        (path / name).unlink(missing_ok=True)
    names = {name.name for name in path.iterdir()}

    assert len(list(ExperimentReader(path).index())) == 3

    assert {name.name for name in path.iterdir()} == names


def test_threads_can_share_a_reader(path: Path) -> None:
    experiment = Experiment("e")
    reader = ExperimentReader(path)
    found: list[dict[str, Any]] = []
    barrier = threading.Barrier(5)

    def look() -> None:
        barrier.wait()
        for _ in range(20):
            found.extend(reader.table(x=1))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    barrier.wait()
    for x in range(10, 20):
        log = experiment.add({"x": x, f"p{x}": 1})
        assert log is not None
        log.mark_complete()
    for thread in threads:
        thread.join()

    assert len(found) == 80
    assert {(row["run_id"], row["x"], row["y"]) for row in found} == {("e_x_1", 1, 0.5)}


def test_metrics_that_utf8_cannot_hold_are_the_same_with_and_without_the_index() -> None:
    experiment = Experiment("odd")
    log = experiment.add(x=1)
    assert log is not None
    with log:
        log.json("metrics", {"name \udc80": "file \udcff", "list": [1, {"a": None}], "z": 1 + 2j})
    with_index = list(experiment.reader.index())

    (experiment.path / "index.csv").unlink()

    assert list(experiment.reader.index()) == with_index
    assert with_index[0]["name \\udc80"] == "file \\udcff"
    assert with_index[0]["list"] == '[1, {"a": null}]'
    assert with_index[0]["z"] == "(1+2j)"
    assert len(experiment.to_dataframe()) == experiment.to_arrow().num_rows == 1
