"""`Stamps`: which rows of ``index.csv`` can be relied on, in the file ``.index.stamps`` beside it.

Each line holds a checksum of a line of the index (and of its header), the signature of the run's
files from which it was made, and the run id; the last line of a run counts. The file can be
deleted at any time: rows without a stamp are read from their run directories.
"""

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from holdfast._atomic import temporary_beside
from holdfast.sweeps._rows import Reading


class StampsRead:
    """The stamps as they were when they were read."""

    def __init__(self, lines: Mapping[str, str]) -> None:
        self._lines = lines

    def signature(self, run_id: str, checksum: int) -> str | None:
        """Return the signature behind a line of the index, None if nothing vouches for it."""
        line, _, signature = self._lines.get(run_id, "").partition(" ")
        return signature if line == f"{checksum:08x}" else None


class Stamps:
    """Reads and writes the stamps of one index; writers hold the lock of the index.

    Parameters
    ----------
    path : Path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> StampsRead:
        """Read what is there; a line that was not written whole vouches for nothing."""
        try:
            content = self.path.read_bytes().decode("utf-8", "replace")
        except OSError:
            return StampsRead({})
        parts = (line.partition("\t") for line in content.split("\n"))
        return StampsRead({run_id: stamp for stamp, _, run_id in parts})

    def append(self, reading: Reading, checksum: int) -> None:
        """Add the stamp of one line of the index."""
        # A stamp that is lost costs a little time and nothing else: no sync, and no error.
        with contextlib.suppress(OSError), self.path.open("ab", buffering=0) as file:
            file.write(_stamp(reading, checksum).encode())

    def replace(self, lines: Iterable[tuple[Reading, int]]) -> None:
        """Write the stamps of all lines of the index anew."""
        temporary = temporary_beside(self.path)
        with contextlib.suppress(OSError):
            temporary.write_text("".join(_stamp(*line) for line in lines), encoding="utf-8")
            os.replace(temporary, self.path)


def _stamp(reading: Reading, checksum: int) -> str:
    # Begins a new line first, in case a killed writer left part of one.
    return f"\n{checksum:08x} {reading.signature or ''}\t{reading.row.run_id}"
