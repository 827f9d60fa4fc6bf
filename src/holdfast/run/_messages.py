"""Messages of a run, in ``messages/``: the logger that puts them, and what reads them."""

from pathlib import Path
from typing import TYPE_CHECKING

from holdfast._names import inside
from holdfast.errors import NotFoundError

if TYPE_CHECKING:
    from holdfast.acquisition import DataLogger, LogArchiveReader

MESSAGES = "messages"


class MessagePutting:
    """The logger of a run, made and started when it is first asked for.

    Parameters
    ----------
    path : Path
        The run directory.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._logger: DataLogger | None = None

    def logger(self) -> "DataLogger":
        """Return the logger, which runs.

        Raises
        ------
        OSError
            If it cannot be started.
        """
        if self._logger is None:
            from holdfast.acquisition import DataLogger  # loads numpy and what starts processes

            self._logger = DataLogger.at(inside(self._path, MESSAGES), self._path.name)
        self._logger.start()
        return self._logger

    def stop(self) -> None:
        """Stop the logger, if there is one.

        Raises
        ------
        OSError
            What its process met; messages are kept.
        """
        if self._logger is not None:
            self._logger.stop()


class MessageReading:
    """What a reader of a run gives of its messages."""

    path: Path

    @property
    def message_sources(self) -> list[int | str]:
        """The sources that messages are of, numbers first; see `messages`."""
        from holdfast.acquisition import sources_in

        return sources_in(inside(self.path, MESSAGES))

    def messages(self, source: int | str, onset_us: int | None = None) -> "LogArchiveReader":
        """Return the messages of a source, assembled or not, that are there now.

        Parameters
        ----------
        source : int or str
            Who sent them.
        onset_us : int, optional
            Microseconds since the epoch that times count from; 0 where they were put as such.

        Raises
        ------
        NotFoundError
            If the run has none of this source.
        FormatError, IntegrityError
            If its archive is damaged.
        """
        from holdfast.acquisition import LogArchiveReader

        folder = inside(self.path, MESSAGES)
        if not folder.is_dir():
            raise NotFoundError(
                f"run {self.path} has no messages of source {source!r}; it has no messages"
            )
        return LogArchiveReader.live(folder, source, onset_us)
