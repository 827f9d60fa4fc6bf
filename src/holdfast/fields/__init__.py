"""Fields over time: storages, and the trackers that feed them.

A *field* is an array on a grid at one time: of py-pde, an ``xarray.DataArray``, a NumPy array, or a
`Field`. A *storage* keeps fields over time and gives them back as they were. A *tracker* feeds a
storage at chosen times, the *interrupts*.
"""

from holdfast.fields._base import StorageBase
from holdfast.fields._field import Field, FieldCollection
from holdfast.fields._grids import Grid
from holdfast.fields._memory import MemoryStorage
from holdfast.fields._view import StorageView

__all__ = ["Field", "FieldCollection", "Grid", "MemoryStorage", "StorageBase", "StorageView"]
