"""What dead processes left in a store, found and removed; never data, and no run unless asked."""

import contextlib
import os
import re
import shutil
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from holdfast._atomic import temporary_beside
from holdfast._names import TEMPORARY_PREFIX
from holdfast.errors import HoldfastError, StateError
from holdfast.run import LogReader
from holdfast.store._store import Store
from holdfast.store._task import identity_in

MIN_AGE = 3600.0
"""Seconds for which nobody must have touched a thing that nobody owns: its owner may be a process
of another machine, which cannot be seen from here."""

_PID = re.compile(re.escape(TEMPORARY_PREFIX) + r"(\d+)-")


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something that can be removed.

    Attributes
    ----------
    path : Path
        Where it is.
    kind : str
        temporary, claim, empty folder, failed run or interrupted run.
    size : int
        Bytes that its files have.
    """

    path: Path
    kind: str
    size: int


def leftovers(store: Store, states: Collection[str] = ()) -> Iterator[Leftover]:
    """Yield what can be removed from a store.

    Parameters
    ----------
    store : Store
        Where to look.
    states : collection of {"failed", "interrupted"}
        Runs in these states as well.
    """
    if not store.directory.is_dir():
        return
    for path in _temporaries(store.directory):
        yield Leftover(path, "temporary", _size(path))
    for identity in store.claims.identities():
        if store.claims.holder(identity) is None:
            path = store.claims.folder / identity
            yield Leftover(path, "claim", _size(path))
    for path in sorted(store.directory.iterdir()):
        if _is_empty(path) and _is_old(path):
            yield Leftover(path, "empty folder", 0)
    for state in sorted(states):
        for path in store.index.find(state=state):
            yield Leftover(path, f"{state} run", _size(path))


def remove(store: Store, leftover: Leftover) -> None:
    """Remove it, unless it has become something else meanwhile.

    Raises
    ------
    StateError
        If it has; nothing was removed.
    """
    path = leftover.path
    match leftover.kind:
        case "temporary" if path.is_dir():
            shutil.rmtree(path)
        case "temporary":
            path.unlink(missing_ok=True)
        case "claim":
            if not store.claims.tidy(path.name):
                raise StateError(f"{path} has been taken meanwhile; it is left as it is")
        case "empty folder":
            path.rmdir()
        case _:
            _remove_run(store, path, leftover.kind.removesuffix(" run"))


def _remove_run(store: Store, path: Path, state: str) -> None:
    """Remove a run whole: under a temporary name first, so that a kill leaves no part of it."""
    identity = identity_in(path.name)
    with store.claims.locked(identity) if identity else contextlib.nullcontext():
        if identity and store.claims.holder(identity) is not None:
            raise StateError(f"run {path} is being launched by another process; it is left")
        aside = temporary_beside(path)
        path.rename(aside)
        if not _is_still(aside, state):  # somebody has begun it anew, without a claim
            aside.rename(path)
            raise StateError(f"run {path} is no longer {state}; it is left as it is")
    shutil.rmtree(aside)


def _is_still(path: Path, state: str) -> bool:
    try:
        return LogReader(path).state == state
    except (HoldfastError, OSError):
        return False


def _temporaries(directory: Path) -> Iterator[Path]:
    """Yield what was being made by processes that are gone, in the store and in its runs."""
    for folder, folders, files in os.walk(directory):
        for name in [*folders, *files]:
            if name.startswith(TEMPORARY_PREFIX):
                path = Path(folder, name)
                if _is_old(path) and not _maker_lives(name):
                    yield path
        folders[:] = sorted(name for name in folders if not name.startswith(TEMPORARY_PREFIX))


def _maker_lives(name: str) -> bool:
    """Whether a process of the number in a temporary name lives here, whichever it is."""
    found = _PID.match(name)
    if found is None or os.name != "posix":
        return os.name != "posix"
    try:
        os.kill(int(found[1]), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.lstat().st_mtime > MIN_AGE
    except FileNotFoundError:
        return False


def _is_empty(path: Path) -> bool:
    if path.name.startswith(".") or path.is_symlink() or not path.is_dir():
        return False
    try:
        return not os.listdir(path)
    except OSError:
        return False


def _size(path: Path) -> int:
    """Return the bytes of all files below; what goes away meanwhile has none."""
    if not path.is_dir() or path.is_symlink():
        return _bytes(path)
    return sum(_bytes(Path(folder, name)) for folder, _, files in os.walk(path) for name in files)


def _bytes(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0
