"""What a run keeps row by row: streams in ``data/streams.h5``, records in ``records/``."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from holdfast._atomic import make_folder
from holdfast._names import inside
from holdfast._sync import Durability
from holdfast.errors import StateError
from holdfast.records import Record, RecordWriter, record_file
from holdfast.run._layout import DATA, RECORDS, STREAMS
from holdfast.run._messages import MessagePutting
from holdfast.run._trajectories import open_trajectory

if TYPE_CHECKING:
    from holdfast.acquisition import DataLogger
    from holdfast.fields import FileStorage
    from holdfast.streams import Streams


class Rows:
    """The open streams and records of a run, made by their first rows.

    Parameters
    ----------
    path : Path
        The run directory.
    durability : Durability
        When rows reach the disk.

    Attributes
    ----------
    appenders : dict
        What appends to each stream that has begun.
    stream_options : dict
        Keywords for the run's `Streams`.
    """

    def __init__(self, path: Path, durability: Durability) -> None:
        self._path, self._durability = path, durability
        self.stream_options: dict[str, Any] = {}
        self._lock = threading.RLock()
        self._streams: Streams | None = None
        self._records: dict[str, RecordWriter] = {}
        self._messages = MessagePutting(path)
        self._trajectories: dict[str, FileStorage] = {}
        self._ended = False
        self.appenders: dict[str, Callable[[Any], None]] = {}

    def streams(self) -> "Streams":
        """Return the run's streams, opened by the first call.

        Raises
        ------
        StateError
            If the run has ended.
        """
        with self._lock:
            self._refuse_after_end()
            if self._streams is None:
                from holdfast.streams import Streams  # loads h5py

                path = inside(self._path, f"{DATA}/{STREAMS}")
                make_folder(path.parent, self._durability)
                self._streams = Streams(path, sync=self._durability.mode, **self.stream_options)
                self.appenders = self._streams.appenders
            return self._streams

    def records(self, scope: str) -> RecordWriter:
        """Return the writer of a table of records, opened by the first call.

        Raises
        ------
        StateError
            If the run has ended.
        """
        with self._lock:
            self._refuse_after_end()
            if scope not in self._records:
                path = inside(self._path, f"{RECORDS}/{record_file(scope)}")
                self._records[scope] = RecordWriter(path, self._durability, self._refuse_after_end)
            return self._records[scope]

    def trajectory(self, name: str, options: dict[str, Any]) -> "FileStorage":
        """Return the storage of a trajectory, opened by the first call or by one with options.

        Raises
        ------
        StateError
            If the run has ended.
        """
        with self._lock:
            self._refuse_after_end()
            known = self._trajectories.get(name)
            if known is None or options:
                if known is not None:
                    known.close()
                found = open_trajectory(self._path, name, self._durability, options)
                self._trajectories[name] = found
            return self._trajectories[name]

    def messages(self) -> "DataLogger":
        """Return the run's logger of messages, started by the first call.

        Raises
        ------
        StateError
            If the run has ended.
        """
        with self._lock:
            self._refuse_after_end()
            return self._messages.logger()

    def _refuse_after_end(self) -> None:
        if self._ended:
            raise StateError(
                f"run {self._path} has ended, and takes no more rows; append before it is marked"
            )

    def close(self, *, final: bool = True) -> None:
        """Bring all rows into their files; calling again does what could not be done.

        Parameters
        ----------
        final : bool
            Whether the run has ended even if this fails; otherwise it then takes rows again.

        Raises
        ------
        OSError
            If the disk is full. Nothing is lost.
        """
        with self._lock:
            self._ended = True
            try:
                if self._streams is not None:
                    self._streams.close()
                for writer in self._records.values():
                    writer.close()
                self._messages.stop()
                for storage in self._trajectories.values():
                    storage.close()
            except BaseException:
                self._ended = final
                raise
            self.appenders = {}


class Appends(ABC):
    """What a logbook appends, given its rows and the check before every write."""

    @property
    @abstractmethod
    def _rows(self) -> Rows:
        """The run's streams and records."""

    @abstractmethod
    def _check(self) -> None:
        """Refuse to write where the run is not this logbook's any more."""

    def append(self, name: str, value: npt.ArrayLike, *, timestamps: bool | None = None) -> None:
        """Append one row to a stream in ``data/streams.h5``; kept when the call returns.

        Parameters
        ----------
        name : str
            Name of the stream, with ``/`` for groups; its first row fixes dtype and shape.
        value : array_like
            A number, truth value, time, text, array, or structured row. Integers go into streams of
            floats, not the other way round.
        timestamps : bool, optional
            With the first row: whether the stream keeps the wall-clock time of each row.

        Raises
        ------
        InvalidInputError
            If the row does not fit the stream, or HDF5 cannot hold it.
        OSError
            If the disk is full; the row is then not there, and a later call may succeed.
        StateError
            If the run has ended, or this is a forked child.
        """
        put = self._rows.appenders.get(name)
        if put is None or timestamps is not None:
            self._check()
            put = self._rows.streams().begin(name, value, timestamps=timestamps)
        put(value)

    def extend(self, name: str, rows: npt.ArrayLike) -> None:
        """Append several rows to a stream: an array whose first axis counts them.

        Raises
        ------
        InvalidInputError, OSError, StateError
            As `append`.
        """
        self._check()
        self._rows.streams().extend(name, rows)

    def log(self, values: Mapping[str, npt.ArrayLike] | None = None, /, **kwargs: Any) -> None:
        """Append one row to each of several streams: ``log.log(step=1, loss=0.5)``.

        Parameters
        ----------
        values : mapping, optional
            Streams whose names a keyword cannot be.
        **kwargs : array_like
            Values by name of the stream.

        Raises
        ------
        InvalidInputError, OSError, StateError
            As `append`. If a value does not fit, no stream has a row; after an ``OSError`` those
            named before the one that failed do.
        """
        named = {**values, **kwargs} if values else kwargs
        if not self._rows.appenders.keys() >= named.keys():
            self._check()
        self._rows.streams().log(named)

    def set_attributes(self, name: str = "", /, **attributes: Any) -> None:
        """Set attributes of a stream, such as ``units="m"``; of their file where no name is given.

        Raises
        ------
        InvalidInputError
            If HDF5 cannot hold a value in an attribute.
        """
        self._check()
        self._rows.streams().set_attributes(name, **attributes)

    def messages(self) -> "DataLogger":
        """Return the logger of the run's messages, in ``messages/``; it runs until the run ends.

        Hand its ``producer`` or ``input_queue`` to other processes, which put into the same run.

        Raises
        ------
        OSError
            If the logger process cannot be started.
        StateError
            If the run has ended, or this is a forked child.
        """
        self._check()
        return self._rows.messages()

    def record(self, scope: str = "default", /, **values: Any) -> Record:
        """Return a new row of a table, ``records/<scope>.jsonl``; save it if values are given.

        Parameters
        ----------
        scope : str
            Name of the table.
        **values
            Values by column, saved at once.

        Returns
        -------
        Record
            A dictionary whose ``save()`` adds it to the table and begins the next row.

        Raises
        ------
        InvalidInputError
            If a value has no form in JSON.
        OSError
            If the disk is full; the row is then not there.
        StateError
            If the run has ended, or this is a forked child.
        """
        self._check()
        row = self._rows.records(scope).row()
        if values:
            row.update(values)
            row.save()
        return row

    def trajectory(self, name: str, /, **options: Any) -> "FileStorage":
        """Return the storage of fields over time in ``data/<name>.h5``, which the run closes.

        Parameters
        ----------
        name : str
            Name of the trajectory.
        **options
            As `holdfast.FileStorage` takes them. It is continued if it is there already, unless
            ``write_mode`` says otherwise.

        Raises
        ------
        InvalidInputError
            If the name or an option cannot be.
        StateError
            If the run has ended, or this is a forked child.
        """
        self._check()
        return self._rows.trajectory(name, options)
