"""Finding the runs and experiments below a folder."""

import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from holdfast._names import listing, nearest
from holdfast.errors import HoldfastWarning, InvalidInputError, MissingFileError
from holdfast.run import METADATA, LogReader, run_folder, run_id_of
from holdfast.sweeps import RUNS

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
    except OSError as error:  # no permission, or removed meanwhile
        warnings.warn(f"{folder} is left out: {error.strerror}", HoldfastWarning, stacklevel=2)
        return
    for entry in entries:
        wanted = not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
        if wanted and depth < MAX_DEPTH and os.path.isdir(entry.path):  # not removed meanwhile
            yield from run_paths(Path(entry.path), depth + 1)


def is_run(folder: Path) -> bool:
    """Whether a folder is a run directory."""
    return os.path.isfile(folder / METADATA)  # which, unlike Path, never raises


def is_experiment(folder: Path) -> bool:
    """Whether a folder holds an experiment."""
    return (folder / RUNS).is_dir() and not is_run(folder)


def base_folder() -> Path:
    """Return where commands look when they are told no folder."""
    return Path("outputs") if Path("outputs").is_dir() else Path()


def find(path: Path, wanted: Callable[[Path], bool], what: str) -> Path:
    """Return the folder that the user named: by its path, or by an id that is searched for.

    Parameters
    ----------
    path : Path
        What the user gave. What exists is taken as it is.
    wanted : callable
        Tells whether a folder is of the kind that is searched for.
    what : str
        That kind, for messages.

    Raises
    ------
    MissingFileError
        If nothing has this name.
    InvalidInputError
        If several things have it.
    """
    if path.exists():
        return path
    beside = path.with_name(run_folder(path.name))
    if wanted(beside):
        return beside
    base = base_folder()
    known = [p for p in _named_places(base) if wanted(p)] if len(path.parts) == 1 else []
    found = [p for p in known if path.name in (p.name, run_id_of(p))]
    if len(found) > 1:
        raise InvalidInputError(
            f"{path} names several: {listing(map(str, found))}; give the path of one"
        )
    if not found:
        near = nearest(path.name, {run_id_of(p) for p in known})
        raise MissingFileError(
            f"there is no {what} {path}, here or below {base}{near or '; see ls'}"
        )
    return found[0]


def _named_places(base: Path) -> Iterator[Path]:
    """Yield every run and every experiment below a folder."""
    seen = set()
    for run in run_paths(base):
        experiment = run.parent.parent
        if run.parent.name == RUNS and experiment not in seen:
            seen.add(experiment)
            yield experiment
        yield run


def open_run(path: Path) -> LogReader:
    """Open a run by its folder, or by its run id wherever it is below `base_folder`."""
    return LogReader(find(path, is_run, "run"))
