"""`Index`: the file ``index.csv`` of an experiment, one row for each run that has ended.

It is derived from the run directories and can be deleted at any time. Writers of several
processes take turns by a lock; a new run that brings no new column is one appended line, anything
else replaces the file whole. A file that ends within a line, or that is not as it was written,
counts as missing.

Readers rely on a row only if `Stamps` has its line together with the files it was read from, as
they are now. So a run that was changed since, a cell that somebody edited, and a writer that was
killed between run and index are all seen.
"""

import os
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from holdfast._append import append_whole
from holdfast._atomic import replace_bytes
from holdfast._sync import Durability
from holdfast.errors import FormatError, LockedError
from holdfast.sweeps._csv import Header, records
from holdfast.sweeps._rows import Reading, RunRow
from holdfast.sweeps._stamps import Stamps, StampsRead

LOCK_TIMEOUT = 60.0
"""Seconds to wait for other writers of the same experiment."""


LOOK_BACK = 4096
"""Bytes before its end by which a writer knows a file again."""


@dataclass(frozen=True, slots=True)
class _Line:
    row: RunRow
    checksum: int


class _Locks:
    """What one process takes turns by: its threads by `mutex`, with other processes by `file`."""

    def __init__(self, path: Path) -> None:
        self.file = FileLock(path, timeout=LOCK_TIMEOUT)
        self.mutex = threading.RLock()


class Index:
    """Reads and writes the index of one experiment, from any thread.

    Parameters
    ----------
    path : Path
        The file ``index.csv``.
    durability : Durability
        When changes reach the disk.
    """

    def __init__(self, path: Path, durability: Durability) -> None:
        self.path = path
        self._durability = durability
        self._stamps = Stamps(path.with_name(".index.stamps"))
        self._locks: dict[int, _Locks] = {}
        self._owner = os.getpid()
        self._forget()

    def _own_locks(self) -> _Locks:
        """Return the locks of this process, by its pid.

        A forked child inherits locks that other threads of its parent may have held at the fork,
        and that nobody would ever release in the child.
        """
        pid = os.getpid()
        found = self._locks.get(pid)
        # Of two threads that look at once, both get what the first has put in.
        return found or self._locks.setdefault(pid, _Locks(self.path.with_name(".index.lock")))

    @contextmanager
    def _alone(self, locks: _Locks) -> Iterator[None]:
        with locks.mutex:
            if self._owner != os.getpid():
                self._owner = os.getpid()
                self._forget()  # a thread of the parent may have been in the middle of a change
            yield

    def _forget(self) -> None:
        self._content = bytearray()
        self._file: tuple[int, int] | None = None
        self._header: Header | None = None
        self._seed = 0
        self._lines: dict[str, _Line] = {}

    def read(self) -> dict[str, Reading]:
        """Return the rows by run id, each with the signature of the files it was read from."""
        with self._alone(self._own_locks()):
            # The stamps first: one that is newer than its line would vouch for an old line.
            stamps = self._stamps.read()
            return self._readings(stamps) if self._refresh() else {}

    def record(self, reading: Reading, rebuild: Callable[[], Iterable[Reading]]) -> None:
        """Write the row of a run, in the place of an older one if there is one.

        Parameters
        ----------
        reading : Reading
            The row.
        rebuild : callable
            Reads all rows from the run directories, in case the file is missing or damaged.

        Raises
        ------
        LockedError
            If other writers keep the lock.
        """
        run_id = reading.row.run_id
        with self._taken():
            known = self._catch_up()
            header = self._header
            if known and header and run_id not in self._lines and header.fits(reading.row):
                self._append(header, reading)
                return
            rows = (
                self._readings(self._stamps.read())
                if known
                else {r.row.run_id: r for r in rebuild()}
            )
            self._replace(rows | {run_id: reading})

    def forget(self, run_id: str) -> None:
        """Remove the row of a run that is about to be made anew."""
        with self._taken():
            if self._catch_up() and run_id in self._lines:
                readings = self._readings(self._stamps.read())
                del readings[run_id]
                self._replace(readings)

    def rebuild(self, read: Callable[[], Iterable[Reading]]) -> None:
        """Replace the whole file by what `read` finds."""
        with self._taken():
            self._replace({reading.row.run_id: reading for reading in read()})

    def _readings(self, stamps: StampsRead) -> dict[str, Reading]:
        return {
            run_id: Reading(line.row, stamps.signature(run_id, line.checksum))
            for run_id, line in self._lines.items()
        }

    def _append(self, header: Header, reading: Reading) -> None:
        content = header.format(reading.row).encode()
        with self.path.open("ab", buffering=0) as file:
            append_whole(file.fileno(), content)
        line = _Line(reading.row, zlib.crc32(content, self._seed))
        self._lines[reading.row.run_id] = line
        self._content += content
        self._durability.changed(self.path)
        self._stamps.append(reading, line.checksum)

    def _replace(self, readings: dict[str, Reading]) -> None:
        header = Header.of(reading.row for reading in readings.values())
        lines = [header.format_header(), *(header.format(r.row) for r in readings.values())]
        content = "".join(lines).encode()
        replace_bytes(self.path, content, self._durability)
        self._forget()
        self._content += content
        self._take(content)
        self._stamps.replace([(r, self._lines[k].checksum) for k, r in readings.items()])

    def _refresh(self) -> bool:
        """Take in what has been written since the last look; False if the file is of no use."""
        try:
            with self.path.open("rb") as file:
                identity, content = _identity(file), file.read()
        except OSError:
            self._forget()
            return False
        if content[: len(self._content)] != self._content:
            self._forget()
        self._file = identity
        return self._add(content[len(self._content) :])

    def _catch_up(self) -> bool:
        """Do as `_refresh` for one who writes, reading little more than what was added.

        An edit further up is not seen. It does no harm: readers tell it by the line's checksum, and
        a file that is replaced gets the rows as they were.
        """
        known = len(self._content)
        start = max(known - LOOK_BACK, 0)
        try:
            with self.path.open("rb") as file:
                same = self._header is not None and _identity(file) == self._file
                file.seek(start)
                content = file.read() if same else b""
        except OSError:
            self._forget()
            return False
        if not same or content[: known - start] != self._content[start:]:
            return self._refresh()
        return self._add(content[known - start :])

    def _add(self, fresh: bytes) -> bool:
        self._content += fresh
        try:
            self._take(fresh)
        except (FormatError, UnicodeDecodeError):
            self._forget()
        return self._header is not None

    def _take(self, content: bytes) -> None:
        for text, cells in records(content.decode()) if content else ():
            if self._header is None:
                self._header = Header.parse(cells)
                if self._header is None:
                    raise FormatError("not the header of an index")
                self._seed = zlib.crc32(text.encode())
                continue
            row = self._header.parse_row(cells)
            if row is None or row.run_id in self._lines:
                raise FormatError("a line that no index has")
            # The header is part of each line's checksum: it says what the cells mean.
            self._lines[row.run_id] = _Line(row, zlib.crc32(text.encode(), self._seed))

    @contextmanager
    def _taken(self) -> Iterator[None]:
        locks = self._own_locks()
        try:
            locks.file.acquire()
        except Timeout:
            raise LockedError(
                f"{locks.file.lock_file} was held by another process for {LOCK_TIMEOUT:.0f} s; "
                "see which process writes this experiment, and try again"
            ) from None
        try:
            with self._alone(locks):
                yield
        finally:
            locks.file.release()


def _identity(file: BinaryIO) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino
