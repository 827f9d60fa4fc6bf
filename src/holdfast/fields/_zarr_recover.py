"""What a killed writer left of a Zarr store: brought in by the next, by `recover`, or erased."""

import contextlib
import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from holdfast._logging import log
from holdfast._sync import fsync_path
from holdfast.errors import MissingFileError
from holdfast.fields._forms import Array
from holdfast.fields._zarr_commit import Content, Store, commit
from holdfast.fields._zarr_format import DATA, TIME
from holdfast.fields._zarr_reader import ROWS, STREAM, Snapshot
from holdfast.hdf5 import RowType
from holdfast.journal import JournalWriter, WriterLock, journal_folder


def definition(content: Content) -> tuple[RowType, dict[str, Any]]:
    """Return the type of the journal's rows, and how the journal is to describe them."""
    kind = RowType(content.plan.row)
    return kind, {"name": ROWS, **kind.describe(), "content": content.describe()}


def rows_of(found: Snapshot, start: int, stop: int) -> Array:
    """Return fields with their times, as rows of a journal."""
    rows = np.empty(stop - start, found.plan.row)
    rows[TIME], rows[DATA] = found.times(start, stop), found.data(start, stop)
    return rows


def recover_store(path: Path) -> tuple[dict[str, int], list[str]]:
    """Bring what a killed writer left in a journal into its Zarr store.

    Parameters
    ----------
    path : Path
        The store's folder.

    Returns
    -------
    dict
        How many fields were brought in, under ``data``; empty if none.
    list of str
        Damage that was left out.

    Raises
    ------
    MissingFileError
        If there is neither a store nor a journal.
    LockedError
        If its writer lives.
    IntegrityError
        If fields between the store and the journal are missing; both are left as they are.
    OSError
        If the disk is full; call again.
    """
    folder = Path(journal_folder(str(path)))
    if not folder.is_dir():
        if not path.is_dir():
            raise MissingFileError(f"there is no store {path}, nor a journal of it; check the path")
        return {}, []
    lock, rows, problems = lock_recovered(path)
    let_go(lock)
    return {DATA: rows} if rows else {}, problems


def lock_recovered(path: Path) -> tuple[WriterLock, int, list[str]]:
    """Lock the journal of a store, and recover it; its generations are gone afterwards.

    Returns
    -------
    WriterLock
        The lock, held.
    int
        How many fields were brought in.
    list of str
        Damage that was left out.
    """
    folder = Path(journal_folder(str(path)))
    lock = WriterLock(folder)
    try:
        found = Snapshot.take(path, live=False)
        if found is not None and found.replaces and not found.durable:
            _make_durable(found, JournalWriter(folder, lock))
            lock = WriterLock(folder)
            found = Snapshot.take(path, live=False)
        if found is not None and found.content:
            _bring_in(path, found)
    except BaseException:
        let_go(lock)
        raise
    problems = [] if found is None else found.problems
    _tidy(folder, problems)
    return lock, 0 if found is None else found.rows - found.committed, problems


def let_go(lock: WriterLock) -> None:
    """Unlock a journal, and remove its folder unless something is in it."""
    lock.remove()
    with contextlib.suppress(OSError):
        lock.path.parent.rmdir()


def _make_durable(found: Snapshot, journal: JournalWriter) -> None:
    """Write fields into a generation that is synced, since a store goes to make room for them.

    A power loss after that store went would take those that their writer had not synced.
    """
    content = Content.parse(found.content)
    kind, described = definition(content)
    try:
        journal.define(STREAM, described)
        for start in range(0, found.rows, content.plan.shard):
            rows = rows_of(found, start, min(start + content.plan.shard, found.rows))
            block = journal.add_block(STREAM, start, kind.nbytes, rows=len(rows))
            block.write(0, rows.tobytes())
            block.publish(len(rows))
        journal.sync()
    except BaseException:
        journal.close(keep=False)
        raise
    fsync_path(journal.folder.parent)
    journal.close(keep=True)


def _bring_in(path: Path, found: Snapshot) -> None:
    content = Content.parse(found.content)
    first = found.committed // content.plan.shard * content.plan.shard
    commit(
        Store(path),
        content,
        range(first, found.rows),
        partial(rows_of, found),
        committed=found.committed,
        replaces=found.replaces,
    )


def _tidy(folder: Path, problems: list[str]) -> None:
    for problem in problems:
        log.warning("%s", problem)
    names = sorted(name for name in os.listdir(folder) if name.endswith(".journal"))
    for name in names:  # generations go in order
        if problems:
            os.rename(folder / name, folder / f"{name}.damaged")
        else:
            (folder / name).unlink()
    if names:
        # Were they to come back after a power loss, they would replace what has come after them.
        fsync_path(folder)


def leave_nothing(path: Path) -> None:
    """Delete a store and what a killed writer left of its journal.

    Raises
    ------
    LockedError
        If another process writes it.
    """
    folder = Path(journal_folder(str(path)))
    lock = WriterLock(folder)
    try:
        for name in sorted(os.listdir(folder), reverse=True):
            if name.endswith(".journal"):
                (folder / name).unlink()
        fsync_path(folder)  # before the store: its journal alone may lack the first fields
        Store(path).empty()
    finally:
        let_go(lock)
    fsync_path(path.parent)
