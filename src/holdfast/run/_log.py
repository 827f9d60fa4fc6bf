"""``log.txt``: one line a message, ``[YYYY-MM-DDTHH:MM:SS] LEVEL message``, appended whole."""

import logging
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from holdfast._append import AppendedFile
from holdfast.errors import InvalidInputError

_LINE = re.compile(r"\[(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\] (\S+) ?(.*)")
_HEAD = re.compile(rb"^\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\] ", re.MULTILINE)
_LEVEL = re.compile(r"[A-Z][A-Z0-9_]*")
_CONTINUED = "\n    "


@dataclass(frozen=True, slots=True)
class LogLine:
    """One message of ``log.txt``: local time in ISO 8601, level, text (which may have lines)."""

    time: str
    level: str
    message: str

    def __str__(self) -> str:
        return f"[{self.time}] {self.level} " + self.message.replace("\n", _CONTINUED)


def make_line(message: object, level: str | int) -> LogLine:
    """Stamp a message with the present time, to the second.

    Raises
    ------
    InvalidInputError
        If `level` is no single word.
    """
    name = logging.getLevelName(level).replace(" ", "_") if isinstance(level, int) else str(level)
    if not _LEVEL.fullmatch(name.upper()):
        raise InvalidInputError(f"level {level!r} is not one word, such as INFO or WARNING")
    # Every kind of line break is kept as an indented continuation, so that no text can pose as
    # a message of its own.
    text = "\n".join(str(message).splitlines())
    return LogLine(time.strftime("%Y-%m-%dT%H:%M:%S"), name.upper(), text)


class LogWriter:
    """Appends to ``log.txt`` from any thread; the file is open only while a run is.

    A line is one ``write`` to a file opened for appending, so lines of several threads never mix
    and what was written outlives the process.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = AppendedFile(path)

    def write(self, line: LogLine) -> None:
        """Append one line."""
        self._file.append(f"{line}\n".encode("utf-8", "backslashreplace"))

    def close(self) -> None:
        """Close the file; later lines open it anew, each for itself."""
        self._file.close()

    def in_place(self) -> bool:
        """Whether the path still names the file that lines went to."""
        return self._file.in_place()

    def reopen(self) -> None:
        """Write later lines to whatever file the path names now."""
        self._file.reopen()


class CaptureHandler(logging.Handler):
    """Writes what the process's loggers emit into the log of one run."""

    def __init__(self, write: Callable[[LogLine], None]) -> None:
        super().__init__()
        self._write = write

    def install(self) -> None:
        """Begin to listen, at the root of all loggers."""
        logging.getLogger().addHandler(self)

    def remove(self) -> None:
        """Stop listening."""
        logging.getLogger().removeHandler(self)
        self.close()

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, with its traceback if it has one."""
        try:
            # Level names are the user's to choose ("Level 5", "très grave"); a line needs one word.
            level = re.sub(r"[^A-Z0-9_]+", "_", record.levelname.upper())
            level = level.lstrip("_0123456789").rstrip("_")
            message = f"{record.name}: {self.format(record)}"
            self._write(make_line(message, level or "INFO"))
        except Exception:  # noqa: BLE001 - a handler never raises into the code that logs
            self.handleError(record)


def read_log(path: Path) -> list[LogLine]:
    """Read every message of a ``log.txt``."""
    return list(_parse(path.read_bytes()))


def _parse(content: bytes) -> Iterator[LogLine]:
    parts: list[str] = []
    head: re.Match[str] | None = None
    for line in content.decode("utf-8", "replace").removesuffix("\n").split("\n"):
        match = _LINE.fullmatch(line)
        if match:
            if head:
                yield LogLine(head[1], head[2], "\n".join(parts))
            head, parts = match, [match[3]]
        elif head:
            parts.append(line.removeprefix(_CONTINUED[1:]))
    if head:
        yield LogLine(head[1], head[2], "\n".join(parts))


def follow_log(path: Path, ended: Callable[[], bool], *, poll: float = 0.1) -> Iterator[LogLine]:
    """Yield messages as they are appended, until `ended` says that no more will come.

    Parameters
    ----------
    path : Path
        The ``log.txt``; reading starts at its beginning.
    ended : callable
        Asked when nothing new is there; the file is then read to its end once more.
    poll : float
        Seconds between two looks.
    """
    held, last = b"", False
    with path.open("rb") as file:
        while True:
            new = file.read()
            held += new
            # A message of several lines may be seen half-written: it is whole when another follows
            # or nothing was added to it between two looks.
            quiet = not new and (last or held.endswith(b"\n"))
            cut = len(held) if quiet else _start_of_last(held)
            yield from _parse(held[:cut])
            held = held[cut:]
            if not new and last:
                return
            last = last or (not new and ended())
            if not last:
                time.sleep(poll)


def _start_of_last(content: bytes) -> int:
    starts = [match.start() for match in _HEAD.finditer(content)]
    return starts[-1] if starts else 0
