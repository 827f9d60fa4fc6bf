"""Holdfast keeps what scientific runs produce, in plain directories, and loses nothing it accepted.

The public names are loaded when they are first used, so ``import holdfast`` itself costs almost
nothing.
"""

import importlib

TYPE_CHECKING = False  # type checkers know the name, and importing typing takes longest
if TYPE_CHECKING:
    from typing import Any

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
    from holdfast.records import Record, Records
    from holdfast.run import Logbook, LogLine, LogReader
    from holdfast.streams import H5Logger, Stream, StreamsReader, h5logger
    from holdfast.sweeps import Experiment, ExperimentReader
    from holdfast.tables import Table

__version__ = "0.1.0"

_ROOMS = {
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
    "holdfast.records": ("Record", "Records"),
    "holdfast.run": ("LogLine", "LogReader", "Logbook"),
    "holdfast.streams": ("H5Logger", "Stream", "StreamsReader", "h5logger"),
    "holdfast.sweeps": ("Experiment", "ExperimentReader"),
    "holdfast.tables": ("Table",),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "AlreadyExistsError",
    "Experiment",
    "ExperimentReader",
    "FormatError",
    "H5Logger",
    "HoldfastError",
    "HoldfastWarning",
    "IntegrityError",
    "InvalidInputError",
    "LockedError",
    "LogLine",
    "LogReader",
    "Logbook",
    "MissingDependencyError",
    "MissingFileError",
    "NotFoundError",
    "Record",
    "Records",
    "StateError",
    "Stream",
    "StreamsReader",
    "Table",
    "__version__",
    "h5logger",
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
