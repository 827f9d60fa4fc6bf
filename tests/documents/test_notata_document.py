"""The programs of document 000 work as written there, and give the results that it shows."""

import json
import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from holdfast import Experiment, ExperimentReader, Logbook, LogReader


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty current folder, and draw without a window."""
    monkeypatch.chdir(tmp_path)
    mpl.use("Agg")
    return tmp_path


def oscillator(log: Logbook, omega: float, dt: float, steps: int) -> None:
    x, v = 1.0, 0.0

    xs = np.empty(steps)
    vs = np.empty(steps)
    E = np.empty(steps)  # noqa: N806 - the document's name

    for n in range(steps):
        a = -(omega**2) * x
        x += v * dt + 0.5 * a * dt * dt
        a_new = -(omega**2) * x
        v += 0.5 * (a + a_new) * dt
        xs[n], vs[n] = x, v
        E[n] = 0.5 * (v**2 + (omega * x) ** 2)
        if (n + 1) % 2000 == 0:
            log.info(f"step={n + 1} x={x:.4f} v={v:.4f} E={E[n]:.6f}")  # noqa: G004

    log.arrays("trajectory", x=xs, v=vs)
    log.array("energy", E)
    log.json("final_state", {"x": float(x), "v": float(v), "E": float(E[-1])})


def test_the_context_manager_example_leaves_the_files_of_the_document(folder: Path) -> None:
    params = {"omega": 2.0, "dt": 1e-3, "steps": 10_000}
    with Logbook("oscillator_dt1e-3", params=params) as log:
        oscillator(log, 2.0, 1e-3, 10_000)

    run = folder / "outputs/log_oscillator_dt1e-3"
    reader = LogReader(run)
    assert reader.params == params
    assert reader.arrays == ["energy", "trajectory:v", "trajectory:x"]
    assert reader.load_json("final_state")["E"] == pytest.approx(2.0, abs=1e-5)
    lines = (run / "log.txt").read_text().splitlines()
    assert all(re.match(r"\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\] [A-Z]+ ", line) for line in lines)
    assert sum("step=" in line for line in lines) == 5
    meta = json.loads((run / "metadata.json").read_text())
    assert meta["status"] == "complete"
    assert meta["run_id"] == "oscillator_dt1e-3"
    assert {"start_time", "end_time", "runtime_sec"} <= meta.keys()
    assert "failure_reason" not in meta


def test_the_manual_lifecycle_example_keeps_nested_states(folder: Path) -> None:
    steps = 500  # the document uses it without saying what it is
    Nx = Ny = 64  # noqa: N806 - the document's names
    kappa = 0.01
    dx = 1.0
    dt = 0.2 * dx * dx / kappa

    X, Y = np.meshgrid(  # noqa: N806
        np.linspace(-1, 1, Nx), np.linspace(-1, 1, Ny), indexing="ij"
    )
    T = np.exp(-6 * (X**2 + Y**2))  # noqa: N806

    log = Logbook("heat_eq")
    log.params(Nx=Nx, Ny=Ny, kappa=kappa, steps=steps)

    for step in range(500):
        lap = np.roll(T, 1, 0) + np.roll(T, -1, 0) + np.roll(T, 1, 1) + np.roll(T, -1, 1) - 4 * T
        T += kappa * dt * lap  # noqa: N806
        if (step + 1) % 100 == 0:
            log.array(f"states/T_step{step + 1}", T)
            log.info(f"step={step + 1} maxT={T.max():.4f}")  # noqa: G004
    log.json("final_stats", {"max": float(T.max()), "mean": float(T.mean())})
    log.mark_complete()

    reader = LogReader(folder / "outputs/log_heat_eq")
    assert reader.status == "complete"
    assert reader.arrays == [f"states/T_step{n}00" for n in range(1, 6)]
    assert np.array_equal(reader.load_array("states/T_step500"), T)
    assert reader.load_json("final_stats")["max"] == T.max()
    assert reader.params == {"Nx": 64, "Ny": 64, "kappa": 0.01, "steps": 500}


def falling_ball() -> None:
    exp = Experiment("falling_ball")

    for dt in [0.01, 0.5]:  # stable vs unstable
        log = exp.add(dt=dt, skip_existing=True)
        if log is None:
            continue
        with log:
            v, h = 0.0, 100.0
            for _ in range(100):
                v += 9.81 * dt
                h -= v * dt
                if h < 0:
                    raise RuntimeError(f"Object hit the ground (h={h:.2f})")
            log.json("metrics", {"final_height": h, "final_speed": v})


def test_the_experiment_example_makes_the_table_of_the_document(folder: Path) -> None:
    with pytest.raises(RuntimeError, match="hit the ground"):
        falling_ball()

    table = ExperimentReader("outputs/falling_ball").table()
    shown = ["run_id", "dt", "status", "final_height", "final_speed"]
    rows = [tuple(row.values()) for row in table.only(shown)]
    assert rows == [
        ("falling_ball_dt_0.01", 0.01, "complete", pytest.approx(95.04595), pytest.approx(9.81)),
        ("falling_ball_dt_0.5", 0.5, "missing", None, None),
    ]
    lines = (folder / "outputs/falling_ball/index.csv").read_text().splitlines()
    assert lines[0] == "run_id,dt,status,state,final_height,final_speed"
    assert lines[2] == "falling_ball_dt_0.5,0.5,missing,failed,,"

    falling_ball()  # again: both are there, so nothing is run and nothing raises
    assert len(ExperimentReader("outputs/falling_ball")) == 2


def test_the_reader_example_plots_and_prints_every_run(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import matplotlib.pyplot as plt

    for log in Experiment("oscillator_sweep").grid(omega=[1.0, 2.0], dt=[1e-2, 1e-3]):
        with log:
            oscillator(log, steps=500, **log.params())

    # Load the experiment
    exp = ExperimentReader("outputs/oscillator_sweep")

    # Plot energy vs time for each run
    fig, ax = plt.subplots()
    for run in exp:
        omega, dt = run.params["omega"], run.params["dt"]
        energy = run.load_array("energy")
        label = f"omega={omega}, dt={dt}"
        ax.plot(energy, label=label)
    ax.set(xlabel="Time step", ylabel="Energy", title="Energy vs Time")
    ax.legend()
    fig.savefig(folder / "energies.png")
    labels = [line.get_label() for line in ax.get_lines()]
    plt.close(fig)

    # Print summary of runs
    for run in exp:
        status = run.meta.get("status", "unknown")
        duration = run.meta.get("runtime_sec", "unknown")
        print(f"Run ID: {run.run_id}, {status=}, {duration=}")

    assert sorted(map(str, labels)) == [
        f"omega={omega}, dt={dt}" for omega in (1.0, 2.0) for dt in (0.001, 0.01)
    ]
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 4
    pattern = r"Run ID: oscillator_sweep_dt_\S+_omega_\d, status='complete', duration=[\d.e-]+"
    assert all(re.fullmatch(pattern, line) for line in printed)


def test_the_names_that_the_documents_table_uses_are_there(folder: Path) -> None:
    import matplotlib.pyplot as plt

    with Logbook("aliases") as log:
        figure, _ = plt.subplots()
        log.save_plot("line", figure, formats=("png", "pdf", "svg"))
        plt.close(figure)
        log.save_text("notes", "a text")
        log.save_json("values", {"a": 1})
        log.save_pickle("object", {1, 2})
        log.save_bytes("nested/raw.bin", b"\x00\x01")
    reader = LogReader(folder / "outputs/log_aliases")
    assert reader.plots == ["line.pdf", "line.png", "line.svg"]
    assert reader.artifact_files == ["nested/raw.bin", "notes.txt", "object.pkl", "values.json"]
