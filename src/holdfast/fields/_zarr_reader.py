"""`Snapshot`: the fields of a Zarr store at one moment, those in its journal included."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from holdfast.errors import FormatError, IntegrityError, LockedError, StateError
from holdfast.fields._forms import Array
from holdfast.fields._zarr import Arrays
from holdfast.fields._zarr_format import DATA, OURS, ROOT, TIME, VERSION, Plan
from holdfast.journal import Journal, journal_folder, read_journal, writer_lives

ROWS, STREAM = "rows", 1
PATIENCE = 30.0
"""Seconds to try for a moment at which store and journal fit each other."""


class Snapshot:
    """What a store holds, whether its writer lives or not; neither locks nor writes.

    Attributes
    ----------
    identity : str
        Which store it is, among those that have been in its place.
    plan : Plan
        How its fields are laid out.
    attributes : mapping
        Plain information about the fields.
    rows : int
        How many fields there are.
    committed : int
        How many of them are in the store itself.
    first : int
        The first of those that are read from the journal.
    content : dict
        What the journal says of the store; empty where there is none.
    replaces : bool
        Whether the store in the folder is another, which the journal's is to replace.
    problems : list of str
        Damage in the journal that was left out.
    durable : bool
        Whether all fields are on the disk for certain.
    """

    def __init__(self, path: Path, root: dict[str, Any] | None, journal: Journal | None) -> None:
        self._path, self._journal = path, journal
        there = None if root is None else _ours(path, root)
        self.content = {} if journal is None else journal.streams[STREAM]["content"]
        first, stop = (0, 0) if journal is None else journal.rows(STREAM)
        self.replaces = there is not None and there["identity"] != self.content.get("identity")
        if self.replaces and stop == first:  # nothing has come to replace the store with
            self.content, self.replaces = {}, False
        if there is None or self.replaces:
            self.committed, described = 0, self.content
            self.attributes: Mapping[str, Any] = self.content["attributes"]
        else:
            self.committed, described = _committed(root), there
            self.attributes = _attributes(root)
        self.identity: str = described["identity"]
        self.plan = Plan.parse(described["plan"])
        self.rows = max(self.committed, stop)
        self.first = first if stop == self.rows > first else self.rows
        self.problems = [] if journal is None else journal.problems
        self.durable = journal is None or journal.after_reboot
        self._arrays = Arrays(path)

    @classmethod
    def take(cls, path: Path, *, live: bool | None = None) -> "Snapshot | None":
        """Look at a store; None if there is none.

        Raises
        ------
        FormatError
            If there is something else at its place.
        IntegrityError
            If fields between the store and its journal are missing.
        LockedError
            If a writer was replacing it the whole time; try again.
        """
        folder = Path(journal_folder(str(path)))
        deadline = time.monotonic() + PATIENCE
        while True:
            abandoned = not writer_lives(folder) or live is False
            journal = read_journal(folder, live=live)  # before the store, which only gains by it
            root = _root(path)
            vanished = journal is None and folder.exists() and any(folder.glob("*.journal"))
            if journal is None or STREAM not in journal.streams:
                if not vanished:
                    return None if root is None else cls(path, root, None)
            else:
                found = cls(path, root, journal)
                if found.first <= found.committed:
                    return found
                if abandoned:
                    raise IntegrityError(
                        f"{path}: fields {found.committed} to {found.first} are neither in the "
                        "store nor in its journal; restore it from a copy"
                    )
            if time.monotonic() > deadline:
                raise LockedError(f"{path} was between two states for {PATIENCE:.0f} s; try again")
            time.sleep(0.001)

    def times(self, start: int, stop: int) -> Array:
        """Return the times of fields."""
        return self._read(TIME, start, stop)

    def data(self, start: int, stop: int, rest: tuple[Any, ...] = ()) -> Array:
        """Return the values of fields, in an array of its own; `rest` says which of each."""
        return self._read(DATA, start, stop, rest)

    def _read(self, name: str, start: int, stop: int, rest: tuple[Any, ...] = ()) -> Array:
        parts = []
        middle = min(max(self.first, start), stop)
        if start < middle:
            parts.append(self._read_store(name, start, middle, rest))
        if middle < stop and self._journal is not None:
            content = self._journal.read(STREAM, middle, stop)
            parts.append(np.frombuffer(content, self.plan.row)[name][(slice(None), *rest)].copy())
        if len(parts) == 1:
            return parts[0]
        if parts:
            return np.concatenate(parts)
        shape = self.plan.shape if name == DATA else ()
        return np.empty((0, *shape), self.plan.dtype if name == DATA else "<f8")

    def _read_store(self, name: str, start: int, stop: int, rest: tuple[Any, ...]) -> Array:
        try:
            self._check_objects(name, start, stop)
            return self._arrays.read(name, start, stop, rest)
        finally:
            if identity_of(self._path) != self.identity:
                raise StateError(
                    f"{self._path} was replaced or cleared while it was read; look again at what "
                    "is there, beginning with its length"
                )

    def _check_objects(self, name: str, start: int, stop: int) -> None:
        """Refuse to read where an object is missing, which Zarr takes for zeros."""
        shard = self.plan.shard
        for number in range(start // shard, -(-stop // shard)):
            path = self._path / self.plan.key(name, number)
            try:
                size = path.stat().st_size
            except FileNotFoundError:
                size = 0
            if not size:
                raise FormatError(f"{path} is missing or empty; restore it from a copy")


def identity_of(path: Path) -> str | None:
    """Return which store is there; None if there is none."""
    root = _root(path)
    return None if root is None else str(_ours(path, root)["identity"])


def _root(path: Path) -> dict[str, Any] | None:
    """Return the metadata of the store, None where there is none."""
    try:
        content = (path / ROOT).read_bytes()
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        raise FormatError(f"{path} is a file, not the folder of a Zarr store; check it") from None
    try:
        found = json.loads(content)
    except ValueError as error:
        raise FormatError(f"{path / ROOT} is damaged ({error}); restore it from a copy") from None
    return found if isinstance(found, dict) else {}


def _committed(root: Any) -> int:
    return int(root["consolidated_metadata"]["metadata"][DATA]["shape"][0])


def _attributes(root: Any) -> dict[str, Any]:
    return {name: value for name, value in root["attributes"].items() if name != OURS}


def _ours(path: Path, root: Mapping[str, Any]) -> dict[str, Any]:
    try:
        ours: dict[str, Any] = root["attributes"][OURS]
        version = ours["version"]
    except (KeyError, TypeError):
        raise FormatError(
            f"{path} is a Zarr store that ZarrStorage did not write; open it with zarr or xarray, "
            "or choose another name"
        ) from None
    if version != VERSION:
        raise FormatError(
            f"{path} was written by a newer Holdfast (store version {version}); install that"
        )
    try:
        Plan.parse(ours["plan"])
        str(ours["identity"])
        _committed(root)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise FormatError(f"{path / ROOT} is damaged ({error!r}); restore it from a copy") from None
    return ours
