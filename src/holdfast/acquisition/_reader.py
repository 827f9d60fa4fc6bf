"""`LogArchiveReader`: the messages of one source, one by one or as whole columns."""

import os
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from holdfast.acquisition._archive import open_archive
from holdfast.acquisition._columns import Messages
from holdfast.acquisition._gather import U64
from holdfast.acquisition._input import checked_time
from holdfast.acquisition._keys import KeyBatch, check_shares
from holdfast.acquisition._live import snapshot
from holdfast.acquisition._message import LogMessage, MessageArrays, decoded
from holdfast.acquisition._numbered import Numbered
from holdfast.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    import pyarrow as pa

SMALL = 2000


class LogArchiveReader:
    """Reads the archive of one source: ours, or one that ataraxis wrote.

    Parameters
    ----------
    archive_path : path
        The ``.npz``.
    onset_us : int, optional
        Microseconds since the epoch that times count from; it is then not looked for. Pass 0 where
        times were put as microseconds since the epoch, without an onset.

    Raises
    ------
    MissingFileError
        If there is no such file.
    FormatError
        If it is no archive, or cut short.
    IntegrityError
        If bits of it are wrong; of ours, the parts that are read are verified as they are.

    Notes
    -----
    The first message with time 0 and 8 bytes is the onset: microseconds since the epoch that all
    times count from. It is no message itself. Where a logger was started again in a folder, each
    recording has its onset; one without counts on from the onset before.
    """

    def __init__(
        self, archive_path: str | os.PathLike[str], onset_us: "int | np.uint64 | None" = None
    ) -> None:
        path = Path(archive_path).absolute()
        self._begin(open_archive(path), str(path), onset_us, path)

    @classmethod
    def live(
        cls,
        log_directory: str | os.PathLike[str],
        source: int | str,
        onset_us: "int | np.uint64 | None" = None,
    ) -> Self:
        """Return a reader of all messages that a logger's folder holds of a source now.

        Nothing needs to be assembled, and producers may go on. Messages that are not in the archive
        are read into memory.

        Raises
        ------
        NotFoundError
            If there are none.
        """
        folder = Path(log_directory).absolute()
        return cls.of(snapshot(folder, source), f"{folder}, source {source!r}", onset_us)

    @classmethod
    def of(cls, messages: Messages, where: str, onset_us: "int | np.uint64 | None" = None) -> Self:
        """Return a reader of messages in memory; `where` names them in messages of errors."""
        reader = cls.__new__(cls)
        reader._begin(messages, where, onset_us, None)  # noqa: SLF001 - instead of __init__
        return reader

    def _begin(
        self,
        messages: Messages,
        where: str,
        onset_us: "int | np.uint64 | None",
        path: Path | None,
    ) -> None:
        self._path = path
        given = None if onset_us is None else checked_time(onset_us)
        self._numbered = Numbered(messages, where, given)

    def __reduce__(self) -> tuple[Any, ...]:
        numbered = self._numbered
        if self._path is not None:
            return LogArchiveReader, (self._path, numbered.given)
        return LogArchiveReader.of, (numbered.messages, numbered.where, numbered.given)

    def __repr__(self) -> str:
        return f"LogArchiveReader({self._numbered.where!r}, {self.message_count} messages)"

    @property
    def source(self) -> int | str:
        """Who sent the messages."""
        return self._numbered.messages.source

    @property
    def message_count(self) -> int:
        """How many messages there are, onsets not among them."""
        return len(self._numbered)

    @property
    def onset_timestamp_us(self) -> np.uint64:
        """Microseconds since the epoch that times count from.

        Raises
        ------
        FormatError
            If no message tells it, and it was not given; this is a ``ValueError``.
        """
        onset = self.known_onset
        if onset is None:
            raise self._numbered.no_onset()
        return np.uint64(onset)

    @property
    def known_onset(self) -> int | None:
        """As `onset_timestamp_us`, and None where there is none."""
        return self._numbered.onset

    # Keys

    def get_batches(self, workers: int = -1, batch_multiplier: int = 4) -> list[KeyBatch]:
        """Divide the messages into batches for worker processes.

        Parameters
        ----------
        workers : int
            How many there are; less than 1: as many as cores but two.
        batch_multiplier : int
            Batches for each of them, so that one slow batch does not hold all up.

        Returns
        -------
        list of KeyBatch
            Sequences of keys for `iter_messages`; one where there are fewer than 2000 messages,
            none where there are none.

        Raises
        ------
        InvalidInputError
            If one is no such number.
        """
        check_shares(workers, batch_multiplier)
        count = self.message_count
        if not count:
            return []
        if workers < 1:
            workers = max((os.cpu_count() or 1) - 2, 1)
        size = count if count < SMALL else max(-(-count // (workers * batch_multiplier)), 1)
        return [KeyBatch(self, at, min(at + size, count)) for at in range(0, count, size)]

    def key(self, number: int) -> str:
        """Return the key of a message by its number, from 0."""
        return self._numbered.key(number)

    # One by one

    def iter_messages(self, keys: Iterable[str] | None = None) -> Iterator[LogMessage]:
        """Yield messages.

        Parameters
        ----------
        keys : iterable of str, optional
            Which ones, as `get_batches` gives them; all by default.

        Yields
        ------
        LogMessage
            With its time since the epoch, in the order of the keys.

        Raises
        ------
        FormatError
            If there is no onset to count from; this is a ``ValueError``.
        InvalidInputError
            If `keys` are no keys.
        NotFoundError
            If there is no message of a key.
        """
        if keys is None:
            return self._numbered.iterated(0, self.message_count)
        if isinstance(keys, KeyBatch):
            self._check_batch(keys)
            return self._numbered.iterated(keys.start, keys.stop)
        if isinstance(keys, str) or not isinstance(keys, Iterable):
            raise InvalidInputError(
                f"keys must be a list of keys, as get_batches() gives them, not {keys!r}"
            )
        return self._chosen(keys)

    def _check_batch(self, batch: KeyBatch) -> None:
        if not batch or batch.reader is self:
            return
        ends = [self.key(min(n, self.message_count - 1)) for n in (batch.start, batch.stop - 1)]
        if ends != [batch[0], batch[-1]]:
            raise NotFoundError(
                f"{self._numbered.where} has not the messages of a batch of "
                f"{batch.reader._numbered.where}; take batches from the reader itself"  # noqa: SLF001
            )

    def _chosen(self, keys: Iterable[str]) -> Iterator[LogMessage]:
        for key in keys:
            number = self._numbered.number_of(key)
            yield from self._numbered.iterated(number, number + 1)

    # As columns

    def read_all_messages(self) -> tuple[U64, list[npt.NDArray[np.uint8]]]:
        """Return the times since the epoch and the payloads of all messages.

        Raises
        ------
        FormatError
            If there is no onset to count from; this is a ``ValueError``.
        """
        stamps, offsets, payload = self.read_arrays()
        return stamps, [payload[a:b] for a, b in pairwise(offsets.tolist())]

    def read_arrays(self, *, elapsed: bool = False) -> MessageArrays:
        """Return all messages as three columns, whose bytes are not copied where one recording is.

        Parameters
        ----------
        elapsed : bool
            Times as they were put, instead of since the epoch; needs no onset.

        Raises
        ------
        FormatError
            If there is no onset to count from; this is a ``ValueError``.
        """
        parts = list(self._numbered.parts(0, self.message_count))
        return self._numbered.arrays(parts, elapsed=elapsed)

    def between(self, start: int, stop: int, *, elapsed: bool = False) -> MessageArrays:
        """Return the messages with times from `start` to before `stop`, as `read_arrays` does.

        Parameters
        ----------
        start, stop : int
            Microseconds: since the epoch, or, with `elapsed`, as they were put.
        elapsed : bool
            See `read_arrays`.

        Raises
        ------
        InvalidInputError
            If one is no time.
        FormatError
            If there is no onset to count from; this is a ``ValueError``.
        """
        low, high = checked_time(start), checked_time(stop)
        parts = list(self._numbered.parts_between(low, high, elapsed=elapsed))
        return self._numbered.arrays(parts, elapsed=elapsed)

    def decode(self, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Return the payloads as an array of a fixed dtype, usually a structured one.

        Parameters
        ----------
        dtype : dtype
            What every payload is.

        Returns
        -------
        ndarray, shape (n,)
            A view of the archive where that is possible; read-only then.

        Raises
        ------
        InvalidInputError
            If a payload has another size, or the dtype holds Python objects.
        """
        return decoded(self.read_arrays(elapsed=True), dtype, self._numbered.where)

    def to_arrow(self) -> "pa.Table":
        """Return all messages as an Arrow table of ``timestamp`` (µs, UTC) and ``payload``.

        Raises
        ------
        FormatError
            If there is no onset to count from, or a time is beyond 2**63 - 1 µs; this is a
            ``ValueError``.
        MissingDependencyError
            If pyarrow is not installed.
        """
        from holdfast.acquisition._arrow import arrow_table

        return arrow_table(self.read_arrays())

    # Several sources

    @staticmethod
    def merge(readers: "Iterable[LogArchiveReader]") -> Iterator[LogMessage]:
        """Yield the messages of several sources by time, each with its ``source``.

        Messages of one time come in the order of the readers. Memory holds a few thousand of each.

        Raises
        ------
        InvalidInputError
            If one is no reader.
        FormatError
            If one has no onset; this is a ``ValueError``.
        """
        from holdfast.acquisition._together import merged

        return merged(list(readers))

    def part(self, start: int, stop: int) -> MessageArrays:
        """Return messages by number, from 0, as `read_arrays` does."""
        return self._numbered.arrays(list(self._numbered.parts(start, stop)))
