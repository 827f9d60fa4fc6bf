"""`DataLogger`: a folder that takes messages from any process, and the process that tends it."""

import contextlib
import os
import threading
import time
import weakref
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from holdfast._atomic import make_folder
from holdfast._names import safe_component
from holdfast._process import ForkGuard
from holdfast._sync import Durability
from holdfast.acquisition._producer import Producer
from holdfast.acquisition._queue import InputQueue
from holdfast.acquisition._watchdog import LoggerProcess, stopped_at_exit
from holdfast.errors import InvalidInputError

if TYPE_CHECKING:
    import numpy.typing as npt

FOLDER_SUFFIX = "_data_log"
LEAST_POLL = 50


class DataLogger:
    """Logs messages of many sources into ``<output_directory>/<instance_name>_data_log/``.

    A message is kept once its `put` has returned, whichever process is killed next. Producers never
    wait for a disk, and never for each other.

    Parameters
    ----------
    output_directory : path
        Where the logger's folder is made.
    instance_name : str
        Names the folder; other folders may have loggers of the same name.
    thread_count : int
        Without meaning: every producing thread writes by itself. Checked only.
    poll_interval : int
        Milliseconds between two looks of the logger process; less than 50 counts as 50. It decides
        how soon full blocks are sealed; nothing waits for it.
    max_unsynced : int, optional
        Bytes that a producing thread may be ahead of the disk itself before its `put` waits for
        the logger process. None: the system decides, by throttling whoever has too much in memory.

    Raises
    ------
    InvalidInputError
        If the name cannot be one of a folder, or a number is out of range.
    OSError
        If the folder cannot be made.

    Notes
    -----
    `put` works before `start` and without it: messages are then kept against the death of
    processes, and the logger process brings them to the disk when it is started.

    Examples
    --------
    >>> with DataLogger("recordings", "rig") as logger:
    ...     logger.put(1, 0, b"onset")
    ...     logger.put("camera", 12_500, b"frame 1")
    >>> logger.alive
    False
    """

    def __init__(
        self,
        output_directory: str | os.PathLike[str],
        instance_name: str,
        thread_count: int = 5,
        poll_interval: int = 5,
        *,
        max_unsynced: int | None = None,
    ) -> None:
        name = safe_component(instance_name, "instance name", suffix=FOLDER_SUFFIX)
        _check_number(thread_count, "thread_count", 1)
        _check_number(poll_interval, "poll_interval", 0)
        if max_unsynced is not None:
            _check_number(max_unsynced, "max_unsynced", 0)
        folder = Path(os.path.abspath(output_directory)) / f"{name}{FOLDER_SUFFIX}"
        self._set_up(folder, name, poll_interval, max_unsynced)

    @classmethod
    def at(cls, folder: Path, name: str) -> Self:
        """Return a logger whose messages go straight into a folder."""
        logger = cls.__new__(cls)
        logger._set_up(folder, name, 5, None)  # noqa: SLF001 - instead of __init__
        return logger

    def _set_up(
        self, folder: Path, name: str, poll_interval: int, max_unsynced: int | None
    ) -> None:
        make_folder(folder, Durability())
        self._folder, self._name = folder, name
        self._poll_seconds = max(poll_interval, LEAST_POLL) / 1000
        self._guard = ForkGuard()
        self._lock = threading.RLock()
        self._process: LoggerProcess | None = None
        self._finalizer: weakref.finalize[..., object] | None = None
        self._producer = Producer(folder, time.time_ns() // 1000, max_unsynced)
        self._producer.notice.own()
        self._queue = InputQueue(self._producer)
        self.put = self._producer.put

    @property
    def name(self) -> str:
        """The name of the instance."""
        return self._name

    @property
    def output_directory(self) -> Path:
        """The folder that messages go to."""
        return self._folder

    @property
    def alive(self) -> bool:
        """Whether the logger process runs, and has met no error that was not raised yet."""
        process, producer = self._process, self._producer
        if process is None:
            return False
        producer.attend()
        return process.alive and producer.problem is None

    @property
    def input_queue(self) -> InputQueue:
        """Takes a `LogPackage` by ``put``, in this process and, handed over, in any other."""
        return self._queue

    @property
    def producer(self) -> Producer:
        """What puts messages, to be handed to other processes; it can be pickled."""
        return self._producer

    def put_many(self, source_id: int | str, times: "npt.ArrayLike", payloads: Any) -> None:
        """Put many messages of one source with whole columns.

        Parameters
        ----------
        source_id : int or str
            The source, 0 to 65535 or a name.
        times : array_like of int, shape (n,)
            Microseconds of each.
        payloads : ndarray of shape (n, ...), or list of n payloads
            Each row of the array, or each item of the list, is one payload.

        Raises
        ------
        InvalidInputError
            If an argument is wrong; nothing is put then.
        OSError
            If the disk is full; a note on the error tells how many are kept.
        StateError
            After `stop`.
        """
        self._producer.put_many(source_id, times, payloads)

    def start(self) -> None:
        """Start the logger process; without effect while it runs.

        Raises
        ------
        OSError
            If no process can be started, or those that it was stopped for cannot be told.
        StateError
            In a forked child: the logger process is its parent's.
        """
        self._guard.check(f"the logger {self._name!r}")
        with self._lock:
            if self._process is not None:
                return
            owner = weakref.ref(self)

            def report(error: OSError) -> None:
                logger = owner()
                if logger is not None:
                    logger._met(error)  # noqa: SLF001 - its own other half

            self._process = LoggerProcess(self._folder, self._poll_seconds, report)
            self._finalizer = stopped_at_exit(self, self._process)
            self._producer.resume()
            self._producer.notice.tell(stopped=False)

    def _met(self, error: OSError) -> None:
        self._producer.fail(error)
        with contextlib.suppress(OSError):  # the disk that fails is the one to tell others by
            self._producer.notice.tell(error=error)

    def stop(self) -> None:
        """Finish all blocks of this process, and end the logger process once all is on the disk.

        Afterwards `put` is refused, in other processes within about a second; what they put until
        then is kept. Without effect when it was never started or is stopped.

        Raises
        ------
        OSError
            What the logger process met, such as a failing disk, or why other processes could not be
            told. Messages are kept, and the logger is stopped.
        StateError
            In a forked child.
        """
        self._guard.check(f"the logger {self._name!r}")
        with self._lock:
            process, self._process = self._process, None
            if process is None:
                return
            untold = self._stop_producers()
            if self._finalizer is not None:
                self._finalizer.detach()
            process.stop()
            problem = self._producer.take_problem() or untold
        if problem is not None:
            raise problem

    def _stop_producers(self) -> OSError | None:
        """Stop this process's, and tell those of others; return why they cannot be told."""
        untold = None
        self._producer.refuse()  # before it is told: a child forked meanwhile has that from here
        try:
            self._producer.notice.tell(stopped=True)
        except OSError as error:
            untold = error
            error.add_note("Producers in other processes could not be told to stop.")
        self._producer.stop()
        return untold

    def __repr__(self) -> str:
        state = "alive" if self.alive else "not running"
        return f"DataLogger({str(self._folder)!r}, {state})"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._guard:
            return  # a forked child leaves the block, too; the logger is its parent's
        try:
            self.stop()
        except OSError as second:
            if error is None:
                raise
            error.add_note(f"While the logger {self._name} was being stopped: {second}")


def _check_number(value: Any, what: str, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InvalidInputError(f"{what} must be a whole number from {least} on, not {value!r}")
