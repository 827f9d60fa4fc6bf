"""Every example runs as a user runs it, and leaves on disk what it says."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
import zarr

from holdfast import LogReader

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_example(name: str) -> str:
    environment = os.environ | {"MPLBACKEND": "Agg", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name)],
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def metadata(run: Path) -> Any:
    return json.loads((run / "metadata.json").read_text())


def index(experiment: Path) -> list[dict[str, str]]:
    with (experiment / "index.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_example_is_run_by_a_test_of_this_file() -> None:
    source = Path(__file__).read_text()
    for example in EXAMPLES.glob("*.py"):
        assert f'run_example("{example.name}")' in source, example


def test_the_oscillator_conserves_its_energy_as_well_as_theory_allows(folder: Path) -> None:
    printed = run_example("oscillator.py")
    run = folder / "outputs/log_oscillator"
    metrics = json.loads((run / "artifacts/metrics.json").read_text())
    assert metadata(run)["status"] == "complete"
    assert 0 < metrics["largest_error"] < (2.0 * 1e-3) ** 2
    assert abs(metrics["drift_per_time"]) < 1e-7
    energy = np.load(run / "data/energy.npy")
    with np.load(run / "data/trajectory.npz") as trajectory:
        assert np.allclose(energy, trajectory["v"] ** 2 / 2 + 2 * trajectory["x"] ** 2)
    assert "complete" in printed


def test_the_heat_equation_keeps_five_states_and_all_of_its_heat(folder: Path) -> None:
    run_example("heat_equation.py")
    run = folder / "outputs/log_heat_equation"
    states = [np.load(run / f"data/states/T_step{step}.npy") for step in range(100, 501, 100)]
    hottest = [state.max() for state in states]
    assert hottest == sorted(hottest, reverse=True)
    assert np.allclose([state.mean() for state in states], states[0].mean())
    assert yaml.safe_load((run / "params.yaml").read_text())["steps"] == 500
    assert metadata(run)["status"] == "complete"


def test_the_ball_falls_as_galileo_says_or_hits_the_ground(folder: Path) -> None:
    printed = run_example("falling_ball.py")
    experiment = folder / "outputs/falling_ball"
    rows = {row["dt"]: row for row in index(experiment)}
    assert rows["0.01"]["status"] == "complete"
    assert float(rows["0.01"]["final_height"]) == pytest.approx(100 - 9.81 / 2 * 1.01)
    assert (rows["0.5"]["status"], rows["0.5"]["state"]) == ("missing", "failed")
    failed = metadata(experiment / "runs/log_falling_ball_dt_0.5")
    assert "hit the ground" in failed["failure_reason"]
    assert failed["failure_reason"] in printed


def test_the_parallel_sweep_goes_on_where_it_stopped(folder: Path) -> None:
    first = run_example("parallel_sweep.py")
    second = run_example("parallel_sweep.py")
    assert first.startswith("10 complete, 0 failed, 0 interrupted, 0 skipped")
    assert second.startswith("0 complete, 0 failed, 0 interrupted, 10 skipped")
    rows = index(folder / "outputs/logistic_map")
    assert len(rows) == 10
    for row in rows:
        assert (float(row["exponent"]) > 0) == (float(row["r"]) > 3.6)


def test_the_sweep_is_read_back_and_drawn(folder: Path) -> None:
    printed = run_example("read_experiment.py")
    figure = folder / "outputs/log_oscillator_figure/plots/energies.png"
    assert figure.read_bytes().startswith(b"\x89PNG")
    rows = index(folder / "outputs/oscillator_sweep")
    for row in rows:
        omega, dt = float(row["omega"]), float(row["dt"])
        assert float(row["growth"]) == pytest.approx((1 + (omega * dt) ** 2) ** (10 / dt))
    assert len(rows) == 4
    assert printed.count("complete") == 4


def test_a_reader_follows_a_writer_of_another_process(folder: Path) -> None:
    out = run_example("concurrent_writing_reading.py")

    assert "the writer has ended after 20000 rows" in out
    assert "in the file: 20000 rows in J" in out


def test_the_trajectory_of_a_pattern_is_kept_with_its_grid(folder: Path) -> None:
    out = run_example("trajectory.py")

    found = LogReader("outputs/log_gray_scott").trajectory("uv")
    assert found.times.tolist() == list(range(0, 1001, 100))
    assert found.dtype == np.float32
    assert found[-1].labels == ["u", "v"]
    assert 0.3 < float(found[-1]["v"].data.max()) < 0.5  # a pattern, not one concentration
    assert len((folder / "amounts.csv").read_text().splitlines()) == 12
    assert "11 states until t = 1000" in out


def test_a_drum_has_a_movie_and_a_store_that_agree_with_the_wave_equation(folder: Path) -> None:
    printed = run_example("wave_movie.py")
    assert "26 frames in drum.mp4, 121 states in drum.zarr" in printed
    assert sorted(path.name for path in folder.iterdir()) == ["drum.mp4", "drum.zarr"]
    heights = np.asarray(zarr.open_array("drum.zarr", path="data", mode="r")[:])
    assert heights.shape == (121, 48, 48)
    padded = np.pad(heights, ((0, 0), (1, 1), (1, 1)))
    bending = (
        padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1] + padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:]
    )
    change = heights[2:] - 2 * heights[1:-1] + heights[:-2]
    np.testing.assert_allclose(change, (bending - 4 * heights)[1:-1] / 4, atol=1e-12)


def test_frames_of_a_killed_camera_are_all_there(folder: Path) -> None:
    printed = run_example("two_cameras.py")
    assert "left: 500 frames, the last is number 499" in printed
    assert "right: 200 frames, the last is number 199" in printed
    assert "together: 700 frames" in printed
    with np.load(folder / "recordings/rig_data_log/right_log.npz") as archive:
        assert len(archive["timestamps"]) == 201


def test_a_pipeline_ends_in_an_archive_that_is_as_it_was_sealed(folder: Path) -> None:
    printed = run_example("pipeline.py")
    assert printed.splitlines() == ["3 jobs: 3 succeeded", "3 files as sealed"]
    assert sorted(path.name for path in (folder / "archive").glob("*.npy")) == [
        "a.npy",
        "b.npy",
        "c.npy",
    ]
