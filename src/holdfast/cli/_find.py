"""Finding the runs and experiments below a folder."""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

from holdfast.errors import HoldfastWarning, MissingFileError
from holdfast.run import LogReader

MAX_DEPTH = 8
"""How deep folders are searched for runs."""


def run_paths(folder: Path, depth: int = 0) -> Iterator[Path]:
    """Yield the run directories in or below a folder, sorted; what is inside a run is left out.

    Raises
    ------
    MissingFileError
        If there is no such folder.
    """
    if not folder.is_dir():
        raise MissingFileError(f"there is no folder {folder}; name the one that holds the runs")
    if is_run(folder):
        yield folder
        return
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except PermissionError as error:
        warnings.warn(f"{folder} is left out: {error.strerror}", HoldfastWarning, stacklevel=2)
        return
    for entry in entries:
        wanted = not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
        if wanted and depth < MAX_DEPTH:
            yield from run_paths(Path(entry.path), depth + 1)


def is_run(folder: Path) -> bool:
    """Whether a folder is a run directory."""
    return (folder / "metadata.json").is_file()


def is_experiment(folder: Path) -> bool:
    """Whether a folder holds an experiment."""
    return (folder / "runs").is_dir() and not is_run(folder)


def open_run(path: Path) -> LogReader:
    """Open a run by its folder, or by the run id that its folder's name holds after ``log_``."""
    if not path.exists():
        for named in (path.with_name(f"log_{path.name}"), Path("outputs") / f"log_{path.name}"):
            if named.is_dir():
                return LogReader(named)
    return LogReader(path)
