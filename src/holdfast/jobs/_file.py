"""The files of one tracker, and the protocol between them (design/015-job-tracker.md)."""

import contextlib
import dataclasses
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from holdfast._append import AppendedFile
from holdfast._atomic import make_folder, replacing, temporary_beside
from holdfast._names import nearest
from holdfast._sync import Durability
from holdfast.errors import InvalidInputError, LockedError
from holdfast.jobs import _index
from holdfast.jobs._index import Header, Index
from holdfast.jobs._journal import HEAD_BYTES, Replayed, Stamp, journal_name, line
from holdfast.jobs._pace import Pace, at_once
from holdfast.jobs._reader import Reader, stamp_of
from holdfast.jobs._render import render
from holdfast.jobs._state import JobState, ProcessingStatus, job_id

LOCK_SECONDS = 10.0
_POLL_SECONDS = 0.002
_MANY_LINES = 10_000

_STATUS_OF = {
    "start": ProcessingStatus.RUNNING,
    "succeed": ProcessingStatus.SUCCEEDED,
    "fail": ProcessingStatus.FAILED,
    "reset": ProcessingStatus.SCHEDULED,
}


class TrackerFile:
    """The tracker file, its lock, its journal and its index."""

    def __init__(self, path: Path) -> None:
        path = path.absolute()  # the background and the exit come after any chdir
        self.path = path
        self.lock_path = path.with_name(path.name + ".lock")
        self.journal = path.with_name(path.name + ".journal")
        self.index = path.with_name(path.name + ".index")
        self.read = Reader(path, self.journal).read
        self._read_to_fold = Reader(path, self.journal, warns=False).read  # the other one's changes
        self._folding = threading.Lock()
        self.guard = threading.RLock()
        """Held while what `read` returned is looked at."""

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if not self.path.parent.is_dir():
            make_folder(self.path.parent, Durability())
        lock = FileLock(self.lock_path, timeout=LOCK_SECONDS)
        try:
            lock.acquire(poll_interval=_POLL_SECONDS)
        except Timeout:
            raise LockedError(
                f"{self.lock_path} was held by another process for {LOCK_SECONDS:.0f} seconds; "
                "see who holds it, and try again"
            ) from None
        try:
            yield
        finally:
            lock.release()

    def change(self, identity: str, operation: str, **fields: Any) -> Header:
        """Record a transition of one job.

        Raises
        ------
        InvalidInputError
            If there is no such job.
        LockedError
            If the lock cannot be had in time.
        """
        if not self.path.exists():  # neither the lock nor a folder is made for it
            raise InvalidInputError(
                f"{self.path} does not exist, so it has no job {identity!r}; call "
                "initialize_jobs() first"
            )
        with self._locked(), self._matching() as index:
            header = _known(index)
            offset, status = index.find(identity, header.slots)
            if status is None:
                raise self.unknown(identity)
            new = _STATUS_OF[operation]
            what = {"ids": [identity]} if operation == "reset" else {"id": identity}
            size = self._append(line(op=operation, **what, **fields))
            header = dataclasses.replace(header.moved(status, new), size=size)
            with contextlib.suppress(OSError):  # recorded it is; the next change mends the index
                index.put(offset, identity, new)
                index.put_header(header)
            return header

    def add(self, jobs: Sequence[tuple[str, str]]) -> tuple[list[str], Header]:
        """Add the jobs that are not there, and return the ids of all."""
        ids = [job_id(*job) for job in jobs]
        with self._locked(), self._matching(dict(zip(ids, jobs, strict=True))) as index:
            header = _known(index)
            new: dict[str, tuple[str, str]] = {}
            for identity, job in zip(ids, jobs, strict=True):
                if identity not in new and index.find(identity, header.slots)[1] is None:
                    new[identity] = job
            if new:
                header = self._add(index, header, new)
            return ids, header

    def _add(self, index: Index, header: Header, new: dict[str, tuple[str, str]]) -> Header:
        lines = [line(op="add", id=i, name=job[0], spec=job[1]) for i, job in new.items()]
        size = self._append(b"".join(lines))
        if not _index.has_room(header, len(new)) or len(new) > 1000:
            header = dataclasses.replace(header, size=size)
            with self.guard:
                return _index.build(self.index, self.read().jobs, header)
        for identity in new:
            index.put(index.find(identity, header.slots)[0], identity, 0)
        counts = (header.counts[0] + len(new), *header.counts[1:])
        header = dataclasses.replace(header, size=size, counts=counts)
        index.put_header(header)
        return header

    def choose(
        self, choose: Callable[[Replayed], Sequence[str]]
    ) -> tuple[list[str], Header | None]:
        """Reset the jobs that `choose` names to scheduled, in one step."""
        if not self.path.exists():
            return list(choose(Replayed())), None
        with self.guard, self._locked(), self._matching() as index:
            header = _known(index)
            ids = list(choose(self.read()))
            if not ids:
                return ids, header
            size = self._append(line(op="reset", ids=ids))
            header = dataclasses.replace(header, size=size)
            return ids, _index.build(self.index, self.read().jobs, header)

    def clear(self) -> None:
        """Leave a tracker without jobs."""
        with self._locked():
            self._begin(Replayed())

    def replace(self, state: Replayed) -> None:
        """Begin anew with these jobs."""
        with self._locked():
            self._begin(state)

    def unknown(self, identity: str) -> InvalidInputError:
        """Return the error for a job that is not there."""
        with self.guard:
            hint = nearest(identity, self.read().jobs)
        return InvalidInputError(
            f"{self.path} has no job {identity!r}{hint}; initialize_jobs() adds jobs and returns "
            "their ids"
        )

    @contextmanager
    def _matching(self, first: Mapping[str, tuple[str, str]] | None = None) -> Iterator[Index]:
        """Open the index; first make what a kill or another tool left match again.

        A tracker that is not there yet begins with the jobs of `first`.
        """
        index = self._open_index()
        if index is None and not self.path.exists():
            self._begin(Replayed({i: JobState(*job) for i, job in (first or {}).items()}))
            index = self._open_index()
        if index is None:
            self._mend()
            index = self._open_index()
        if index is None:
            raise LockedError(f"{self.path} is changed by a tool that ignores its lock; stop it")
        with index:
            yield index

    def _open_index(self) -> Index | None:
        try:
            status = os.stat(self.path)
            with open(self.journal, "rb") as file:
                name = journal_name(file.read(HEAD_BYTES))
                size = os.fstat(file.fileno()).st_size
            index = Index(self.index)
        except FileNotFoundError:
            return None
        header = index.header
        if header is None or (header.journal, header.size) != (name, size):
            index.__exit__()
            return None
        if not header.looks_like(status):
            index.__exit__()
            return None
        return index

    def _mend(self) -> None:
        """Make journal, index and tracker file match, whatever state they are in."""
        with self.guard:
            state = self.read()
            if state.stamp is None or state.name is None or not state.jobs:
                self._begin(state)
                return
            status = os.stat(self.path)
            size = self._append(b"")
            header = Header(state.name, size, status.st_size, status.st_mtime_ns, (0,) * 4, 0)
            _index.build(self.index, state.jobs, header)

    def _begin(self, state: Replayed) -> None:
        """Write all files anew. The tracker file first: see the protocol."""
        began = time.time()
        durability = Durability()
        with replacing(self.path, durability) as file:
            file.write(render(state.jobs))
        stamp = stamp_of(self.path)
        self._replace_journal(state.snapshot(stamp), durability)
        self._put_stamp(state, stamp, began)

    def _replace_journal(self, content: bytes, durability: Durability) -> None:
        with replacing(self.journal, durability) as file:
            file.write(content)

    def _put_stamp(self, state: Replayed, stamp: Stamp, began: float) -> None:
        """Build the index of a journal that was just begun with `state`."""
        with open(self.journal, "rb") as file:
            name = journal_name(file.read(HEAD_BYTES)) or ""
            size = os.fstat(file.fileno()).st_size
        now = time.time()
        header = Header(
            name, size, stamp.size, stamp.mtime_ns, (0,) * 4, 0, now, max(0.0, now - began)
        )
        _index.build(self.index, state.jobs, header)

    def _append(self, content: bytes) -> int:
        """Append lines, and return the journal's size afterwards; the background syncs them."""
        file = AppendedFile(self.journal)
        try:
            descriptor = file.open()
            file.append(content)  # nothing, after a torn line, ends that line
            size = os.fstat(descriptor).st_size
        finally:
            file.close()
        return size

    # Folding: bringing the tracker file up to date, with the lock held for moments only.

    def fold(self, pace: Pace = at_once) -> bool:
        """Bring the tracker file up to date; False if another process did so meanwhile.

        Raises
        ------
        LockedError, OSError
            If it cannot be written; nothing is lost by it, and the next fold tries again.
        """
        began = time.time()
        with self._folding:
            return self._fold(began, pace)

    def _fold(self, began: float, pace: Pace) -> bool:
        state = self._read_to_fold(pace)
        if state.name is None or state.folded == state.position:
            return False
        durability = Durability()
        temporary = temporary_beside(self.path)
        try:
            with open(temporary, "xb") as file:
                file.write(render(state.jobs, pace))
                file.flush()
                durability.before_rename(file.fileno(), self.path)
            stamp = stamp_of(temporary)
            compact = state.lines > max(_MANY_LINES, 4 * len(state.jobs))
            snapshot = state.snapshot(stamp, pace) if compact else None
            with self._locked():
                return self._publish(state, temporary, stamp, snapshot, began)
        finally:
            temporary.unlink(missing_ok=True)

    def _publish(
        self, state: Replayed, temporary: Path, stamp: Stamp, snapshot: bytes | None, began: float
    ) -> bool:
        index = self._open_index()
        if index is None:
            return False  # the next transition mends it
        with index:
            header = _known(index)
            with open(self.journal, "rb") as file:
                file.seek(state.position)
                rest = file.read()
            if header.journal != state.name or b'"op":"folded"' in rest:
                return False
            os.replace(temporary, self.path)
            durability = Durability()
            durability.renamed(self.path)
            if snapshot is None:
                mark = line(op="folded", yaml=stamp.to_list(), upto=state.position)
                size, name = self._append(mark), header.journal
                durability.changed(self.journal)
            else:
                self._replace_journal(snapshot + rest, durability)
                size, name = len(snapshot) + len(rest), journal_name(snapshot[:HEAD_BYTES]) or ""
            now = time.time()
            index.put_header(
                dataclasses.replace(
                    header,
                    journal=name,
                    size=size,
                    yaml_size=stamp.size,
                    yaml_mtime_ns=stamp.mtime_ns,
                    folded_at=now,
                    fold_seconds=max(0.0, now - began),
                )
            )
            return True


def _known(index: Index) -> Header:
    if index.header is None:  # not opened by `_open_index`
        raise AssertionError
    return index.header
