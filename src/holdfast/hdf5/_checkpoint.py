"""`Checkpointer`: moves rows from the journal into HDF5; runs on the HDF5 thread only."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast.hdf5._chunks import ChunkShape, Compression
from holdfast.hdf5._commit import finish_commit
from holdfast.hdf5._dataset import check_appendable, kind_of
from holdfast.hdf5._names import Names
from holdfast.hdf5._rows import RowType
from holdfast.hdf5._session import Session, another_made
from holdfast.hdf5._stream import StreamWriter
from holdfast.hdf5._thread import collector_off
from holdfast.journal import Block, JournalWriter


@dataclass(frozen=True, slots=True)
class Stored:
    """A stream, and how it is to be stored."""

    stream: StreamWriter
    compression: Compression
    chunk_shape: ChunkShape


@dataclass(frozen=True, slots=True)
class Existing:
    """A stream that a file holds already.

    Attributes
    ----------
    kind : RowType
        Its rows.
    full : int
        Absolute number of the first row that is not in a full chunk.
    rest : numpy.ndarray
        The rows from there on.
    """

    kind: RowType
    full: int
    rest: npt.NDArray[Any]


class Checkpointer:
    """Brings one append file's rows and attributes into its HDF5 file.

    Parameters
    ----------
    path : Path
        The file.
    journal : JournalWriter
        Its journal.
    names : Names
        What has which name.
    check : callable
        Raises a `StateError` if the journal's folder is not at its path any more; called before
        anything is done by path.

    Attributes
    ----------
    streams : dict
        Streams by name.
    events : list of dict
        Lines of the catalogue that are not in the file yet.
    """

    def __init__(
        self, path: Path, journal: JournalWriter, names: Names, check: Callable[[], None]
    ) -> None:
        self._path, self._journal, self._names = path, journal, names
        self._check = check
        self._shown: dict[str, int] = {}
        self._session: Session | None = None
        self._given_up: int | None = None
        self._known = False  # whether the file is the one we opened or made
        self.streams: dict[str, Stored] = {}
        self.events: list[dict[str, Any]] = []

    def open(self) -> None:
        """Open the file, and take in the names that it holds."""
        self._known = True
        with collector_off():
            self._names.collect(self._open().file)

    def _open(self) -> Session:
        if self._session is None:
            self._check()
            if not self._known and self._path.exists():
                raise another_made(self._path)
            # The session before may have failed in the middle of a commit.
            finish_commit(self._path, self._journal.folder)
            self._session = Session(self._path, self._journal.folder, self._check)
        return self._session

    def adopt(self, name: str) -> Existing | None:
        """Look a stream up in the file; None if it is not there, or only declared.

        Raises
        ------
        FormatError
            If it cannot grow.
        OSError
            If the file cannot be read.
        """
        with collector_off():
            if name in self._names.declared or not self._known:
                return None
            session = self._open()
            if name not in session.file:
                return None
            try:
                existing = _existing(session.file[name])
                self._shown[name] = existing.full + len(existing.rest)
                return existing
            finally:
                if session.overlay.failure is not None:
                    self._throw_away()

    def has_news(self) -> bool:
        """Whether there is anything that the file does not show yet."""
        if self._session is None:
            return bool(self.events or self.streams)
        shown = self._session.datasets
        return bool(self.events) or any(
            name not in shown or stored.stream.length > shown[name].length
            for name, stored in list(self.streams.items())
        )

    def missing(self) -> dict[str, int]:
        """Return how many rows of each stream no commit has brought into the file."""
        counts = {
            name: stored.stream.length - self._shown.get(name, stored.stream.start)
            for name, stored in list(self.streams.items())
        }
        return {name: count for name, count in counts.items() if count > 0}

    def run(self, *, final: bool, give_up: bool) -> None:
        """Bring everything published into the file.

        Parameters
        ----------
        final : bool
            Whether the file is being closed.
        give_up : bool
            Whether to give the journal's space back.

        Raises
        ------
        OSError
            If the disk is full or fails; the next call does it all again.
        StateError
            If the journal's folder was moved or deleted.
        """
        self._check()
        if final and self._session is None and not self.streams and not self.events:
            return
        if give_up and not final and self._given_up is None:
            self._given_up = self._rotate()
        with collector_off():
            try:
                self._write(final=final)
            except BaseException as error:
                failure = self._throw_away()
                if failure is not None:
                    raise failure from error
                raise
        if self._given_up is not None and not final:
            self._carry(self._given_up)
            self._given_up = None

    def _throw_away(self) -> OSError | None:
        """Let go of a session that failed, and return what failed when it read the file.

        Its handle may hold half of a change, or nonsense from a failed read; all that it was to
        write is in the journal, and the next checkpoint begins from the last commit.
        """
        session, self._session = self._session, None
        if session is None:
            return None
        self._known |= session.named  # a commit may have failed after that
        session.close()
        return session.overlay.failure

    def _rotate(self) -> int:
        """Begin a new generation; rows stored from now on go there."""
        generation = self._journal.rotate()
        for stored in list(self.streams.values()):
            stored.stream.turn()
        return generation

    def _write(self, *, final: bool) -> None:
        session = self._open()
        events = list(self.events)
        for event in events:
            if "declare" in event:
                session.apply(event)
        for name, stored in list(self.streams.items()):
            stream = stored.stream
            stop = stream.length
            writer = session.dataset(name, stream.kind, stored.compression, stored.chunk_shape)
            writer.write(stop, stream.read, final=final)
        waiting = []
        for event in events:
            if "set" not in event:
                continue
            if final or not event["set"] or event["set"] in session.file:
                session.apply(event)
            else:
                waiting.append(event)  # a group is made only when no stream takes the name
        session.commit()
        self._known = True
        self._shown.update((name, dataset.length) for name, dataset in session.datasets.items())
        self.events[: len(events)] = waiting

    def _carry(self, generation: int) -> None:
        """Copy rows beyond the last full chunk into the new generation, and unlink the old ones.

        No sync has to come between: rows are in the file, synced, up to those that came since.
        What waits to be set is only in the journal.
        """
        shown = self._open().datasets
        for name, stored in list(self.streams.items()):
            if name in shown:  # else it was begun after the rotation, in the new generation
                stored.stream.carry(shown[name].full, self._add_block)
        events = list(self.events)
        for event in events:
            self._journal.note(event)
        if events:
            self._journal.sync()
        self._check()
        self._journal.discard(generation)

    def _add_block(self, stream: StreamWriter, first: int, rows: int) -> Block:
        return self._journal.add_block(
            stream.id, first, stream.kind.nbytes, rows=rows, carried=True
        )

    def close(self) -> None:
        """Close the file."""
        with collector_off():
            self._throw_away()


def _existing(dataset: Any) -> Existing:
    check_appendable(dataset)
    kind = kind_of(dataset)
    step = dataset.chunks[0]
    full = dataset.shape[0] // step * step
    rest: npt.NDArray[Any] = np.asarray(dataset[full:])
    return Existing(kind, full, rest.view(kind.dtype) if rest.dtype != kind.dtype else rest)
