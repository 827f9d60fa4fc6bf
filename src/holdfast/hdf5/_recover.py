"""Recovery: bringing what a crashed writer left in a journal into its HDF5 file."""

import os
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from holdfast._sync import fsync_path
from holdfast.errors import IntegrityError, MissingFileError
from holdfast.hdf5._attributes import count_fields
from holdfast.hdf5._chunks import ChunkShape, Compression
from holdfast.hdf5._commit import finish_commit
from holdfast.hdf5._dataset import DatasetWriter
from holdfast.hdf5._rows import RowType
from holdfast.hdf5._session import Session
from holdfast.hdf5._thread import Hdf5Thread, collector_off
from holdfast.journal import (
    PAGE,
    Journal,
    WriterLock,
    generation_number,
    journal_folder,
    read_journal,
    remove_empty,
    unpack_generation,
)

ASIDE = ".damaged"
"""What the names of journal files end with that were damaged, and brought in as far as possible."""


@dataclass(slots=True)
class Recovered:
    """What a recovery did.

    Attributes
    ----------
    rows : dict of str to int
        Rows brought into the file, by stream.
    finished_commit : bool
        Whether a checkpoint had been cut short and was completed.
    problems : list of str
        Damage that was left out.
    """

    rows: dict[str, int] = field(default_factory=dict)
    finished_commit: bool = False
    problems: list[str] = field(default_factory=list)

    @property
    def anything(self) -> bool:
        """Whether there was anything to recover."""
        return bool(self.rows or self.finished_commit or self.problems)


def recover(path: str | os.PathLike[str]) -> Recovered:
    """Make a file whole for every tool, after its writer has died.

    Parameters
    ----------
    path : path
        The HDF5 file, which need not exist yet if its journal does.

    Raises
    ------
    MissingFileError
        If there is neither a file nor a journal.
    LockedError
        If its writer lives.
    IntegrityError
        If rows between the file and the journal are missing; both are left as they are.
    OSError
        If the disk is full or fails; call again.
    """
    file = Path(os.path.abspath(path))
    folder = Path(journal_folder(str(file)))
    if not folder.is_dir():
        if not file.exists():
            raise MissingFileError(f"there is no file {file}, nor a journal of it; check the path")
        return Recovered()
    lock = WriterLock(folder)
    try:
        done = _recover_alone(file, folder)
    except BaseException:
        lock.release()  # its file stays with the journal
        raise
    lock.remove()
    remove_empty(folder)  # not where there is damage to look at, or somebody else
    fsync_path(file.parent)  # or a power loss could bring the journal back
    return done


def _recover_alone(path: Path, folder: Path) -> Recovered:
    thread = Hdf5Thread(lambda: None, 60.0)
    try:
        return thread.submit(lambda: recover_locked(path, folder)).result()
    finally:
        thread.join()


def recover_locked(path: Path, folder: Path) -> Recovered:
    """Recover as the one writer, on the HDF5 thread; the generations are gone afterwards."""
    done = Recovered(finished_commit=finish_commit(path, folder))
    _drop_unborn(folder)
    journal = read_journal(folder, live=False)  # the lock is held, but by us
    if journal is None:
        return done
    done.problems = journal.problems
    if any(journal.segments.values()) or journal.events or path.exists():
        with collector_off():
            session = Session(path, folder)
            try:
                _bring_in(session, journal, done)
                count_fields(session.file)
                session.commit()
            finally:
                session.close()
    _tidy(folder, damaged=bool(done.problems))
    return done


def _drop_unborn(folder: Path) -> None:
    """Remove generations whose header a crash prevented; nothing stands in them yet."""
    for name in os.listdir(folder):
        if generation_number(name) is not None:
            content = _beginning(folder / name)
            if unpack_generation(content[:PAGE]) is None and not any(content[PAGE : 2 * PAGE]):
                (folder / name).unlink()


def _beginning(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(2 * PAGE)


def _tidy(folder: Path, *, damaged: bool) -> None:
    """Remove a journal that was brought in; if it was damaged, put it aside for an expert."""
    names = sorted(os.listdir(folder))  # generations go in order
    for name in names:
        if name.endswith(ASIDE) or name == "lock":
            continue
        if damaged and name.endswith(".journal"):
            os.rename(folder / name, folder / f"{name}{ASIDE}")
        else:
            (folder / name).unlink()
    if names != ["lock"]:
        fsync_path(folder)  # or one could come back beside those of the next writer


def _rows(writer: DatasetWriter, journal: Journal, identity: int, start: int, stop: int) -> bytes:
    """Return the bytes of rows, those that the journal lacks from a chunk that is not full.

    After a power loss: a commit had brought them to the disk, and no sync the journal's copies.
    """
    first, _ = journal.rows(identity)
    known = writer.read(start, min(first, stop)) if start < first else b""
    return known + journal.read(identity, max(start, first), stop)


def _bring_in(session: Session, journal: Journal, done: Recovered) -> None:
    for event in journal.events:
        if "declare" in event:
            session.apply(event)
    for identity, definition in journal.streams.items():
        name = definition["name"]
        kind, how = RowType.parse(definition), Compression.parse(definition)
        writer = session.dataset(name, kind, how, ChunkShape.parse(definition))
        first, stop = journal.rows(identity)
        if first > writer.length:
            if journal.after_reboot:
                continue  # rows that no sync had reached, behind others that are lost
            raise IntegrityError(
                f"{session.path}: rows {writer.length} to {first} of stream {name!r} are neither "
                "in the file nor in its journal; restore the file from a copy, or move the journal "
                "away to go on without the rows after them"
            )
        before = writer.length
        writer.write(stop, partial(_rows, writer, journal, identity), final=True)
        if stop > before:
            done.rows[name] = stop - before
    for event in journal.events:
        if "set" in event:
            session.apply(event)
