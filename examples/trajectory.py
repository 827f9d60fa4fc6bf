"""Two chemicals that make a pattern, kept over time in a run, with trackers and without py-pde.

The Gray-Scott model: ``du/dt = Du lap(u) - u v^2 + F (1 - u)`` and ``dv/dt = Dv lap(v) + u v^2 -
(F + k) v``, stepped explicitly. With the explicit five-point Laplacian that is stable for
``4 D dt / dx^2 <= 1``; it is 0.64 at most here. If the program is stopped, the run has the states
that it had come to, and its trajectory is read like any other.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from holdfast import DataTracker, Field, FieldCollection, Grid, Logbook, LogReader, track

CELLS = 48
DU, DV, FEED, KILL = 0.16, 0.08, 0.037, 0.06
GRID = Grid.unit([CELLS, CELLS], periodic=True)


def laplacian(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the five-point Laplacian of a periodic field."""
    neighbours = sum(np.roll(values, shift, axis) for shift in (1, -1) for axis in (0, 1))
    return np.asarray(neighbours - 4 * values)


def gray_scott(stop: float, dt: float = 1.0) -> Iterator[tuple[float, FieldCollection]]:
    """Yield time and state; the state is one object that changes."""
    generator = np.random.default_rng(seed=7)
    u, v = np.ones(GRID.shape), np.zeros(GRID.shape)
    middle = slice(CELLS // 2 - 8, CELLS // 2 + 8)
    u[middle, middle], v[middle, middle] = 0.5, 0.5
    v += 0.02 * generator.random(GRID.shape)
    state = FieldCollection([Field(GRID, u, label="u"), Field(GRID, v, label="v")])
    u, v = state["u"].data, state["v"].data
    for step in range(round(stop / dt) + 1):
        yield step * dt, state
        reaction = u * v**2
        u += dt * (DU * laplacian(u) - reaction + FEED * (1 - u))
        v += dt * (DV * laplacian(v) + reaction - (FEED + KILL) * v)


def main() -> None:
    """Solve, keep a state now and then, and look at what was kept."""
    amounts = DataTracker(lambda state: {"v": state["v"].data.mean()}, 100, filename="amounts.csv")
    with Logbook("gray_scott", overwrite=True) as log:
        log.params(feed=FEED, kill=KILL, cells=CELLS)
        trajectory = log.trajectory("uv", dtype="float32", compression="gzip")
        for _ in track(gray_scott(stop=1000), [trajectory.tracker(100), amounts]):
            pass

    found = LogReader(log.path).trajectory("uv")
    spots = found.view_field("v")
    print(f"{len(found)} states until t = {found.times[-1]:.0f}, on {found.grid}")
    point = found.data[:, 1, CELLS // 2, CELLS // 2]
    print("v in the middle:", ", ".join(f"{value:.2f}" for value in point))
    print(f"the last state has v between {spots[-1].data.min():.2f} and {spots[-1].data.max():.2f}")
    print("mean of v:", ", ".join(f"{value:.3f}" for value in amounts.dataframe["v"]))


if __name__ == "__main__":
    main()
