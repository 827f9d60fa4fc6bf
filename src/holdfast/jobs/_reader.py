"""Reading a tracker: its journal and its file, without a lock and without a trace."""

import os
import time
import warnings
from pathlib import Path

import xxhash

from holdfast.errors import HoldfastWarning, LockedError
from holdfast.jobs._journal import HEAD_BYTES, Replayed, Stamp, journal_name
from holdfast.jobs._pace import Pace, at_once
from holdfast.jobs._render import parse

_POLL_SECONDS = 0.002
_ATTEMPTS = 50


class Reader:
    """Reads a tracker as of now, each time from where it left off.

    Parameters
    ----------
    path, journal : Path
        The tracker file and its journal.
    warns : bool
        Warn of lines that are damaged.
    """

    def __init__(self, path: Path, journal: Path, *, warns: bool = True) -> None:
        self.path, self.journal = path, journal
        self._warns = warns
        self._seen: Replayed | None = None
        self._seen_inode = 0

    def read(self, pace: Pace = at_once) -> Replayed:
        """Return the jobs as of now; they are the caller's to look at, not to change."""
        for _ in range(_ATTEMPTS):
            found = self._read_once(pace)
            if found is not None:
                return found
            time.sleep(_POLL_SECONDS)
        raise LockedError(f"{self.path} is replaced faster than it can be read; try again")

    def _read_once(self, pace: Pace) -> Replayed | None:
        """Read once; None if the files changed meanwhile."""
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            return Replayed()  # removing the tracker file removes the pipeline
        seen, content = self._read_journal(pace)
        if seen.stamp is not None and seen.stamp.looks_like(status):
            return seen
        try:
            written = self.path.read_bytes()
        except FileNotFoundError:
            return None
        if seen.stamp is not None and seen.stamp.digest == digest(written):
            return seen
        if self._journal_state() != (self._seen_inode, len(content)):
            return None
        # Written by another tool, or by a fold that was killed before it could say so.
        foreign = Replayed(parse(written, str(self.path)), name=seen.name, position=len(content))
        foreign.replay(content[seen.folded :])
        return foreign

    def _read_journal(self, pace: Pace) -> tuple[Replayed, bytes]:
        try:
            with open(self.journal, "rb") as file:
                inode, content = os.fstat(file.fileno()).st_ino, b""
                seen = self._seen
                if seen is not None and inode == self._seen_inode:
                    if journal_name(file.read(HEAD_BYTES)) != seen.name:
                        seen = None
                else:
                    seen = None
                file.seek(0)
                content = file.read()
        except FileNotFoundError:
            self._seen, self._seen_inode = None, 0
            return Replayed(), b""
        if seen is None or seen.position > len(content):
            seen = Replayed()
        torn = seen.read(content[seen.position :], pace)
        if torn and self._warns:
            _warn(self.journal, torn)
        self._seen, self._seen_inode = seen, inode
        return seen, content

    def _journal_state(self) -> tuple[int, int]:
        try:
            status = os.stat(self.journal)
        except FileNotFoundError:
            return 0, 0
        return status.st_ino, status.st_size


def stamp_of(path: Path) -> Stamp:
    """Return what a tracker file looks like now."""
    content = path.read_bytes()
    status = os.stat(path)
    return Stamp(status.st_size, status.st_mtime_ns, digest(content))


def digest(content: bytes) -> str:
    """Return the digest that a stamp holds."""
    return xxhash.xxh3_128_hexdigest(content)


def _warn(journal: Path, torn: int) -> None:
    warnings.warn(
        f"{journal} has {torn} lines that are torn or damaged; the transitions they were to record "
        "are left out (a writer that a power loss stopped leaves such a line)",
        HoldfastWarning,
        stacklevel=6,
    )
