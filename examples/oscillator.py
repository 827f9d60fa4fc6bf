"""One run as a context manager: a harmonic oscillator, integrated by velocity Verlet.

The oscillator ``x'' = -omega^2 x`` conserves its energy ``E = (v^2 + omega^2 x^2) / 2`` (mass 1).
Velocity Verlet does not conserve E exactly, but it is symplectic: the error swings with the motion
and stays of the order ``(omega dt)^2`` however long the run. A drift would mean a wrong program.
"""

import numpy as np

from holdfast import Logbook, LogReader

OMEGA = 2.0
DT = 1e-3
STEPS = 10_000


def integrate(log: Logbook, omega: float, dt: float, steps: int) -> dict[str, float]:
    """Integrate from x = 1, v = 0, keep the trajectory, and return what characterises the run."""
    x, v = 1.0, 0.0
    positions, velocities = np.empty(steps), np.empty(steps)
    for n in range(steps):
        # Half a kick, a drift, half a kick: the force is needed once at each position.
        v -= 0.5 * dt * omega**2 * x
        x += dt * v
        v -= 0.5 * dt * omega**2 * x
        positions[n], velocities[n] = x, v
        if (n + 1) % 2000 == 0:
            log.info(f"step {n + 1}: x = {x:+.4f}, v = {v:+.4f}")

    energies = 0.5 * (velocities**2 + (omega * positions) ** 2)
    log.arrays("trajectory", x=positions, v=velocities)
    log.array("energy", energies)

    initial = 0.5 * omega**2
    times = dt * np.arange(1, steps + 1)
    return {
        "largest_error": float(np.abs(energies / initial - 1.0).max()),
        "drift_per_time": float(np.polyfit(times, energies / initial, 1)[0]),
    }


def main() -> None:
    """Run the oscillator and read it back."""
    params = {"omega": OMEGA, "dt": DT, "steps": STEPS}
    # With overwrite the example can be run again; without it an existing run is never touched.
    with Logbook("oscillator", params=params, overwrite=True) as log:
        log.json("metrics", integrate(log, OMEGA, DT, STEPS))

    run = LogReader(log.path)
    print(run)
    metrics = run.load_json("metrics")
    print(f"largest relative energy error: {metrics['largest_error']:.2e}")
    print(f"what theory allows, (omega dt)^2: {(OMEGA * DT) ** 2:.2e}")


if __name__ == "__main__":
    main()
