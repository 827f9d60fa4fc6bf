"""``holdfast demo``: real programs, run, read back, tabulated, plotted, and one of them killed."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np

from holdfast.cli._output import print_table
from holdfast.errors import MissingDependencyError
from holdfast.run import Logbook, LogReader
from holdfast.sweeps import ExperimentReader

FRAMES_BEFORE_KILL = 20


@click.command()
@click.argument("folder", metavar="[DIR]", default="holdfast-demo", type=click.Path(path_type=Path))
def demo(folder: Path) -> None:
    """Run small simulations, log them into DIR, read them back, and kill one half-way.

    DIR is holdfast-demo, or holdfast-demo-2 and so on if that exists.
    """
    from holdfast.cli import _demo_programs as programs

    base = _unused(folder)
    _say(f"Everything that follows is written to {base}/\n")

    _say("1. A sweep: a harmonic oscillator, two frequencies, three time steps.")
    sweep = programs.oscillator(base)
    print_table(sweep.table().only(["run_id", "state", "energy_error"]))

    _say("\n2. A single run: heat spreading on a 64 x 64 grid, a row each step, a field every 10.")
    heat = LogReader(programs.heat(base))
    _say(str(heat))

    _say("\n3. A sweep with a failure: a falling ball, one time step too long.")
    falling_ball = programs.falling_ball(base)
    print_table(falling_ball.table())
    failed = falling_ball.reader["falling_ball_dt_0.5"]
    _say(f"   Why it failed stands in its metadata: {failed.meta['failure_reason']}")

    _say("\n4. A figure, made from the files alone.")
    _say(f"   {_figure(base) or 'left out, since matplotlib is missing (holdfast[plot])'}")

    _say("\n5. A result, computed once, and then found by the expression that made it.")
    _found(base)

    _say("\n6. Messages of two threads, sorted into one archive a source.")
    _messages(base)

    _say("\n7. A run that is killed (SIGKILL) in the middle of writing.")
    _killed(base)
    _say(_ending(base))


def _say(text: str) -> None:
    click.echo(text)


def _unused(folder: Path) -> Path:
    number, candidate = 1, folder
    while candidate.exists():
        number += 1
        candidate = folder.with_name(f"{folder.name}-{number}")
    return candidate


def _figure(base: Path) -> Path | None:
    """Plot what the runs hold; None without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return None
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    energy, picture, heights = figure.subplots(1, 3)
    _plot_energy(energy, ExperimentReader(base / "oscillator_sweep"))
    heat = LogReader(base / "log_heat_equation")
    last = heat.trajectory("T")[-1]
    image = picture.imshow(last.T, origin="lower", cmap="inferno")
    picture.set(title="Heat after 500 steps", xlabel="x (cells)", ylabel="y (cells)")
    figure.colorbar(image, ax=picture, label="temperature")
    _plot_cooling(heights, heat)
    with Logbook("figure", base) as log:
        try:
            log.plot("demo", figure, dpi=150)
        except MissingDependencyError:
            return None
    return log.plotdir / "demo.png"


def _plot_energy(axes: Any, sweep: ExperimentReader) -> None:
    for omega, marker in ((1.0, "o"), (2.0, "s")):
        rows = sweep.table(f"omega == {omega}").sort("dt")
        errors = [row["energy_error"] for row in rows]
        axes.loglog([r["dt"] for r in rows], errors, marker=marker, label=f"omega = {omega:g}")
    axes.set(title="Oscillator: energy error", xlabel="time step", ylabel="largest relative error")
    axes.legend()


def _plot_cooling(axes: Any, heat: LogReader) -> None:
    spot = heat.trajectory("T")
    for number in range(9, len(spot), 10):
        label = f"t = {spot.times[number]:.2f}"
        axes.plot(spot.data[number, :, spot.data_shape[1] // 2], label=label)
    axes.set(title="Heat: a cut through the middle", xlabel="x (cells)", ylabel="temperature")
    axes.legend(fontsize="small")


def _found(base: Path) -> None:
    from holdfast.cli import _demo_programs as programs
    from holdfast.store import Store, get

    with Store(base / "storage"):
        run = get(programs.fall_time, height=20.0)
        _say(
            f"   There before: {run.is_finished()}; launched, it gives {run.launch().result:.4f} s"
        )
        again = get(programs.fall_time, {"height": 20})
        _say(f"   There now: {again.is_finished()}; read from {again.directory}")


def _messages(base: Path) -> None:
    from holdfast.acquisition import assemble_log_archives, report
    from holdfast.cli import _demo_programs as programs

    folder = programs.messages(base)
    assemble_log_archives(folder)
    for source in report(folder):
        _say(f"   {source.source}: {source.messages} messages, {source.bytes} bytes")


def _killed(base: Path) -> None:
    command = [sys.executable, "-m", "holdfast.cli._demo_programs", str(base)]
    accepted = -1
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        if child.stdout is None:
            raise AssertionError
        for line in child.stdout:
            accepted = int(line)
            if accepted == FRAMES_BEFORE_KILL:
                state = LogReader(base / "log_killed_walk").state
                _say(f"   While its process {child.pid} lives, a reader says: {state}")
                child.send_signal(signal.SIGKILL)
    run = LogReader(base / "log_killed_walk")
    frames, distance = run.trajectory("positions"), run.stream("distance").to_numpy()
    same = [
        np.isclose(np.hypot(*frame.T).mean(), mean)
        for frame, mean in zip(frames, distance, strict=False)
    ]
    _say(f"   After the kill, a reader says: {run.state}")
    _say(f"   Frames that had been confirmed: {accepted + 1}")
    _say(f"   Frames read back: {len(frames)}, {sum(same)} of them whole; rows: {len(distance)}")


def _ending(base: Path) -> str:
    return f"""
Where to look:
  holdfast ls {base}                            all runs and what became of them
  holdfast show {base}/log_killed_walk          what the killed run kept
  holdfast table {base}/oscillator_sweep        parameters and metrics of the sweep
  holdfast ls {base}/storage --where "height > 10"
  holdfast movie {base}/log_heat_equation/data/T.h5 -o heat.mp4   (needs holdfast[fields,plot])
  holdfast messages {base}/rig_data_log         sources, counts, rates
  {base}/falling_ball/index.csv                 the same for the ball, for any spreadsheet
  {base}/log_heat_equation/log.txt              one message a line, for grep
  {base}/log_figure/plots/demo.png              the figure
Everything is plain files: CSV, JSON, YAML, text, .npy, .npz and HDF5."""
