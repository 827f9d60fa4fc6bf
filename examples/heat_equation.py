"""One run with a manual lifecycle: heat that spreads over a plate with periodic edges.

The heat equation ``dT/dt = kappa (T_xx + T_yy)`` is stepped explicitly (forward in time, centred
in space). That is stable for ``kappa dt / dx^2 <= 1/4`` in two dimensions; 0.2 is taken here.
With periodic edges no heat leaves, so the mean temperature has to stay what it was.
"""

import numpy as np
import numpy.typing as npt

from holdfast import Logbook, LogReader

CELLS = 64
KAPPA = 0.01
DX = 1.0
STEPS = 500
KEEP_EVERY = 100


def laplacian(field: npt.NDArray[np.float64], dx: float) -> npt.NDArray[np.float64]:
    """Return the five-point Laplacian of a periodic field."""
    neighbours = sum(np.roll(field, shift, axis) for shift in (1, -1) for axis in (0, 1))
    return np.asarray(neighbours - 4 * field) / dx**2


def main() -> None:
    """Let a warm spot spread, keep a picture of it now and then, and read the pictures back."""
    dt = 0.2 * DX**2 / KAPPA
    x, y = np.meshgrid(*[np.linspace(-1, 1, CELLS)] * 2, indexing="ij")
    temperature = np.exp(-6 * (x**2 + y**2))
    mean_before = temperature.mean()

    # Where a with block does not fit (a notebook, a class of its own), the run is ended by hand.
    log = Logbook("heat_equation", overwrite=True)
    log.params(cells=CELLS, kappa=KAPPA, dx=DX, dt=dt, steps=STEPS)
    try:
        for step in range(1, STEPS + 1):
            temperature += KAPPA * dt * laplacian(temperature, DX)
            if step % KEEP_EVERY == 0:
                log.array(f"states/T_step{step}", temperature)
                log.info(f"step {step}: hottest {temperature.max():.4f}")
        lost = float(temperature.mean() / mean_before - 1)
        log.json("metrics", {"hottest": temperature.max(), "relative_heat_lost": lost})
    except BaseException as error:
        log.mark_failed(str(error) or type(error).__name__)
        raise
    log.mark_complete()

    run = LogReader(log.path)
    for name in run.arrays:
        print(f"{name}: hottest cell {run.load_array(name).max():.4f}")
    print(f"state: {run.state}; relative heat lost: {lost:.1e}")


if __name__ == "__main__":
    main()
