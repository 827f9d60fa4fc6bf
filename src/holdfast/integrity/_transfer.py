"""`transfer_directory`: a folder copied whole, file by file, and checked against what was read.

A killed transfer leaves whole files, and temporary ones that the next transfer removes; calling it
again copies what differs. The source is touched only after everything was verified and brought to
the disk.
"""

import contextlib
import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from holdfast._atomic import temporary_beside
from holdfast._names import TEMPORARY_PREFIX
from holdfast._sync import Durability, drain, fsync_path
from holdfast.errors import FormatError, IntegrityError, InvalidInputError
from holdfast.integrity._copy import copy_file, copy_link, same
from holdfast.integrity._crew import each, thread_count
from holdfast.integrity._delete import left_behind, remove_tree
from holdfast.integrity._hash import descriptor_digest, file_digest, is_small, open_to_read
from holdfast.integrity._tree import Entry, entries, require_folder

Existing = Literal["resume", "merge", "reset"]

_SHOWN = 5

_AHEAD, _OPEN_AT_MOST = 16, 256
"""How many files a thread asks the disk for at once, and how many all threads."""
_R = TypeVar("_R")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class TransferReport:
    """What a transfer did: files copied, files that were there already, bytes copied, verified."""

    copied: int
    skipped: int
    bytes_copied: int
    verified: bool


def transfer_directory(
    source: Path,
    destination: Path,
    num_threads: int = 1,
    *,
    verify_integrity: bool = False,
    remove_source: bool = False,
    progress: bool = False,
    existing: Existing = "resume",
) -> TransferReport:
    """Copy what a folder holds to another, whose folders are made as needed.

    Files keep times, permissions and extended attributes, holes stay holes, symlinks stay symlinks
    and are never followed; hard links become files of their own. A file at the destination is
    whole or not there. If the transfer was stopped, call it again: what has the same size and time
    is not copied again (with `verify_integrity`: what has the same bytes).

    Parameters
    ----------
    source, destination : Path
        The folders; neither lies in the other.
    num_threads : int
        How many files are copied at once; less than 1 stands for every processor.
    verify_integrity : bool
        Hash every file while it is read, bring the copies to the disk, read them back and compare.
    remove_source : bool
        Delete `source` afterwards; implies `verify_integrity`.
    progress : bool
        Show a progress bar.
    existing : {"resume", "merge", "reset"}
        What to do with things at the destination that the source lacks. ``resume``: leave them;
        they make a verification fail. ``merge``: leave them. ``reset``: delete them.

    Returns
    -------
    TransferReport
        What was done.

    Raises
    ------
    MissingFileError
        If `source` does not exist.
    InvalidInputError
        If one folder lies in the other, or a file stands where a folder is wanted.
    FormatError
        If `source` holds a pipe, socket or device.
    IntegrityError
        If verification fails; `source` is untouched, and copies that differ are removed.
    OSError
        If a file cannot be read or written, or the disk is full. The source is whole; the transfer
        can be resumed.
    """
    if existing not in ("resume", "merge", "reset"):
        raise InvalidInputError(f"existing must be 'resume', 'merge' or 'reset', not {existing!r}")
    source = require_folder(source, "the source")
    transfer = _Transfer(source, Path(destination), num_threads, existing, progress=progress)
    return transfer.run(verify=verify_integrity or remove_source, remove=remove_source)


