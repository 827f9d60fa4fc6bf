"""How the times of a stream's rows are found, and what a file may be called."""

import os
from pathlib import Path

from holdfast.errors import InvalidInputError

HAS_TIME = "time_stream"
"""Attribute of a stream: the name of the stream that holds the times of its rows."""


def time_of(name: str) -> str:
    """Return the name of the stream that holds the times of another's rows."""
    return f"{name}_time"


def with_extension(filename: str | os.PathLike[str]) -> Path:
    """Return the path of a file, ``.h5`` added to a name without extension.

    Raises
    ------
    InvalidInputError
        If it has another extension.
    """
    path = Path(filename)
    if not path.suffix:
        return path.with_name(path.name + ".h5")
    if path.suffix not in (".h5", ".hdf5"):
        raise InvalidInputError(f"{path} has the extension {path.suffix!r}; use .h5, or none")
    return path
