"""The names of files and folders in a run directory, and what each holds (format version 1)."""

from pathlib import Path

from holdfast._names import safe_name
from holdfast.errors import InvalidInputError

FORMAT_VERSION = 1

PREFIX = "log_"
METADATA = "metadata.json"
LOG = "log.txt"
PARAMS = {"yaml": "params.yaml", "json": "params.json"}
DATA, PLOTS, ARTIFACTS, ATTEMPTS = "data", "plots", "artifacts", "attempts"
STREAMS, RECORDS = "streams.h5", "records"
_JOURNAL = "-journal"


def run_id_of(path: Path) -> str:
    """Return the run id that a folder's name tells (``log_x`` and ``x`` both hold run ``x``)."""
    return path.name.removeprefix(PREFIX)


def run_folder(run_id: str) -> str:
    """Return the name of the folder that holds a run."""
    return PREFIX + run_id


def file_of(folder: str, name: str, ending: str) -> str:
    """Return where in a run the file of a save stands.

    Raises
    ------
    InvalidInputError
        If the name is no safe one, or in ``data/`` would stand in the journal of an HDF5 file.
    """
    safe_name(name, "name", suffix=ending)
    if folder == DATA and any(part.endswith(_JOURNAL) for part in name.split("/")):
        raise InvalidInputError(
            f"name {name!r} is reserved: in data/, what ends in {_JOURNAL!r} holds rows on their "
            "way into an HDF5 file; choose another name"
        )
    return f"{folder}/{name}{ending}"
