"""py-pde with Holdfast's storages and trackers: ``import holdfast.interop.pde as pde``.

Everything that is not named in `OURS` is py-pde's own.
"""

from typing import Any

from holdfast import fields
from holdfast.errors import MissingDependencyError

try:
    import pde as _pde
except ImportError:
    raise MissingDependencyError(
        "holdfast.interop.pde needs py-pde; install it with: pip install 'holdfast[fields]'"
    ) from None

OURS = (
    "ConstantInterrupts",
    "DataTracker",
    "FileStorage",
    "FixedInterrupts",
    "GeometricInterrupts",
    "LogarithmicInterrupts",
    "MemoryStorage",
    "ModelrunnerStorage",
    "MovieStorage",
    "RealtimeInterrupts",
    "StorageBase",
    "StorageTracker",
    "StorageView",
    "get_memory_storage",
)
"""Names of what is Holdfast's."""


def __getattr__(name: str) -> Any:
    if name == "__all__":  # ``import *`` asks for it
        return [name for name in __dir__() if not name.startswith("_")]
    return getattr(fields if name in OURS else _pde, name)


def __dir__() -> list[str]:
    return sorted({*OURS, *dir(_pde)})
