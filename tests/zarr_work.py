"""What programs that are killed write into a Zarr store, and how it is looked at afterwards."""

from pathlib import Path

import numpy as np

from holdfast.fields import Field, Grid, StorageBase, ZarrStorage

__all__ = ["GRID", "X", "ZarrStorage", "field", "fill", "held"]

X = Path("x.zarr")
GRID = Grid.cartesian([[0, 8], [-1, 1]], [8, 4], periodic=[True, False])


def field(number: int) -> Field:
    return Field(GRID, np.arange(32.0).reshape(8, 4) + number, label="u")


def fill(storage: StorageBase, numbers: range) -> None:
    for number in numbers:
        storage.append(field(number), number / 4)


def held(path: Path = X) -> int:
    """Return how many fields are there, all of which must be right."""
    storage = ZarrStorage(path, write_mode="readonly")
    count = len(storage)
    assert storage.times.tolist() == [n / 4 for n in range(count)]
    assert all(np.array_equal(f.data, field(n).data) for n, f in enumerate(storage))
    if count:
        assert storage.grid == GRID
    return count