class _Transfer:
    def __init__(
        self, source: Path, destination: Path, threads: int, existing: Existing, *, progress: bool
    ) -> None:
        _check_places(source, destination)
        self.source, self.destination = source, destination
        self.threads, self.progress, self.existing = thread_count(threads), progress, existing
        self._there = os.fspath(destination)
        self._temporary = temporary_beside(destination).name
        self.entries = list(entries(source))
        for entry in self.entries:
            if entry.kind == "other":
                raise FormatError(
                    f"{entry.path} is a pipe, socket or device, which has no content to copy; "
                    "remove it first"
                )
        self.files = [e for e in self.entries if e.kind in ("file", "link")]
        self.folders = [e for e in self.entries if e.kind == "folder"]

    def run(self, *, verify: bool, remove: bool) -> TransferReport:
        self._prepare()
        results = self._each(lambda e: self._transfer(e, verify=verify), self.files, "copy")
        if verify:
            self._to_disk()
            read = {e.relative: r[1] for e, r in zip(self.files, results, strict=True) if r[1]}
            self._verify(read)
        self._finish_folders()
        if remove:
            self._unchanged()
            self._to_disk()
            problems = remove_tree(self.source)
            if problems:
                raise left_behind(self.source, problems)
        copied = [e for e, (done, _) in zip(self.files, results, strict=True) if done]
        size = sum(e.status.st_size for e in copied)
        return TransferReport(len(copied), len(self.files) - len(copied), size, verify)

    def _target(self, entry: Entry) -> str:
        return f"{self._there}/{entry.relative}"

    def _unused(self, target: str) -> str:
        """Return a name in the same folder that no other thread uses, nor any other transfer."""
        return f"{os.path.dirname(target)}/{self._temporary}-{threading.get_ident()}"

    def _prepare(self) -> None:
        """Make folders, and clear away what stands in the way."""
        self.destination.mkdir(parents=True, exist_ok=True)
        wanted = {entry.relative: entry for entry in self.entries}
        present = list(entries(self.destination))
        self._present = {entry.relative for entry in present}
        for found in present:
            name = found.relative.rpartition("/")[2]
            is_rest = name.startswith(TEMPORARY_PREFIX) and found.relative not in wanted
            if is_rest or (self.existing == "reset" and _differs(found, wanted)):
                _remove(found)
        for entry in self.folders:
            target = self._target(entry)
            if os.path.islink(target) or (os.path.exists(target) and not os.path.isdir(target)):
                raise InvalidInputError(
                    f"{target} is no folder, but {entry.path} is; remove it, or pass "
                    "existing='reset'"
                )
            with contextlib.suppress(FileExistsError):
                os.mkdir(target)
            mode = stat.S_IMODE(os.stat(target).st_mode)
            if mode & 0o700 != 0o700:  # a finished copy of a folder that is read-only
                os.chmod(target, mode | 0o700)

    def _transfer(self, entry: Entry, *, verify: bool) -> tuple[bool, bytes | None]:
        target = self._target(entry)
        there = _status(target) if entry.relative in self._present else None
        if there is not None and stat.S_ISDIR(there.st_mode):
            raise InvalidInputError(
                f"{target} is a folder, but {entry.path} is not; remove it, or pass "
                "existing='reset'"
            )
        if entry.kind == "link":
            is_link = there is not None and stat.S_ISLNK(there.st_mode)
            if is_link and os.readlink(target) == os.readlink(entry.path):
                return False, None
            copy_link(entry, target, self._unused(target))
            return True, None
        if there is not None and stat.S_ISREG(there.st_mode) and same(entry.status, there):
            if not verify:
                return False, None
            digest = file_digest(entry.relative, entry.path)
            if file_digest(entry.relative, target) == digest:
                return False, digest
        return True, copy_file(entry, target, self._unused(target), digest=verify)

    def _to_disk(self) -> None:
        """Bring the copies to the disk; the background syncs whole file systems where many."""
        durability = Durability()
        for entry in (*self.files, *self.folders):
            if entry.kind != "link":
                durability.changed(Path(self._target(entry)))
        durability.changed(self.destination)
        drain()
        durability.raise_failure()
        if os.name != "nt":
            fsync_path(self.destination)

    def _verify(self, read: dict[str, bytes]) -> None:
        files = [entry for entry in self.files if entry.kind == "file"]
        size = max(1, min(_AHEAD, _OPEN_AT_MOST // self.threads))
        batches = [files[n : n + size] for n in range(0, len(files), size)]
        found = self._each(lambda batch: self._differing(batch, read), batches, "verify")
        bad = [path for paths in found for path in paths]
        for path in bad:  # otherwise, of the right size and time, they would be taken for copies
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        if bad:
            raise IntegrityError(
                f"{_listed(bad)} differ from what was read from {self.source}, and were removed; "
                "the source is whole: check the destination's disk, and transfer again"
            )
        if self.existing == "resume":
            self._no_extra()

    def _differing(self, batch: list[Entry], read: dict[str, bytes]) -> list[str]:
        """Return the copies that are not what was read; the disk is asked for all of them first."""
        differing = []
        opened: dict[int, Entry] = {}
        try:
            for entry in batch:
                try:
                    descriptor = open_to_read(self._target(entry))
                except FileNotFoundError:
                    differing.append(self._target(entry))
                    continue
                opened[descriptor] = entry
                _fetch(descriptor, ahead=is_small(entry.status))
            for descriptor, entry in opened.items():
                if descriptor_digest(entry.relative, descriptor) != read[entry.relative]:
                    differing.append(self._target(entry))
        finally:
            for descriptor in opened:
                os.close(descriptor)
        return differing

    def _no_extra(self) -> None:
        wanted = {entry.relative for entry in self.entries}
        found = (e for e in entries(self.destination) if e.kind != "folder")
        extra = [e.path for e in found if e.relative not in wanted]
        if extra:
            raise IntegrityError(
                f"{_listed(extra)} lie at the destination but not in {self.source}; everything "
                "was copied and verified, but the folders are not the same: pass "
                "existing='merge' to keep them or existing='reset' to delete them"
            )

    def _unchanged(self) -> None:
        """Refuse to remove a source that is no longer what was copied."""
        before = {e.relative: e for e in self.entries if e.kind != "folder"}
        now = {e.relative: e for e in entries(self.source) if e.kind != "folder"}
        changed = [
            self.source / name
            for name in before.keys() | now.keys()
            if name not in before
            or name not in now
            or not same(before[name].status, now[name].status)
        ]
        if changed:
            raise IntegrityError(
                f"{_listed(sorted(changed))} changed while {self.source} was transferred, so it "
                "was not removed; stop the writer and transfer again"
            )

    def _finish_folders(self) -> None:
        for entry in reversed(self.folders):  # what a folder holds changes its time
            shutil.copystat(entry.path, self._target(entry))
        shutil.copystat(self.source, self.destination)

    def _each(self, work: Callable[[_T], _R], items: list[_T], what: str) -> list[_R]:
        return each(work, items, self.threads, what, shown=self.progress)


def _check_places(source: Path, destination: Path) -> None:
    here, there = Path(os.path.realpath(source)), Path(os.path.realpath(destination))
    if there.is_relative_to(here) or here.is_relative_to(there):
        raise InvalidInputError(
            f"{destination} and {source} lie in one another; choose a destination outside"
        )
    if destination.exists() and not destination.is_dir():
        raise InvalidInputError(f"the destination {destination} is a file; choose a folder")


def _fetch(descriptor: int, *, ahead: bool) -> None:
    """Let a file be read from the disk, not from memory, and begin with it if told to."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        if ahead:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_WILLNEED)


def _status(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def _differs(found: Entry, wanted: Mapping[str, Entry]) -> bool:
    other = wanted.get(found.relative)
    return other is None or (other.kind != found.kind and "folder" in (other.kind, found.kind))


def _remove(found: Entry) -> None:
    if found.kind != "folder":
        with contextlib.suppress(FileNotFoundError):
            os.unlink(found.path)
    elif os.path.isdir(found.path):  # not removed with a folder above it
        problems = remove_tree(Path(found.path))
        if problems:
            raise left_behind(Path(found.path), problems)


def _listed(paths: Iterable[str | Path]) -> str:
    names = [str(path) for path in paths]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
