"""Fields over time: storages, and the trackers that feed them.

A *field* is an array on a grid at one time: of py-pde, an ``xarray.DataArray``, a NumPy array, or a
`Field`. A *storage* keeps fields over time and gives them back as they were. A *tracker* feeds a
storage at chosen times, the *interrupts*.
"""

from holdfast.fields._base import StorageBase
from holdfast.fields._data_tracker import DataTracker
from holdfast.fields._field import Field, FieldCollection
from holdfast.fields._file import FileStorage
from holdfast.fields._grids import Grid
from holdfast.fields._interrupts import (
    ConstantInterrupts,
    FixedInterrupts,
    GeometricInterrupts,
    Interrupts,
    LogarithmicInterrupts,
    RealtimeInterrupts,
    parse_interrupts,
)
from holdfast.fields._loop import track
from holdfast.fields._memory import MemoryStorage
from holdfast.fields._modelrunner import ModelrunnerStorage
from holdfast.fields._movie import MovieStorage
from holdfast.fields._shared import get_memory_storage
from holdfast.fields._trackers import StorageTracker, Tracker
from holdfast.fields._view import StorageView
from holdfast.fields._zarr_recover import recover_store
from holdfast.fields._zarr_storage import ZarrStorage

__all__ = [
    "ConstantInterrupts",
    "DataTracker",
    "Field",
    "FieldCollection",
    "FileStorage",
    "FixedInterrupts",
    "GeometricInterrupts",
    "Grid",
    "Interrupts",
    "LogarithmicInterrupts",
    "MemoryStorage",
    "ModelrunnerStorage",
    "MovieStorage",
    "RealtimeInterrupts",
    "StorageBase",
    "StorageTracker",
    "StorageView",
    "Tracker",
    "ZarrStorage",
    "get_memory_storage",
    "parse_interrupts",
    "recover_store",
    "track",
]
