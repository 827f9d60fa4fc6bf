"""A drum that rings: its movie is made while it rings, and a Zarr store keeps every state.

The wave equation ``u_tt = c^2 (u_xx + u_yy)`` is stepped by leapfrog, which is stable for
``c dt / dx <= 1/sqrt(2)``. The edge is held still, so waves come back upside down.
"""

from collections.abc import Iterator

import numpy as np

from holdfast import Field, Grid, MovieStorage, ZarrStorage, track

CELLS, SPEED, STEPS = 48, 1.0, 120


def ring(grid: Grid, dt: float) -> Iterator[tuple[float, Field]]:
    """Yield time and height, from a strike beside the middle on."""
    x, y = np.meshgrid(*grid.axes_coords, indexing="ij")
    now = np.exp(-200 * ((x - 0.3) ** 2 + (y - 0.4) ** 2))
    before = now.copy()
    for step in range(STEPS + 1):
        yield step * dt, Field(grid, now, label="height")
        padded = np.pad(now, 1)  # the edge is still
        neighbours = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
        bending = (neighbours - 4 * now) * (SPEED * dt * CELLS) ** 2
        now, before = 2 * now - before + bending, now


def main() -> None:
    """Strike the drum, and let it ring."""
    grid = Grid.cartesian([[0, 1], [0, 1]], [CELLS, CELLS])
    dt = 0.5 / CELLS / SPEED
    movie = MovieStorage("drum.mp4", fps=12, dpi=60, cmap="RdBu", limits=(-0.5, 0.5))
    store = ZarrStorage("drum.zarr", info={"speed": SPEED, "dt": dt})
    with movie, store:
        for _ in track(ring(grid, dt), [movie.tracker(0.05), store.tracker(dt)]):
            pass
        print(f"{len(movie)} frames in drum.mp4, {len(store)} states in drum.zarr")
        print(f"highest at the end: {store[-1].data.max():.3f}")


if __name__ == "__main__":
    main()
