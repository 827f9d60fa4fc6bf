"""How a run directory comes to be: new, over an old one, or as another attempt.

A run directory appears by one rename with its metadata, parameters and log inside, so no reader
ever meets half of one. Another attempt keeps the directory and sets the files of the old attempt
aside in ``attempts/<n>/``; see ``design/001-run-directory.md`` for the order of steps and what a
kill leaves.
"""

import contextlib
import errno
import itertools
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from holdfast._atomic import creating_folder, make_folder, replace_bytes, temporary_beside
from holdfast._names import TEMPORARY_PREFIX
from holdfast._process import this_process
from holdfast._sync import Durability, fsync_path
from holdfast.errors import AlreadyExistsError, FormatError, LockedError, StateError
from holdfast.run._layout import ATTEMPTS, METADATA, run_id_of
from holdfast.run._metadata import read_metadata, state_of, writer_of

LOCK = ".runs.lock"
"""The lock file beside runs; it is left in place, since removing one lets two processes in."""

LOCK_TIMEOUT = 10.0
"""Seconds to wait for another process that replaces or retries runs of the same folder."""


def create_run(path: Path, files: Mapping[str, bytes], durability: Durability) -> None:
    """Make a run directory that holds `files`.

    Raises
    ------
    AlreadyExistsError
        If there is something at `path`.
    """
    _remove_if_empty(path)
    try:
        with creating_folder(path, durability) as folder:
            for name, content in files.items():
                (folder / name).write_bytes(content)
    except AlreadyExistsError:
        raise AlreadyExistsError(
            f"run directory {path} exists already; choose another run id, or pass overwrite=True "
            "to replace it or retry=True to keep it as an earlier attempt"
        ) from None
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        raise OSError(
            error.errno,
            f"cannot write run {run_id_of(path)} in {path.parent}: {str(error.strerror).lower()}; "
            "choose another base_dir",
        ) from None


def replace_run(path: Path, files: Mapping[str, bytes], durability: Durability) -> None:
    """Make a run directory in the place of an older one, which is deleted.

    If the new one cannot be made, the older one stays. A kill between the two leaves neither.

    Raises
    ------
    LockedError
        If another living process writes the older one.
    StateError
        If what is at `path` is no run.
    """
    _remove_if_empty(path)
    if path.is_symlink() or (path.exists() and not (path / METADATA).exists()):
        raise StateError(
            f"{path} exists and is no run directory (it has no {METADATA}); it is left as it is: "
            "move it away or choose another run id"
        )
    if not path.exists():
        create_run(path, files, durability)
        return
    _refuse_running(path)
    with alone(path):
        _refuse_running(path)  # whoever was faster may have begun a run here meanwhile
        old = temporary_beside(path)
        with contextlib.suppress(FileNotFoundError):  # one who replaced it was killed
            os.rename(path, old)
        try:
            create_run(path, files, durability)
        except AlreadyExistsError:  # somebody was faster, and theirs replaces the older one
            shutil.rmtree(old, ignore_errors=True)
            raise
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.rename(old, path)
            raise
    shutil.rmtree(old, ignore_errors=True)


def _remove_if_empty(path: Path) -> None:
    if path.is_dir():
        with contextlib.suppress(OSError):
            path.rmdir()  # a folder with anything in it refuses


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Keep other processes from replacing or retrying runs of the same folder.

    The lock lies beside the runs: one within a run would be moved away with it.
    """
    lock = FileLock(path.parent / LOCK, timeout=LOCK_TIMEOUT)
    try:
        lock.acquire()
    except Timeout:
        raise LockedError(
            f"runs in {path.parent} are being replaced or retried by another process, which does "
            "not end; wait for it, or end it"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _refuse_running(path: Path) -> None:
    try:
        meta = read_metadata(path)
        state = state_of(path, meta)  # which looks again, and another process may replace it then
    except (FormatError, FileNotFoundError):
        return
    if state != "running":
        return
    writer = writer_of(meta)
    if writer is None or writer != this_process():
        who = f"process {writer.pid} on {writer.host}" if writer else "another process"
        raise LockedError(
            f"run {path} is being written by {who}; wait until it has ended, or choose another "
            "run id"
        )


def retry_run(
    path: Path,
    files: Callable[[int], Mapping[str, bytes]],
    durability: Durability,
    let_go: Callable[[], None],
) -> int:
    """Make a run anew in its directory, with the files of the old attempt in ``attempts/<n>/``.

    Parameters
    ----------
    path : Path
        The run directory.
    files : callable
        Given the number of the new attempt, returns what it begins with.
    durability : Durability
        When the changes reach the disk.
    let_go : callable
        Ends what this process still holds of the old attempt; called before its files are moved.

    Returns
    -------
    int
        The number of the new attempt, counted from 1.

    Raises
    ------
    StateError
        If the old attempt is complete or still running.
    LockedError
        If another process does the same and does not end.
    """
    expected = _ended_attempt(path)
    fresh = files(expected + 1)
    with alone(path):
        number = _ended_attempt(path)
        if number != expected:
            fresh = files(number + 1)
        let_go()  # its late rows and beats belong to the old attempt's files
        _set_aside(path, path / ATTEMPTS / str(number), fresh, durability)
        for name, content in fresh.items():
            if name != METADATA:
                replace_bytes(path / name, content, durability)
        replace_bytes(path / METADATA, fresh[METADATA], durability)
        return number + 1


def _ended_attempt(path: Path) -> int:
    """Return the number of the attempt that may be set aside."""
    try:
        meta = read_metadata(path)
        state = state_of(path, meta)
    except FileNotFoundError:
        raise LockedError(
            f"run {path} is being replaced by another process; wait until it has ended"
        ) from None
    if state not in ("failed", "interrupted"):
        raise StateError(f"run {path} is {state}; only a failed or interrupted run is retried")
    return attempt_number(meta)


def _set_aside(path: Path, aside: Path, fresh: Collection[str], durability: Durability) -> None:
    """Move everything of an attempt except its metadata, which are copied last.

    Until new metadata replace them the run still says what it was, so a kill at any step is mended
    by the next retry, which goes on with the same number. Once the copy is there all else has been
    moved, and files named as in `fresh` are the beginning of an attempt that never began.
    """
    make_folder(aside, durability)
    moved_before = (aside / METADATA).exists()
    for leftover in itertools.chain(*(p.glob(f"{TEMPORARY_PREFIX}*") for p in (path, aside))):
        leftover.unlink()  # of a killed process; nothing in it was ever accepted
    for entry in sorted(path.iterdir()):
        if entry.name in (ATTEMPTS, METADATA):
            continue
        if moved_before and entry.name in fresh:
            entry.unlink()
        else:
            target = _unused(aside / entry.name)
            os.rename(entry, target)
            durability.renamed(target)
    replace_bytes(aside / METADATA, (path / METADATA).read_bytes(), durability)
    # The metadata that are replaced next must not be the last that a power loss would leave.
    fsync_path(aside / METADATA)


def _unused(path: Path) -> Path:
    """Return `path`, with a number where a thing of this name was made again after a kill."""
    numbered = (path.with_name(f"{path.name}.{n}") for n in itertools.count(1))
    return next(p for p in itertools.chain([path], numbered) if not os.path.lexists(p))


def attempt_number(meta: Mapping[str, Any]) -> int:
    """Return which attempt a run's metadata describe, counted from 1."""
    attempt = meta.get("attempt", 1)
    return attempt if isinstance(attempt, int) else 1
