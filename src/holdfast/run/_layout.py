"""The names of files and folders in a run directory, and what each holds (format version 1)."""

from pathlib import Path

FORMAT_VERSION = 1

PREFIX = "log_"
METADATA = "metadata.json"
LOG = "log.txt"
PARAMS = {"yaml": "params.yaml", "json": "params.json"}
DATA, PLOTS, ARTIFACTS, ATTEMPTS = "data", "plots", "artifacts", "attempts"
STREAMS, RECORDS = "streams.h5", "records"


def run_id_of(path: Path) -> str:
    """Return the run id that a folder's name tells (``log_x`` and ``x`` both hold run ``x``)."""
    return path.name.removeprefix(PREFIX)


def run_folder(run_id: str) -> str:
    """Return the name of the folder that holds a run."""
    return PREFIX + run_id
