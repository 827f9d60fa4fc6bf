"""Files of fields or streams, as ``show`` tells of them, and which storage reads a file."""

from pathlib import Path
from typing import Any

import numpy as np
from rich.text import Text

from holdfast._text import short, visible
from holdfast.cli._output import console, print_json
from holdfast.errors import FormatError, MissingFileError
from holdfast.fields import FileStorage, MovieStorage, StorageBase, ZarrStorage
from holdfast.journal import journal_folder
from holdfast.streams import StreamsReader

STORE, MOVIES = ".zarr", (".mkv", ".avi", ".mov", ".mp4")
RENDERINGS = (".gif", ".webm", ".m4v")


def is_data_file(path: Path) -> bool:
    """Whether a path is a file or a Zarr store; its journal alone counts, too."""
    return path.is_file() or path.suffix == STORE or Path(journal_folder(str(path))).is_dir()


def open_fields(path: Path) -> StorageBase:
    """Return a storage for reading what a path holds.

    Raises
    ------
    MissingFileError
        If there is nothing.
    FormatError
        If it is a movie from which no fields can be read.
    """
    if not path.exists() and not Path(journal_folder(str(path))).is_dir():
        raise MissingFileError(f"there is no file {path}; check the name")
    if path.suffix == STORE or path.is_dir():
        return ZarrStorage(path, write_mode="readonly")
    if path.suffix.lower() in RENDERINGS:
        raise FormatError(
            f"{path} is a movie without data; name the file that it was made of instead"
        )
    if path.suffix.lower() in MOVIES:
        return MovieStorage(path, codec="ffv1", write_mode="readonly")
    return FileStorage(path, write_mode="readonly")


def show_file(path: Path, as_json: bool) -> None:
    """Print what is in a file: its fields over time, or its streams."""
    found = told(path)
    if as_json:
        print_json(found)
        return
    out = console()
    out.print(Text(visible(str(path)), style="bold"), Text(found["holds"]))
    details = {**found.get("fields", {}), **found.get("attributes", {})}
    for name, value in details.items():
        out.print(Text(f"  {visible(name):<10} {short(value, most=200)}"), soft_wrap=True)
    for name, stream in found.get("streams", {}).items():
        text = f"  {visible(name):<20} {stream['dtype']:<10} {stream['shape']}"
        out.print(Text(text), soft_wrap=True)


def told(path: Path) -> dict[str, Any]:
    """Return what is in a file, as plain data."""
    with open_fields(path) as storage:
        try:
            fields = _fields(storage)
        except FormatError:
            if not isinstance(storage, FileStorage):
                raise
            return {"path": str(path), "holds": "streams", **_streams(path)}
    return {"path": str(path), "holds": "fields over time", **fields}


def _fields(storage: StorageBase) -> dict[str, Any]:
    count = len(storage)
    times = storage.times
    known = storage.shape is not None
    facts: dict[str, Any] = {
        "number": count,
        "times": [float(times[0]), float(times[-1])] if count else [],
        "kind": storage.form.name if known else None,
        "shape": list(storage.data_shape) if known else None,
        "dtype": str(storage.dtype) if known else None,
        "grid": _grid(storage),
    }
    parts = storage.form.parts if known else None
    if parts is not None:
        facts["parts"] = [part.label for part in parts]
    hidden = ("field_attributes", "field_form")
    info = {name: value for name, value in storage.info.items() if name not in hidden}
    return {"fields": facts, "attributes": info}


def _grid(storage: StorageBase) -> str | None:
    with np.printoptions(legacy="1.25"):  # py-pde's grids hold numbers of NumPy, to be shown plain
        return None if storage.grid is None else str(storage.grid)


def _streams(path: Path) -> dict[str, Any]:
    with StreamsReader(path) as reader:
        streams = {
            name: {"dtype": str(stream.dtype), "shape": list(stream.shape), "attrs": stream.attrs}
            for name, stream in reader.items()
        }
        return {"streams": streams, "attributes": reader.attrs}
