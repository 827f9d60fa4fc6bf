"""`LineIndex`: where the rows of a file stand, kept up to date as it grows.

Every line is parsed once, to know that it is a row, and only its place is kept: 16 bytes a row,
whatever it holds.
"""

import os
import threading
import time
import warnings
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Any

from holdfast.errors import FormatError, HoldfastWarning, MissingFileError
from holdfast.records._line import decode

_BLOCK = 1 << 20
_QUIET_SECONDS = 0.02
"""How long an unfinished last line must stay as it is to be taken for torn."""


class LineIndex:
    """The rows of one file, by number.

    Parameters
    ----------
    path : Path
        The file.
    missing_ok : bool
        Whether it may still be to come.

    Attributes
    ----------
    names : dict
        The columns found so far, as keys, in order of first appearance.
    """

    def __init__(self, path: Path, *, missing_ok: bool) -> None:
        self.path = path
        self._missing_ok = missing_ok
        self._lock = threading.RLock()
        self._taken: list[dict[str, Any]] | None = None
        self._reset()

    def _reset(self) -> None:
        if self._taken is not None:
            self._taken.clear()
        self._file: tuple[int, int] | None = None
        self._starts, self._stops = array("Q"), array("Q")
        self.names: dict[str, None] = {}
        self._damaged: list[str] = []
        self._torn: str | None = None
        self._layout: tuple[str, ...] = ()
        self._lines = 0  # that were taken, rows or not
        self._end = 0  # of the last of them
        self._seen = 0  # size of the file then; what lies between is an unfinished line
        self._unended = False  # whether the last row lacks its line end
        self._warned = 0  # of those that are damaged
        self._warned_torn = False

    @property
    def problems(self) -> list[str]:
        """What was left out, each with its place and reason."""
        return self._damaged + ([self._torn] if self._torn else [])

    def all_rows(self) -> list[dict[str, Any]]:
        """Return every row there is now; the first time, parsing each line once only."""
        with self._lock:
            if self._starts:
                self.refresh()
                return list(self.rows(0, len(self)))
            taken: list[dict[str, Any]] = []
            self.refresh(taken=taken)
            return taken

    def __len__(self) -> int:
        return len(self._starts)

    def refresh(self, *, live: bool = False, taken: list[dict[str, Any]] | None = None) -> None:
        """Take what was added to the file.

        Parameters
        ----------
        live : bool
            Whether an unfinished last line is still to be finished, and no matter for complaint.
        taken : list, optional
            Where the added rows go, for whoever wants them at once.

        Raises
        ------
        MissingFileError
            If the file is not there, or no longer.
        HoldfastWarning
            As a warning: if something was left out, once.
        """
        with self._lock:
            self._taken = taken
            self._read()
            while not live and self._seen > self._end and self._torn is None:
                time.sleep(_QUIET_SECONDS)
                seen = self._seen
                self._read()
                if self._seen == seen and self._seen > self._end:
                    self._judge_tail()
            self._taken = None
            self._warn()

    def require(self) -> os.stat_result:
        """Return the status of the file.

        Raises
        ------
        MissingFileError
            If it is not there.
        """
        try:
            return self.path.stat()
        except FileNotFoundError:
            raise MissingFileError(
                f"there is no table of records {self.path}; check the name, or whether the run was "
                "moved"
            ) from None

    def _read(self) -> None:
        if self._file is None and self._missing_ok and not self.path.exists():
            return
        status = self.require()
        identity = status.st_dev, status.st_ino
        if identity != self._file or status.st_size < self._end:
            self._reset()  # another file, or an edited one
            self._file = identity
        if status.st_size != self._seen:
            self._torn = None
            self._take()

    def _take(self) -> None:
        try:
            self._take_lines()
        except BaseException:
            self._reset()  # Ctrl-C may have come between two steps for one row
            raise

    def _take_lines(self) -> None:
        """Index all finished lines from where the last look ended."""
        with self.path.open("rb", 0) as file:
            file.seek(self._end)
            rest = b""
            while piece := file.read(max(_BLOCK, len(rest))):
                content = rest + piece
                if self._unended and not rest:
                    if content[:1] != b"\n":
                        self._begin_anew()  # the row was taken back, and another stands there
                        return
                    self._unended = False
                    self._end += 1
                    content = content[1:]
                cut = content.rfind(b"\n") + 1
                for line in content[:cut].split(b"\n")[:-1]:
                    self._add(line)
                    self._end += 1
                rest = content[cut:]
        self._seen = self._end + len(rest)

    def _begin_anew(self) -> None:
        identity = self._file
        self._reset()
        self._file = identity
        self._take_lines()

    def _add(self, line: bytes) -> None:
        self._lines += 1
        start = self._end
        self._end += len(line)
        if not line or line.isspace():
            return
        try:
            row = decode(line)
        except FormatError as error:
            self._damaged.append(f"line {self._lines}: {error}")
            return
        self._starts.append(start)
        self._stops.append(self._end)
        if self._taken is not None:
            self._taken.append(row)
        layout = tuple(row)
        if layout != self._layout:
            self._layout = layout
            self.names.update(dict.fromkeys(layout))

    def _judge_tail(self) -> None:
        """Decide about a last line without line end that nobody is writing any more."""
        with self.path.open("rb", 0) as file:
            file.seek(self._end)
            tail = _read_whole(file, self._seen - self._end)
        try:
            decode(tail)
        except FormatError:
            self._torn = (
                f"line {self._lines + 1}, the last, is unfinished after {len(tail)} bytes: it is "
                "being written, or a kill or a power loss cut its save() short"
            )
            return
        # No beginning of an object is an object, so this one is whole.
        self._add(tail)
        self._unended = True

    def _warn(self) -> None:
        new = self._damaged[self._warned :]
        self._warned = len(self._damaged)
        if self._torn and not self._warned_torn:
            self._warned_torn = True
            new.append(self._torn)
        if new:
            more = f"; and {len(new) - 3} more, see problems" if len(new) > 3 else ""
            warnings.warn(
                f"left out of the records in {self.path}: {'; '.join(new[:3])}{more}",
                HoldfastWarning,
                stacklevel=4,
            )

    def row(self, number: int) -> dict[str, Any]:
        """Return one row by its number, counted from 0."""
        (row,) = self.rows(number, number + 1)
        return row

    def rows(self, start: int, stop: int) -> Iterator[dict[str, Any]]:
        """Yield the rows of a range of numbers, reading the file in blocks.

        Raises
        ------
        FormatError
            If the file was edited meanwhile.
        """
        if start >= stop:
            return
        starts, stops = self._starts, self._stops
        with self.path.open("rb", 0) as file:
            while start < stop:
                first = starts[start]
                last = min(stop, max(start + 1, bisect_right(stops, first + _BLOCK)))
                file.seek(first)
                block = _read_whole(file, stops[last - 1] - first)
                for number in range(start, last):
                    yield self._decode(block[starts[number] - first : stops[number] - first])
                start = last

    def _decode(self, line: bytes) -> dict[str, Any]:
        try:
            return decode(line)
        except FormatError as error:
            raise FormatError(
                f"{self.path} was changed while it was read ({error}); read it again"
            ) from None


def _read_whole(file: FileIO, size: int) -> bytes:
    """Read so many bytes, unless the file ends before."""
    pieces = []
    while size and (piece := file.read(size)):  # one read of Linux gives 2 GiB at most
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
