"""What a run holds beside its result: data, records, and what its task printed."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from holdfast._sync import Durability
from holdfast.errors import StateError
from holdfast.records import Record, Records, record_file
from holdfast.run import LogReader
from holdfast.store._data import encoded, place_of, read_data, waiting_data, write_data
from holdfast.store._output import OUTPUT
from holdfast.store._pending import RECORDS, Pending, WaitingWriter

_NOTHING: Any = object()


class Beside(ABC):
    """Data and records of a run, given where it is; before its launch they wait for it."""

    def __init__(self) -> None:
        self._pending = Pending()
        self._durability = Durability()

    @property
    @abstractmethod
    def directory(self) -> Path:
        """The run directory, or where it would be."""

    @property
    @abstractmethod
    def reader(self) -> LogReader:
        """A reader of the run directory."""

    @abstractmethod
    def _there(self) -> Path | None:
        """Return the run directory, None if it is not there."""

    def save_data(self, name: str, value: Any) -> None:
        """Save data under a name whose ending says how; before the launch they wait for it.

        Parameters
        ----------
        name : str
            ``.npy`` and ``.npz`` go into ``data/``; ``.json``, ``.jsonl``, ``.csv``, ``.yaml``,
            ``.txt``, ``.p``, ``.pkl`` and every other ending, which takes text or bytes, into
            ``artifacts/``.
        value : Any
            The value; one of the same name is replaced.

        Raises
        ------
        InvalidInputError
            If the name leads out of the run, or the value has no form under this ending.
        OSError
            If the disk is full; data of this name are then as before.
        """
        place_of(name)
        content = encoded(name, value)
        there = self._there()
        if there is None:
            self._pending.data[name] = content
        else:
            write_data(there, name, content, self._durability)

    def load_data(self, name: str, default: Any = _NOTHING, *, trust: bool = False) -> Any:
        """Return data that `save_data`, or the task, saved; also those that wait for the launch.

        Parameters
        ----------
        name : str
            The name with its ending.
        default : Any
            Returned if there are no such data; damaged ones are an error in any case.
        trust : bool
            Has to be True for pickles, which run code that the file chooses.

        Raises
        ------
        MissingFileError
            If there are none of this name, and no default is given.
        FormatError
            If they are damaged.
        StateError
            If the run is not there yet, and no default is given.
        """
        waiting = self._pending.data.get(name)
        if waiting is not None:
            return waiting_data(name, waiting, trust=trust)
        try:
            return read_data(self.reader, name, trust=trust)
        except (FileNotFoundError, StateError):
            if default is _NOTHING:
                raise
            return default

    def record(self, scope: str = "default", /) -> Record:
        """Return a new row of a table: fill it, ``save()`` it, and it is empty for the next.

        Rows saved before the launch wait for it.

        Parameters
        ----------
        scope : str
            Name of the table, ``records/<scope>.jsonl``.
        """
        return Record(WaitingWriter(scope, self._there, self._pending, self._durability))

    def records(self, scope: str = "default") -> Records:
        """Return a table of the run, which follows its writer while it is live.

        It is empty before the launch.

        Raises
        ------
        MissingFileError
            If the run is there and has no such table.
        """
        there = self._there()
        if there is None:
            return Records(self.directory / RECORDS / record_file(scope), missing_ok=True)
        return LogReader(there).records(scope)

    def output(self) -> str | None:
        """Return what the task has printed so far; None if nothing."""
        there = self._there()
        path = there / "artifacts" / OUTPUT if there else None
        if path is None or not path.is_file():
            return None
        return path.read_bytes().decode("utf-8", "replace")

    def write_pending(self, path: Path) -> None:
        """Write what was saved before the launch; a step of it."""
        self._pending.write(path, self._durability)

    def launched(self) -> None:
        """Take notice that another process has launched the run, with what was saved before."""
        self._pending = Pending()
