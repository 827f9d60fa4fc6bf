"""What programs that are killed write into a Zarr store."""

from pathlib import Path

import numpy as np

from holdfast.fields import Field, Grid, StorageBase, ZarrStorage

__all__ = ["GRID", "X", "ZarrStorage", "field", "fill"]

X = Path("x.zarr")
GRID = Grid.cartesian([[0, 8], [-1, 1]], [8, 4], periodic=[True, False])


def field(number: int) -> Field:
    return Field(GRID, np.arange(32.0).reshape(8, 4) + number, label="u")


def fill(storage: StorageBase, numbers: range) -> None:
    for number in numbers:
        storage.append(field(number), number / 4)
