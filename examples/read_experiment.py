"""Reading a sweep back: oscillators at several time steps, and a figure of their energies.

Of the integrators for ``x'' = -omega^2 x`` explicit Euler is the one to avoid: each of its steps
multiplies the energy by ``1 + (omega dt)^2``. The figure shows this growth, read from the files.
"""

import matplotlib as mpl

mpl.use("Agg")  # draws into files; no window is needed

import matplotlib.pyplot as plt
import numpy as np

from holdfast import Experiment, ExperimentReader, Logbook

DURATION = 10.0


def explicit_euler(log: Logbook, omega: float, dt: float) -> None:
    """Integrate for `DURATION` and keep the energy after every step."""
    steps = round(DURATION / dt)
    x, v = 1.0, 0.0
    energy = np.empty(steps)
    for n in range(steps):
        x, v = x + dt * v, v - dt * omega**2 * x
        energy[n] = 0.5 * (v**2 + (omega * x) ** 2)
    log.array("energy", energy)
    log.json("metrics", {"growth": energy[-1] / (0.5 * omega**2)})


def plot(reader: ExperimentReader, log: Logbook) -> None:
    """Draw the energy of every run against time, and what theory says of the growth."""
    figure, axes = plt.subplots(layout="constrained")
    for run in reader:
        omega, dt = run.params["omega"], run.params["dt"]
        energy = run.load_array("energy")
        times = dt * np.arange(1, len(energy) + 1)
        (line,) = axes.semilogy(times, energy, label=f"omega = {omega}, dt = {dt}")
        theory = 0.5 * omega**2 * (1 + (omega * dt) ** 2) ** (times / dt)
        axes.semilogy(times, theory, ":", color=line.get_color())
    axes.set(xlabel="time", ylabel="energy", title="Explicit Euler gains energy (dotted: theory)")
    axes.legend()
    log.plot("energies", figure)
    plt.close(figure)


def main() -> None:
    """Make the sweep if it is not there, then read it and plot it."""
    experiment = Experiment("oscillator_sweep")
    for log in experiment.grid(omega=[1.0, 2.0], dt=[0.01, 0.02], skip_existing=True):
        with log:
            explicit_euler(log, **log.params())

    reader = ExperimentReader("outputs/oscillator_sweep")
    for run in reader:
        print(f"{run.run_id}: {run.state}, took {run.meta['runtime_sec']:.3f} s")
    print(reader.table("omega == 2.0").only(["dt", "growth"]))
    # A figure is the result of a run like any other: with its time, its program and its packages.
    with Logbook("oscillator_figure", overwrite=True) as log:
        plot(reader, log)
    print(f"figure: {log.plotdir / 'energies.png'}")


if __name__ == "__main__":
    main()
