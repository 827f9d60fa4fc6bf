"""`StorageCase`: what the tests of a storage share, and what a subclass says of its storage."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from holdfast.fields import Field, FieldCollection, Grid, StorageBase

FLAT = Grid.cartesian([[0, 8], [-1, 1]], [8, 4], periodic=[True, False])
LINE = Grid.unit(6, periodic=True)
GRIDS = (
    FLAT,
    LINE,
    Grid.cartesian([[0, 1]] * 3, [2, 3, 4]),
    Grid.polar((1, 3), 4),
    Grid.spherical(2.5, 5),
    Grid.cylindrical(2, (-1, 1), [3, 4], periodic_z=True),
)


class StorageCase(ABC):
    """How a storage is made, and what it can hold; each test gets an empty folder.

    Attributes
    ----------
    dtypes : sequence of str
        The dtypes that it can hold.
    grids : sequence of Grid
        The grids that it can hold fields on.
    ranks : sequence of int
        Ranks of fields that it can hold: 0 for scalars, 1 for vectors, 2 for tensors.
    collections : bool
        Whether it can hold collections.
    arrays : bool
        Whether it can hold plain arrays of any shape.
    tolerance : float
        By how much a value that is read may differ, in units of the largest.
    continues : bool
        Whether ``write_mode="append"`` adds to what another instance kept.
    """

    dtypes: ClassVar[Sequence[str]] = ("f8", "f4", "i4", "u1", "?", "c16")
    grids: ClassVar[Sequence[Grid]] = GRIDS
    ranks: ClassVar[Sequence[int]] = (0, 1, 2)
    collections: ClassVar[bool] = True
    arrays: ClassVar[bool] = True
    tolerance: ClassVar[float] = 0.0
    continues: ClassVar[bool] = True

    @abstractmethod
    def create(self, folder: Path, **options: Any) -> StorageBase:
        """Return a storage that keeps its fields in a folder, made with these keywords."""

    def again(self, folder: Path, **options: Any) -> StorageBase | None:  # noqa: ARG002 - for subclasses
        """Return a new instance on what another kept there; None if that keeps nothing."""
        return None

    def field(self, number: float = 0, grid: Grid = FLAT, *, rank: int = 0) -> Field:
        """Return a field whose values depend on a number and are all different."""
        shape = (grid.dim,) * rank + grid.shape
        values = np.arange(np.prod(shape), dtype=float).reshape(shape) / 100
        return Field(grid, values + number, label="density")

    def same(self, found: Any, expected: Any) -> bool:
        """Whether two fields are the same, to the storage's tolerance."""
        a, b = np.asarray(found), np.asarray(expected)
        if type(found) is not type(expected) or a.shape != b.shape:
            return False
        if getattr(found, "grid", None) != getattr(expected, "grid", None):
            return False
        if not self.tolerance:
            return bool(a.dtype == b.dtype and np.array_equal(a, b))
        return bool(np.allclose(a, b, rtol=0, atol=self.tolerance * np.max(np.abs(b), initial=1)))

    def filled(self, folder: Path, times: Sequence[float] = (0, 0.5, 1.5), **options: Any) -> Any:
        """Return a storage with a field at each time, whose number is the time's."""
        storage = self.create(folder, **options)
        storage.start_writing(self.field())
        for number, time in enumerate(times):
            storage.append(self.field(number), time)
        storage.end_writing()
        return storage

    def collection(self, number: float = 0) -> FieldCollection:
        """Return a scalar and a vector on one grid, whose values depend on a number."""
        vector = Field(FLAT, self.field(number, rank=1).data, label="flow")
        return FieldCollection([self.field(number), vector], label="both")
