"""The messages of a `Logbook`: one method for each level."""

from abc import ABC, abstractmethod

from holdfast.run._log import LogLine, make_line


class Notes(ABC):
    """What a logbook says in ``log.txt``, given how it writes a line."""

    @abstractmethod
    def _write_line(self, line: LogLine) -> None:
        """Append a line to the log, unless the run is not this logbook's any more."""

    def note(self, msg: object, level: str | int = "INFO") -> None:
        """Append a message to ``log.txt``.

        Parameters
        ----------
        msg : object
            Its text; further lines of it are indented.
        level : str or int
            One word, or a level of ``logging``.
        """
        self._write_line(make_line(msg, level))

    def debug(self, msg: object) -> None:
        """Append a message of level DEBUG."""
        self.note(msg, "DEBUG")

    def info(self, msg: object) -> None:
        """Append a message of level INFO."""
        self.note(msg, "INFO")

    def warning(self, msg: object) -> None:
        """Append a message of level WARNING."""
        self.note(msg, "WARNING")

    def error(self, msg: object) -> None:
        """Append a message of level ERROR."""
        self.note(msg, "ERROR")
