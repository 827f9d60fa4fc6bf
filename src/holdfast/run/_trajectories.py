"""Trajectories of a run: fields over time in ``data/<name>.h5``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast._names import inside, listing, nearest
from holdfast._sync import Durability
from holdfast.errors import InvalidInputError, NotFoundError
from holdfast.run._files import files
from holdfast.run._layout import DATA, STREAMS, file_of

if TYPE_CHECKING:
    from holdfast.fields import FileStorage

_ENDING = ".h5"
_JOURNAL = "-journal"


def _file_of(run: Path, name: str) -> Path:
    relative = file_of(DATA, name, _ENDING)
    if relative == f"{DATA}/{STREAMS}":
        raise InvalidInputError(
            f"name {name!r} is reserved: {DATA}/{STREAMS} holds the run's streams; choose another"
        )
    return inside(run, relative)


def open_trajectory(
    run: Path, name: str, durability: Durability, options: dict[str, Any]
) -> "FileStorage":
    """Return a storage that adds to a trajectory, or begins it.

    Raises
    ------
    InvalidInputError
        If the name or an option cannot be.
    """
    from holdfast.fields import FileStorage  # loads h5py

    return FileStorage(
        _file_of(run, name), **{"write_mode": "append", "sync": durability.mode, **options}
    )


def read_trajectory(run: Path, name: str) -> "FileStorage":
    """Return a storage that reads a trajectory.

    Raises
    ------
    NotFoundError
        If there is none of this name.
    """
    from holdfast.fields import FileStorage  # loads h5py

    path = _file_of(run, name)
    if not path.exists() and not path.with_name(path.name + _JOURNAL).is_dir():
        known = trajectories(run)
        raise NotFoundError(
            f"run {run} has no trajectory {name!r}; it holds {listing(known)}{nearest(name, known)}"
        )
    return FileStorage(path, write_mode="readonly")


def trajectories(run: Path) -> list[str]:
    """Return the names of all trajectories, sorted; also of one that is in its journal alone."""
    found = {name.partition(f"{_JOURNAL}/")[0].removesuffix(_ENDING) for name in _names(run)}
    return sorted(found - {STREAMS.removesuffix(_ENDING)})


def _names(run: Path) -> list[str]:
    return [n for n in files(run / DATA) if n.endswith(_ENDING) or f"{_ENDING}{_JOURNAL}/" in n]
