"""`AppendReader`: an append file as one sees it now, its HDF5 file and its journal together."""

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast._names import listing, nearest
from holdfast.errors import (
    FormatError,
    IntegrityError,
    LockedError,
    MissingFileError,
    NotFoundError,
)
from holdfast.hdf5._attributes import RESERVED, attribute_value
from holdfast.hdf5._commit import FileState, file_state
from holdfast.hdf5._main_file import DatasetIndex, MainIndex, read_main
from holdfast.hdf5._rows import RowType
from holdfast.hdf5._tiles import Box
from holdfast.journal import (
    Journal,
    generation_number,
    is_empty,
    journal_folder,
    read_journal,
    writer_lives,
)

PATIENCE = 30.0
"""Seconds to try for a moment at which no commit is being applied."""


READ_AT_ONCE = 8 << 20
"""Bytes of whole rows that are read at once where only some items of them are wanted."""


class AppendReader:
    """Reads an append file, live or not, without a lock and without writing.

    Parameters
    ----------
    path : path
        The HDF5 file; while its writer has not made a checkpoint yet, its journal alone is enough.

    Raises
    ------
    MissingFileError
        If there is neither the file nor a journal of it.
    FormatError
        If the file is not HDF5, or damaged.

    Notes
    -----
    `refresh` takes a new snapshot; the others answer from the last one.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._folder = Path(journal_folder(str(self.path)))
        self._main = MainIndex(self.path)
        self._journal: Journal | None = None
        self._state: FileState | None = None
        self._ids: dict[str, int] = {}
        self._abandoned = False
        self.refresh()
        if not self._found:
            raise MissingFileError(f"there is no file {self.path}, nor a journal of it")

    # Snapshots

    def refresh(self) -> None:
        """Take a snapshot of what is there now.

        Raises
        ------
        IntegrityError
            If rows between the file and its journal are missing.
        LockedError
            If a writer has been applying commits the whole time; try again.
        FormatError
            If the file is damaged.
        """
        if self._refresh_journal_alone():
            return
        deadline = time.monotonic() + PATIENCE
        while True:
            if self._try_snapshot():
                return
            if time.monotonic() > deadline:
                raise LockedError(
                    f"{self.path} was between two states for {PATIENCE:.0f} s; try again later"
                )
            time.sleep(0.001)

    def _refresh_journal_alone(self) -> bool:
        """Take in new rows where the generations known are all still there.

        Then rows that are not in the journal are where the last look at the file found them.
        """
        known = self._journal
        if self._state is None:
            return False
        if known is None:
            return self._state == self._look() and not self._folder.exists()
        if self._abandoned:
            return False
        journal = self._read_journal()
        if journal is None or not known.nonces <= journal.nonces:
            return False
        self._take(self._main, journal)
        return True

    def _look(self) -> FileState:
        return file_state(self.path, self._folder)

    def _read_journal(self) -> Journal | None:
        """Read the journal; None if generations came or went meanwhile.

        A listing of a folder may leave out a file that comes while another goes.
        """
        before = _generations(self._folder)
        journal = read_journal(self._folder)
        return journal if before == _generations(self._folder) else None

    def _try_snapshot(self) -> bool:
        abandoned = not writer_lives(self._folder)
        journal, state = self._read_journal(), self._look()
        if journal is None and self._folder.exists():
            return False
        try:
            main = read_main(self.path, redo=self._folder if state.needs_redo else None)
        except FormatError:
            if self._look() == state:
                raise
            return False
        if self._look() != state or (journal is None and self._folder.exists()):
            return False
        gaps = _gaps(main, journal)
        if gaps and not abandoned:
            return False
        if gaps and journal is not None and not journal.after_reboot:
            raise IntegrityError(
                f"{self.path}: rows of {listing(gaps.values())} are neither in the file nor in its "
                "journal; restore the file from a copy"
            )
        for identity in gaps:  # no sync had reached these rows, nor others before them
            del journal.segments[identity]  # type: ignore[union-attr]  # no journal, no gaps
        self._abandoned = abandoned
        self._take(main, journal)
        self._state = state
        return True

    def _take(self, main: MainIndex, journal: Journal | None) -> None:
        self._main, self._journal = main, journal
        streams = journal.streams if journal is not None else {}
        self._ids = {definition["name"]: identity for identity, definition in streams.items()}

    @property
    def _found(self) -> bool:
        if self._main.file is not None or (self._journal and self._journal.generations):
            return True
        return not is_empty(self._folder)

    # Answers

    @property
    def live(self) -> bool:
        """Whether a writer has the file open now."""
        return writer_lives(self._folder)

    @property
    def names(self) -> list[str]:
        """Names of all streams and datasets, sorted."""
        return sorted({*self._ids, *self._main.datasets})

    @property
    def problems(self) -> list[str]:
        """Damage in the journal that was left out."""
        return self._journal.problems if self._journal is not None else []

    def kind(self, name: str) -> RowType:
        """Return the type of a stream's rows.

        Raises
        ------
        NotFoundError
            If there is no such stream.
        """
        if self._journal is not None and name in self._ids:
            return RowType.parse(self._journal.streams[self._ids[name]])
        return self._require(name).kind

    def length(self, name: str) -> int:
        """Return how many rows a stream has.

        Raises
        ------
        NotFoundError
            If there is no such stream.
        """
        first, stop = self._journalled(name)
        index = self._main.datasets.get(name)
        if index is None or (stop > first and not self._abandoned):
            return stop  # the file may have been read later than the journal
        return max(stop, index.length)

    def read(self, name: str, start: int, stop: int) -> npt.NDArray[Any]:
        """Read rows by absolute numbers, ``0 <= start <= stop <= length(name)``.

        Raises
        ------
        NotFoundError
            If there is no such stream.
        FormatError
            If the file is damaged.
        LockedError
            If a writer has been applying commits the whole time; try again.
        """
        kind = self.kind(name)
        first, end = self._journalled(name)
        if first == end:
            first = end = stop
        parts = []
        if start < min(first, stop):
            parts.append(self._from_file(name, kind, start, min(first, stop)))
        if max(start, first) < min(end, stop):
            parts.append(self._from_journal(name, kind, max(start, first), min(end, stop)))
        if max(start, end) < stop:
            parts.append(self._from_file(name, kind, max(start, end), stop))
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts) if parts else np.empty((0, *kind.shape), kind.dtype)

    def read_box(self, name: str, start: int, stop: int, box: Box) -> npt.NDArray[Any]:
        """Read a box of the items of each row: the first and the one behind the last on each axis.

        Of rows that are in the file, only chunks that hold some of them are read, and of those that
        are there as they are, nothing else where the items lie one behind the other.

        Raises
        ------
        NotFoundError, FormatError, LockedError
            As `read`.
        """
        kind = self.kind(name)
        out = np.empty((stop - start, *(high - low for low, high in box)), kind.dtype)
        index = self._main.datasets.get(name)
        row = start
        if index is not None and index.settled > start and kind.dtype == index.kind.dtype:
            settled = min(index.settled, stop)
            if self._main.read_box(name, start, out[: settled - start], box):
                row = settled
        several = max(READ_AT_ONCE // max(kind.nbytes, 1), 1)
        within = tuple(slice(low, high) for low, high in box)
        while row < stop:
            end = min(row + several, stop)
            out[row - start : end - start] = self.read(name, row, end)[(slice(None), *within)]
            row = end
        return out

    def _from_file(self, name: str, kind: RowType, start: int, stop: int) -> npt.NDArray[Any]:
        """Read rows from the file; those that are not in full chunks only if nothing has changed.

        A writer may have moved them since the snapshot. They have the same numbers wherever they
        are now, so a snapshot of this moment gives them.
        """
        try:
            rows = self._main.read(name, start, stop)
        except FormatError:
            if self._look() == self._state:
                raise
        else:
            if stop <= self._main.datasets[name].settled or self._look() == self._state:
                return rows.view(kind.dtype) if rows.dtype != kind.dtype else rows
        return AppendReader(self.path).read(name, start, stop)

    def _from_journal(self, name: str, kind: RowType, start: int, stop: int) -> npt.NDArray[Any]:
        if self._journal is None:
            raise AssertionError
        content = bytearray(self._journal.read(self._ids[name], start, stop))
        if not kind.nbytes:
            return np.empty((stop - start, *kind.shape), kind.dtype)
        return np.frombuffer(content, kind.dtype).reshape(stop - start, *kind.shape)

    def attributes(self, name: str = "") -> dict[str, Any]:
        """Return the attributes of a stream or group; ``""`` is the file itself."""
        index = self._main
        dataset = index.datasets.get(name)
        found = dict(dataset.attributes if dataset else index.attributes.get(name, {}))
        for event in self._journal.events if self._journal is not None else ():
            if event.get("set") == name:
                found[event["key"]] = attribute_value(event)
        return {key: value for key, value in found.items() if not key.startswith(RESERVED)}

    def _journalled(self, name: str) -> tuple[int, int]:
        if self._journal is None or name not in self._ids:
            if name not in self._main.datasets:
                self._require(name)
            return 0, 0
        return self._journal.rows(self._ids[name])

    def _require(self, name: str) -> DatasetIndex:
        found: DatasetIndex | None = self._main.datasets.get(name)
        if found is None:
            raise NotFoundError(
                f"{self.path} has no stream {name!r}; it holds {listing(self.names)}"
                f"{nearest(name, self.names)}"
            )
        return found


def _gaps(main: MainIndex, journal: Journal | None) -> dict[int, str]:
    """Return the streams of a journal that begin behind the end of the file's rows."""
    gaps: dict[int, str] = {}
    for identity, definition in journal.streams.items() if journal is not None else ():
        first, stop = journal.rows(identity) if journal is not None else (0, 0)
        index = main.datasets.get(definition["name"])
        if stop > first > (index.length if index else 0):
            gaps[identity] = definition["name"]
    return gaps


def _generations(folder: Path) -> set[int]:
    try:
        numbers = {generation_number(name) for name in os.listdir(folder)}
    except (FileNotFoundError, NotADirectoryError):
        return set()
    return {number for number in numbers if number is not None}
