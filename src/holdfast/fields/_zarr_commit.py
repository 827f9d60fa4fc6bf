"""`commit`: rows into a Zarr store, all of them or none, by writing whole objects.

The protocol, and why it would do for an object store too, stands in
``design/010-movies-and-archives.md``.
"""

import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from holdfast._atomic import replace_bytes
from holdfast._names import TEMPORARY_PREFIX
from holdfast._sync import Durability, fsync_path
from holdfast.errors import FormatError
from holdfast.fields._forms import Array
from holdfast.fields._zarr_format import DATA, OURS, ROOT, VERSION, Plan, dumped, group


@dataclass(slots=True)
class Content:
    """What a store holds besides its rows.

    Attributes
    ----------
    identity : str
        Drawn when the store was begun; a store that replaces another has its own.
    plan : Plan
        How fields are laid out.
    attributes : dict
        Plain information about them.
    coordinates : dict
        Values along their dimensions.
    notes : dict
        Attributes of the array of values.
    """

    identity: str
    plan: Plan
    attributes: dict[str, Any]
    coordinates: dict[str, list[float]]
    notes: dict[str, Any] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """Return plain data that `parse` reads."""
        return {
            "identity": self.identity,
            "plan": self.plan.describe(),
            "attributes": self.attributes,
            "coordinates": self.coordinates,
            "notes": self.notes,
        }

    @classmethod
    def parse(cls, described: Mapping[str, Any]) -> "Content":
        """Read what `describe` gave."""
        return cls(**{**described, "plan": Plan.parse(described["plan"])})


class Store:
    """A local folder as a store of whole objects; nothing else is asked of one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._durability = Durability("always")
        self._placed: set[Path] = set()

    def put(self, key: str, content: bytes) -> None:
        """Make an object, or replace it, whole and on the disk."""
        path = self.path / key
        self._place(path.parent)
        replace_bytes(path, content, self._durability)

    def _place(self, folder: Path) -> None:
        """Bring a folder to the disk; one that is there may be a killed writer's, never synced."""
        if folder in self._placed:
            return
        if folder != self.path:
            self._place(folder.parent)
        folder.mkdir(exist_ok=True)
        fsync_path(folder.parent)
        self._placed.add(folder)

    def get(self, key: str) -> bytes | None:
        """Return an object; None if there is none."""
        try:
            return (self.path / key).read_bytes()
        except FileNotFoundError:
            return None

    def empty(self) -> None:
        """Remove the store, which ends to be one with the first object that goes.

        What else is in its folder is somebody's, and stays.
        """
        self._placed.clear()
        (self.path / ROOT).unlink(missing_ok=True)
        if self.path.is_dir():
            fsync_path(self.path)
            for entry in list(self.path.iterdir()):
                if _is_array(entry):
                    _remove(entry)
                elif _is_left_over(entry):
                    entry.unlink()
            with contextlib.suppress(OSError):
                self.path.rmdir()

    def check_free(self) -> None:
        """Refuse a folder that is no store and holds something else.

        Raises
        ------
        FormatError
            If it does; it is left as it is.
        """
        if not self.path.is_dir() or (self.path / ROOT).exists():
            return
        for entry in self.path.iterdir():
            if not (_is_array(entry) or _is_left_over(entry)):
                raise FormatError(
                    f"{self.path} is a folder that holds {entry.name!r}, and no Zarr store; choose "
                    "another name"
                )


def _is_array(path: Path) -> bool:
    """Whether a folder is an array, or what is left of one whose removal was interrupted."""
    if path.is_symlink() or not path.is_dir():
        return False
    return all(entry.name in (ROOT, "c") or _is_left_over(entry) for entry in path.iterdir())


def _is_left_over(path: Path) -> bool:
    """Whether a killed writer was about to make an object of it."""
    return path.name.startswith(TEMPORARY_PREFIX) and path.is_file()


def _remove(folder: Path) -> None:
    for where, folders, names in os.walk(folder, topdown=False):
        for name in names:
            os.unlink(os.path.join(where, name))
        for name in folders:
            _remove_folder(os.path.join(where, name))
    os.rmdir(folder)


def _remove_folder(path: str) -> None:
    if os.path.islink(path):
        os.unlink(path)
    else:
        os.rmdir(path)


def commit(
    store: Store,
    content: Content,
    rows: range,
    read: Callable[[int, int], Array],
    *,
    committed: int,
    replaces: bool,
) -> None:
    """Bring rows into a store.

    Parameters
    ----------
    store : Store
        The store.
    content : Content
        What it is to hold besides.
    rows : range
        The rows that are not in full shards yet, from the beginning of a shard on.
    read : callable
        Returns rows of the journal, by their numbers.
    committed : int
        How many rows are in the store, where others may be reading them.
    replaces : bool
        Whether the store holds something else, which goes.

    Raises
    ------
    OSError
        If the disk is full; the same call may be repeated.
    """
    plan = content.plan
    if replaces:
        store.empty()
    for start in range(rows.start, rows.stop, plan.shard):
        stop, number = min(start + plan.shard, rows.stop), start // plan.shard
        before = store.get(plan.key(DATA, number)) if start < committed else None
        for key, shard in plan.objects(number, read(start, stop), before):
            store.put(key, shard)
    coordinates = {name: np.array(values) for name, values in content.coordinates.items()}
    if not rows.start:
        for name, values in coordinates.items():
            store.put(*plan.coordinate(name, values))
    arrays = plan.arrays(rows.stop, coordinates, content.notes)
    for name, metadata in arrays.items():
        store.put(f"{name}/{ROOT}", dumped(metadata))
    ours = {OURS: {"version": VERSION, "identity": content.identity, "plan": plan.describe()}}
    store.put(ROOT, dumped(group(arrays, {**content.attributes, **ours})))  # this is the commit
