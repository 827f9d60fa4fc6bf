"""Appending to a file: what is added is there whole, or nothing of it is.

Lines of a log and rows of a table are one ``write`` each to a file opened for appending. A full
disk may take a part of one; `append_whole` takes that part back. What cannot be taken back, and
what a power loss tore, an `AppendedFile` closes with a line end before it adds the next line.
A line that could not be brought to the disk is taken back, too, where that was asked for.
"""

import contextlib
import os
import threading
from pathlib import Path

from holdfast.errors import StateError

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT
_FLAGS |= getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def append_whole(descriptor: int, content: bytes) -> None:
    """Append to a file that is open for appending, all of `content` or nothing of it.

    Raises
    ------
    OSError
        If the disk is full; a part that was written has been cut off again.
    """
    written = os.write(descriptor, content)
    if written == len(content):
        return
    # Taken before further writes: cutting at an end and a count of two moments cuts accepted text.
    start = os.lseek(descriptor, 0, os.SEEK_CUR) - written
    try:
        while written < len(content):
            written += os.write(descriptor, content[written:])
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, start)
        raise


class AppendedFile:
    """A file that whole lines are appended to, from any thread; made by the first of them.

    Parameters
    ----------
    path : Path
        The file, in a folder that is there when the first line is written.

    Attributes
    ----------
    lock : RLock
        Held during an append; a signal handler may append in the middle of one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.RLock()
        self._descriptor: int | None = None
        self._keep_open = True
        self._torn = self._syncing = False
        self._end: int | None = None  # where a line begins that is still to be taken back
        self._identity = _identity_of(path)

    @property
    def is_open(self) -> bool:
        """Whether the file is open now."""
        return self._descriptor is not None

    def append(self, line: bytes, *, durably: bool = False) -> None:
        """Append one line, which ends with a line end.

        Parameters
        ----------
        line : bytes
            The line.
        durably : bool
            Whether it is to reach the disk itself before the call returns.

        Raises
        ------
        OSError
            If the disk is full, or `durably` fails; nothing of the line is then in the file, and
            later ones go on.
        StateError
            In a signal handler that came while a line was being brought to the disk.
        """
        with self.lock:
            if self._syncing:
                raise StateError(
                    f"a line of {self.path} was being brought to the disk when a signal handler or "
                    "a finaliser added one; set a flag there and add it in the program's own course"
                )
            descriptor = self._descriptor
            if descriptor is None:
                descriptor = self.open()
            try:
                self._take_back(descriptor)
                content = b"\n" + line if self._torn else line
                if durably:
                    self._append_durably(descriptor, content)
                else:
                    append_whole(descriptor, content)
                    self._torn = False
            except OSError:
                self._torn = _ends_torn(descriptor)
                raise
            finally:
                if not self._keep_open:
                    self._close()

    def _append_durably(self, descriptor: int, content: bytes) -> None:
        """Append a line whose end comes only when the rest is on the disk.

        Until then readers take it for a line in the making. Without its end it is whole after a
        power loss, so that the end itself needs no sync.
        """
        start = os.fstat(descriptor).st_size
        self._torn = self._syncing = True
        try:
            append_whole(descriptor, content[:-1])
            os.fsync(descriptor)
        except BaseException:
            self._end = start
            with contextlib.suppress(OSError):  # else the next line begins with that
                self._take_back(descriptor)
            raise
        finally:
            self._syncing = False
        with contextlib.suppress(OSError):  # the line is kept; the next one begins with its end
            append_whole(descriptor, content[-1:])
            self._torn = False

    def _take_back(self, descriptor: int) -> None:
        """Cut off a line that did not reach the disk, so that who adds it again has it once."""
        if self._end is not None:
            os.ftruncate(descriptor, self._end)
            self._torn = _ends_torn(descriptor)
            self._end = None

    def open(self) -> int:
        """Open the file, made if it is not there, and return its descriptor."""
        descriptor = os.open(self.path, _FLAGS, 0o666)
        self._descriptor = descriptor
        self._identity = _identity_of(descriptor)
        # A power loss, or a kill within a write of several pages, may have torn the last line. It
        # is ended, not cut off: a file that only grows is safe to read meanwhile, and what is left
        # of the line stays to be looked at.
        self._torn = _ends_torn(descriptor)
        return descriptor

    def close(self) -> None:
        """Close the file; later lines open it anew, each for itself."""
        with self.lock:
            if self._descriptor is not None:
                with contextlib.suppress(OSError):
                    self._take_back(self._descriptor)
            self._keep_open = False
            self._close()

    def in_place(self) -> bool:
        """Whether the path still names the file that lines went to."""
        return self._identity is None or _identity_of(self.path) == self._identity

    def reopen(self) -> None:
        """Write later lines to whatever file the path names now."""
        with self.lock:
            self._close()
            self._identity = self._end = None

    def _close(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def __del__(self) -> None:
        with contextlib.suppress(OSError, AttributeError):  # __init__ may have raised
            self._close()


def _ends_torn(descriptor: int) -> bool:
    """Whether the last line lacks its line end."""
    if not os.fstat(descriptor).st_size:
        return False
    os.lseek(descriptor, -1, os.SEEK_END)
    return os.read(descriptor, 1) != b"\n"


def _identity_of(place: Path | int) -> tuple[int, int] | None:
    try:
        status = os.stat(place)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino
