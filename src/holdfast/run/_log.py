"""``log.txt``: one line a message, ``[YYYY-MM-DDTHH:MM:SS] LEVEL message``, appended whole."""

import contextlib
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

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
        self._lock = threading.RLock()  # a signal handler may log in the middle of a write
        self._descriptor: int | None = None
        self._keep_open = True
        self._file = _file_at(path)

    def write(self, line: LogLine) -> None:
        """Append one line."""
        content = f"{line}\n".encode("utf-8", "backslashreplace")
        with self._lock:
            descriptor = self._open()
            try:
                _write_whole(descriptor, content)
            finally:
                if not self._keep_open:
                    self._close()

    def close(self) -> None:
        """Close the file; later lines open it anew, each for itself."""
        with self._lock:
            self._keep_open = False
            self._close()

    def in_place(self) -> bool:
        """Whether the path still names the file that lines went to."""
        return self._file is None or _file_at(self.path) == self._file

    def reopen(self) -> None:
        """Write later lines to whatever file the path names now."""
        with self._lock:
            self._close()
            self._file = None

    def _open(self) -> int:
        if self._descriptor is None:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
            self._descriptor = os.open(self.path, flags, 0o666)
            self._file = _file_at(self._descriptor)
        return self._descriptor

    def _close(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            self._close()


def _file_at(place: Path | int) -> tuple[int, int] | None:
    try:
        status = os.stat(place)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _write_whole(descriptor: int, content: bytes) -> None:
    """Write one line or nothing: a full disk may take part of it, which is cut off again."""
    written = os.write(descriptor, content)
    if written == len(content):
        return
    end = os.lseek(descriptor, 0, os.SEEK_CUR)
    try:
        while written < len(content):
            written += os.write(descriptor, content[written:])
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, end - written)
        raise


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
