"""`assemble_log_archives`: one archive a source, from blocks, entries and archives."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from holdfast._sync import ManySynced, fsync_path
from holdfast.acquisition._alive import producer_lives
from holdfast.acquisition._archive import OpenArchives, archive_path
from holdfast.acquisition._archived import archive_runs
from holdfast.acquisition._collect import Collected, archived_sources, collect
from holdfast.acquisition._columns import Messages
from holdfast.acquisition._format import LOGGER
from holdfast.acquisition._gather import Part, by_source
from holdfast.acquisition._making import Listing, NewArchive, Tally, begun
from holdfast.acquisition._members import write_members
from holdfast.acquisition._merge import merged_parts
from holdfast.acquisition._notice import remove_notices
from holdfast.acquisition._runs import Run, Source
from holdfast.acquisition._service import remove_if_empty
from holdfast.acquisition._stored import producer_folders
from holdfast.errors import IntegrityError, InvalidInputError, LockedError, MissingFileError
from holdfast.journal import WriterLock, writer_lives

ASSEMBLY = "assembly"

Layout = Literal["columns", "messages"]
Done = Callable[[int], None]


def assemble_log_archives(
    log_directory: str | os.PathLike[str],
    max_workers: int | None = None,
    *,
    remove_sources: bool = True,
    memory_mapping: bool = True,
    verbose: bool = False,
    verify_integrity: bool = False,
    layout: Layout | None = None,
) -> None:
    """Bring all messages of a logger's folder into archives, ``<source>_log.npz``, by time.

    Calling again adds what came since. It may be killed at any instant, and called again: every
    message is in its archive exactly once. Producers may go on meanwhile. Ataraxis's files of one
    message each (``.npy``) are assembled likewise.

    Parameters
    ----------
    log_directory : path
        The folder of a logger, `DataLogger.output_directory`.
    max_workers : int, optional
        Threads that write archives at the same time; None: as many as cores but two, at least one.
    remove_sources : bool
        Delete blocks and entries once archives hold all their messages.
    memory_mapping : bool
        Whether archives there are already are mapped. Blocks never are: that would hold a file
        open for each.
    verbose : bool
        Show progress in the terminal.
    verify_integrity : bool
        Read the new archives back and compare every message with its source before anything is
        deleted. Checksums are verified in any case.
    layout : {"columns", "messages"}, optional
        The form of all archives afterwards: few columns for all messages, or one member for each,
        as ataraxis writes them: 290 bytes more each, sources 0 to 255 only, and slow. None:
        archives keep the form they have, and new ones are columns.

    Raises
    ------
    MissingFileError
        If there is no such folder.
    InvalidInputError
        If an option is none, or the folder's ``assembly`` is a symbolic link.
    LockedError
        If another assembly of the folder is at work.
    IntegrityError
        If a source is damaged, or cannot be read: it stays where it is, and all others are
        assembled.
    OSError
        If the disk is full; archives are as they were.
    """
    folder = Path(os.path.abspath(log_directory))
    workers = _checked_workers(max_workers)
    if layout not in (None, "columns", "messages"):
        raise InvalidInputError(f"layout must be 'columns' or 'messages', not {layout!r}")
    if not folder.is_dir():
        raise MissingFileError(f"there is no folder {folder}; pass a logger's output_directory")
    del memory_mapping  # see above: nothing depends on it any more
    with _at_work(folder) as workshop:
        with ThreadPoolExecutor(max(workers, 2)) as pool:
            collected = collect(folder, None, workshop, pool)
            again = collected.members if layout == "columns" else set()
            if collected.runs or again:
                with contextlib.closing(ManySynced(workshop)) as synced:
                    new = _build(
                        folder,
                        workshop,
                        collected,
                        again,
                        pool,
                        workers,
                        verbose=verbose,
                        verify=verify_integrity,
                    )
                    synced.sync([archive.file.path for archive in new])
                _put_in_place(folder, new)
        if remove_sources:
            _remove(folder, collected)
        members = (
            archived_sources(folder) if layout == "messages" else sorted(collected.members, key=str)
        )
        if members and layout != "columns":  # last, as these archives list few blocks only
            _sync_removals(folder)
            write_members(folder, workshop, members, _still_there(collected))
    if collected.problems:
        raise IntegrityError(
            f"{folder} holds files that are damaged or cannot be read, which stay there; all other "
            "messages are assembled. Restore them from a copy, or give leave to read them: "
            f"{'; '.join(collected.problems)}"
        )


def _checked_workers(max_workers: Any) -> int:
    if max_workers is None:
        return max((os.cpu_count() or 1) - 2, 1)
    if not isinstance(max_workers, int) or max_workers < 1:
        raise InvalidInputError(f"max_workers must be a number from 1 on, not {max_workers!r}")
    return int(max_workers)


@contextmanager
def _at_work(folder: Path) -> Iterator[Path]:
    """Hold the lock of assemblies, in a folder for archives in the making."""
    workshop = folder / ASSEMBLY
    if workshop.is_symlink():
        raise InvalidInputError(
            f"{workshop} is a symbolic link, and assembly deletes what it finds there; delete it"
        )
    try:
        lock = WriterLock(workshop)
    except LockedError as error:
        raise LockedError(f"{folder} is being assembled: {error}") from None
    try:
        _clear(workshop, lock)  # of what an assembly left that was killed
        yield workshop
    finally:
        try:
            _clear(workshop, lock)
            lock.remove()
        finally:
            lock.release()
        with contextlib.suppress(OSError):  # the next one has begun
            workshop.rmdir()


def _clear(workshop: Path, lock: WriterLock) -> None:
    for left in workshop.iterdir():
        if left != lock.path and (left.is_symlink() or not left.is_dir()):  # folders are not ours
            left.unlink(missing_ok=True)


def _build(
    folder: Path,
    workshop: Path,
    collected: Collected,
    again: set[Source],
    pool: Executor,
    workers: int,
    *,
    verbose: bool,
    verify: bool,
) -> list[NewArchive]:
    """Write the archives that change anew, and return them; nothing is synced yet."""
    names = collected.sources.names
    found = [run.survey.numbers for run in collected.runs]
    found.append(np.array([collected.sources.number(source) for source in again], np.int64))
    changed = np.unique(np.concatenate(found)).tolist()
    runs: list[Run] = []
    archives = OpenArchives()
    for number in changed:
        if names[number] in collected.taken:
            opened = partial(archives.get, archive_path(folder, names[number]))
            runs += archive_runs(opened, number)
    runs += collected.runs
    tally = Tally(runs, len(names))
    new = dict(begun(workshop, names, changed, tally))
    with _progress(int(tally.counts.sum()) * (2 if verify else 1), shown=verbose) as done:
        _write(merged_parts(runs, pool, workshop), new, pool, workers, done)
        listing = Listing(collected)
        for number, archive in new.items():
            archive.finish(listing.of(number))
        if verify:
            _compare(merged_parts(runs, pool, workshop), new, done)
    return list(new.values())


def _put_in_place(folder: Path, new: Iterable[NewArchive]) -> None:
    for archive in new:
        os.replace(archive.file.path, archive_path(folder, archive.source))
    fsync_path(folder)


def _write(
    parts: Iterable[Part],
    new: dict[int, NewArchive],
    pool: Executor,
    workers: int,
    done: Done | None,
) -> None:
    waiting: list[Future[None]] = []
    for part in parts:
        own = list(by_source(part))
        for future in waiting:  # one part is written while the next is put in order: no more memory
            future.result()
        shares = range(min(workers, len(own)))
        waiting = [pool.submit(_add, own[share::workers], new) for share in shares]
        if done is not None:
            done(len(part.times))
    for future in waiting:
        future.result()


def _add(parts: Iterable[tuple[int, Part]], new: dict[int, NewArchive]) -> None:
    for number, part in parts:
        new[number].add(part)


def _compare(parts: Iterable[Part], new: dict[int, NewArchive], done: Done | None) -> None:
    """Put everything in order once more, and compare it with what was written.

    Raises
    ------
    IntegrityError
        If they differ; the archives there were are still in place.
    """
    opened, rows = OpenArchives(), dict.fromkeys(new, 0)
    for part in parts:
        for number, own in by_source(part):
            first = rows[number]
            rows[number] += len(own.times)
            written = opened.get(new[number].file.path)
            if not _same(written, first, own):
                raise IntegrityError(
                    f"the new archive of source {new[number].source!r} is not what was put into "
                    "it; nothing was changed. Check the disk, and assemble again"
                )
        if done is not None:
            done(len(part.times))


def _same(written: Messages, first: int, part: Part) -> bool:
    stop = first + len(part.times)
    written.check(first, stop)
    offsets = written.offsets[first : stop + 1]
    return (
        np.array_equal(written.times[first:stop], part.times)
        and np.array_equal(np.diff(offsets).astype(np.int64), part.lengths)
        and np.array_equal(written.payload[int(offsets[0]) : int(offsets[-1])], part.content())
    )


def _remove(folder: Path, collected: Collected) -> None:
    for path in collected.finished:
        path.unlink(missing_ok=True)
    for entry in collected.entries.paths():
        with contextlib.suppress(FileNotFoundError):
            os.unlink(entry)
    for producer in producer_folders(folder):
        with contextlib.suppress(PermissionError):  # it was told of as it could not be read
            if not producer.is_symlink() and not producer_lives(producer):
                remove_if_empty(producer)
    if not writer_lives(folder / LOGGER):  # left by one that was killed
        shutil.rmtree(folder / LOGGER, ignore_errors=True)
    with contextlib.suppress(PermissionError):  # as above: nobody can tell whether that one lives
        remove_notices(folder)


def _sync_removals(folder: Path) -> None:
    """Let no block come back after a power loss that archives list no more."""
    for producer in producer_folders(folder):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            fsync_path(producer)
    fsync_path(folder)


def _still_there(collected: Collected) -> list[int]:
    """Return the identities of blocks and entries that were not removed."""
    blocks = [block.identity for block in collected.blocks if block.path.exists()]
    entries = collected.entries
    there = (os.path.exists(path) for path in entries.paths())
    identities = zip(entries.identities.tolist(), there, strict=True)
    return blocks + [int(identity) for identity, exists in identities if exists]


@contextmanager
def _progress(total: int, *, shown: bool) -> Iterator[Done | None]:
    if not shown:
        yield None
        return
    from rich.progress import Progress

    with Progress() as progress:
        task = progress.add_task("assembling messages", total=total)
        yield lambda count: progress.advance(task, count)
