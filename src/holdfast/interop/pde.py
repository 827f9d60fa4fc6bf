"""py-pde with Holdfast's storages and trackers: ``import holdfast.interop.pde as pde``.

Everything that is not named here is py-pde's own.
"""

from typing import Any

from holdfast.errors import MissingDependencyError
from holdfast.fields import (
    ConstantInterrupts,
    DataTracker,
    FileStorage,
    FixedInterrupts,
    GeometricInterrupts,
    LogarithmicInterrupts,
    MemoryStorage,
    RealtimeInterrupts,
    StorageBase,
    StorageTracker,
    StorageView,
    get_memory_storage,
)

try:
    import pde as _pde
except ImportError:
    raise MissingDependencyError(
        "holdfast.interop.pde needs py-pde; install it with: pip install 'holdfast[fields]'"
    ) from None

__all__ = [
    "ConstantInterrupts",
    "DataTracker",
    "FileStorage",
    "FixedInterrupts",
    "GeometricInterrupts",
    "LogarithmicInterrupts",
    "MemoryStorage",
    "RealtimeInterrupts",
    "StorageBase",
    "StorageTracker",
    "StorageView",
    "get_memory_storage",
]


def __getattr__(name: str) -> Any:
    return getattr(_pde, name)


def __dir__() -> list[str]:
    return sorted({*__all__, *dir(_pde)})
