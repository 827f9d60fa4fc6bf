"""Holdfast keeps what scientific runs produce, in plain directories, and loses nothing it accepted.

The public names are loaded when they are first used, so ``import holdfast`` itself costs almost
nothing.
"""

import importlib

TYPE_CHECKING = False  # type checkers know the name, and importing typing takes longest
if TYPE_CHECKING:
    from typing import Any

    from holdfast.acquisition import (
        DataLogger,
        LogArchiveReader,
        LogMessage,
        LogPackage,
        assemble_log_archives,
    )
    from holdfast.config import YamlConfig
    from holdfast.errors import (
        AlreadyExistsError,
        FormatError,
        HoldfastError,
        HoldfastWarning,
        IntegrityError,
        InvalidInputError,
        LockedError,
        MissingDependencyError,
        MissingFileError,
        NotFoundError,
        StateError,
    )
    from holdfast.fields import (
        DataTracker,
        Field,
        FieldCollection,
        FileStorage,
        Grid,
        MemoryStorage,
        ModelrunnerStorage,
        MovieStorage,
        StorageBase,
        ZarrStorage,
        get_memory_storage,
        track,
    )
    from holdfast.integrity import (
        calculate_directory_checksum,
        delete_directory,
        interpolate_data,
        seal_directory,
        transfer_directory,
        verify_directory,
    )
    from holdfast.jobs import JobState, ProcessingStatus, ProcessingTracker
    from holdfast.records import Record, Records
    from holdfast.run import Logbook, LogLine, LogReader
    from holdfast.store import Group, Run, Store, explain, get, launch, task
    from holdfast.streams import H5Logger, Stream, StreamsReader, h5logger
    from holdfast.sweeps import Experiment, ExperimentReader
    from holdfast.tables import Table

__version__ = "0.1.0"

_ROOMS = {
    "holdfast.acquisition": (
        "DataLogger",
        "LogArchiveReader",
        "LogMessage",
        "LogPackage",
        "assemble_log_archives",
    ),
    "holdfast.config": ("YamlConfig",),
    "holdfast.errors": (
        "AlreadyExistsError",
        "FormatError",
        "HoldfastError",
        "HoldfastWarning",
        "IntegrityError",
        "InvalidInputError",
        "LockedError",
        "MissingDependencyError",
        "MissingFileError",
        "NotFoundError",
        "StateError",
    ),
    "holdfast.fields": (
        "DataTracker",
        "Field",
        "FieldCollection",
        "FileStorage",
        "Grid",
        "MemoryStorage",
        "ModelrunnerStorage",
        "MovieStorage",
        "StorageBase",
        "ZarrStorage",
        "get_memory_storage",
        "track",
    ),
    "holdfast.integrity": (
        "calculate_directory_checksum",
        "delete_directory",
        "interpolate_data",
        "seal_directory",
        "transfer_directory",
        "verify_directory",
    ),
    "holdfast.jobs": ("JobState", "ProcessingStatus", "ProcessingTracker"),
    "holdfast.records": ("Record", "Records"),
    "holdfast.run": ("LogLine", "LogReader", "Logbook"),
    "holdfast.store": ("Group", "Run", "Store", "explain", "get", "launch", "task"),
    "holdfast.streams": ("H5Logger", "Stream", "StreamsReader", "h5logger"),
    "holdfast.sweeps": ("Experiment", "ExperimentReader"),
    "holdfast.tables": ("Table",),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "AlreadyExistsError",
    "DataLogger",
    "DataTracker",
    "Experiment",
    "ExperimentReader",
    "Field",
    "FieldCollection",
    "FileStorage",
    "FormatError",
    "Grid",
    "Group",
    "H5Logger",
    "HoldfastError",
    "HoldfastWarning",
    "IntegrityError",
    "InvalidInputError",
    "JobState",
    "LockedError",
    "LogArchiveReader",
    "LogLine",
    "LogMessage",
    "LogPackage",
    "LogReader",
    "Logbook",
    "MemoryStorage",
    "MissingDependencyError",
    "MissingFileError",
    "ModelrunnerStorage",
    "MovieStorage",
    "NotFoundError",
    "ProcessingStatus",
    "ProcessingTracker",
    "Record",
    "Records",
    "Run",
    "StateError",
    "StorageBase",
    "Store",
    "Stream",
    "StreamsReader",
    "Table",
    "YamlConfig",
    "ZarrStorage",
    "__version__",
    "assemble_log_archives",
    "calculate_directory_checksum",
    "delete_directory",
    "explain",
    "get",
    "get_memory_storage",
    "h5logger",
    "interpolate_data",
    "launch",
    "seal_directory",
    "task",
    "track",
    "transfer_directory",
    "verify_directory",
]


def __getattr__(name: str) -> "Any":
    room = _ROOM_OF.get(name)
    if room is None:
        raise AttributeError(f"module 'holdfast' has no attribute {name!r}")
    value = getattr(importlib.import_module(room), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
