"""`StoredBlock`: a block as anybody but its producer sees it, by ``pread``, never mapped."""

import errno
import os
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xxhash

from holdfast._process import boot_id
from holdfast.acquisition._format import (
    END_MASK,
    FINAL_AT,
    ORDER_AT,
    PAGE,
    PRODUCER,
    SEALED_AT,
    SUFFIX,
    WORD,
    WORDS_END,
    Header,
    order_of,
    unpack_header,
    unpack_marks,
    unpack_word,
)

Words = npt.NDArray[np.uint64]

READING = (
    os.O_RDONLY
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a named pipe in the folder must not make a reader wait
    | getattr(os, "O_BINARY", 0)
)
_UNREADABLE = frozenset(
    [errno.EACCES, errno.EPERM, errno.ELOOP, errno.EISDIR, errno.ESPIPE, errno.ENXIO, errno.EIO]
)
"""Errors that one file has, whatever the others are: links, folders and pipes give them, too."""

_PIECE = 1 << 16
_COUNTS = struct.Struct("<QQQQ")


@dataclass(frozen=True, slots=True)
class States:
    """The words of a header that change, as they were when they were read.

    Attributes
    ----------
    final : int or None
        Messages, once the producer has left the block.
    sealed : int
        Digest of all of it, 0 if it has none.
    marks : list of (int, int)
        Counts and digests of the two sync marks.
    order : int or None
        Which of its lane's blocks it is, 0 before it is begun; None if that is damaged.
    """

    final: int | None
    sealed: int
    marks: list[tuple[int, int]]
    order: int | None


class StoredBlock:
    """A block's file, opened for reading.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    OSError
        If it cannot be opened, for example because it was assembled meanwhile.

    Attributes
    ----------
    header : Header or None
        None if it is damaged or was never finished.
    """

    __slots__ = ("_descriptor", "header", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1
        self._descriptor = os.open(path, READING)
        self.header: Header | None = unpack_header(os.pread(self._descriptor, PAGE, 0))

    def __del__(self) -> None:
        self.close()

    def forget(self) -> None:
        """Tell the system that nobody reads the file again soon: others can use its memory."""
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    @property
    def begun(self) -> Header:
        """The header of a block that has one."""
        if self.header is None:
            raise AssertionError
        return self.header

    def is_blank(self) -> bool:
        """Whether nothing was ever written: its producer died while it made the file."""
        return not any(os.pread(self._descriptor, WORDS_END, 0))

    def states(self) -> States:
        """Read the words of the header that change."""
        page = os.pread(self._descriptor, WORDS_END, 0).ljust(WORDS_END, b"\0")
        final = unpack_word(page, FINAL_AT)
        return States(
            final - 1 if final else None,
            unpack_word(page, SEALED_AT),
            unpack_marks(page),
            order_of(self.begun, unpack_word(page, ORDER_AT)),
        )

    def words(self, start: int, stop: int) -> Words:
        """Return published words by number, up to the first that is not; fewer in a cut file."""
        parts = []
        for low in range(start, stop, _PIECE):
            found = self._column(self.begun.words_at, low, min(low + _PIECE, stop))
            empty = np.flatnonzero(found == 0)
            parts.append(found[: empty[0]] if len(empty) else found)
            if len(empty) or len(found) < min(_PIECE, stop - low):
                break
        return np.concatenate(parts) if parts else np.empty(0, np.uint64)

    def first_words(self, count: int) -> Words:
        """Return words that are known to be published."""
        return self._column(self.begun.words_at, 0, count)

    def times(self, start: int, stop: int) -> Words:
        """Return times by number."""
        return self._column(PAGE, start, stop)

    def _column(self, at: int, start: int, stop: int) -> Words:
        content = self._bytes(at + WORD * start, WORD * (stop - start))
        return np.frombuffer(content[: len(content) // WORD * WORD], "<u8")

    def payload(self, start: int, stop: int) -> npt.NDArray[np.uint8]:
        """Return bytes of payloads by their place."""
        return np.frombuffer(self._bytes(self.begun.payload_at + start, stop - start), np.uint8)

    def _bytes(self, at: int, length: int) -> bytes:
        content = os.pread(self._descriptor, length, at)
        while 0 < len(content) < length:  # one call reads 2 GiB at most
            more = os.pread(self._descriptor, length - len(content), at + len(content))
            if not more:
                break
            content += more
        return content

    def published(self) -> tuple[Words, str]:
        """Return the words of the messages that can be trusted, and what is wrong.

        After another boot only what a mark or a seal proves can be.
        """
        words, problem = self._trusted(self.states())
        if len(words) and not self.states().order:  # it may have been begun a moment ago
            return words[:0], "its place among the blocks of its thread is damaged"
        return words, problem

    def _trusted(self, states: States) -> tuple[Words, str]:
        header = self.begun
        words = self.words(0, header.capacity)
        sound = _sound(words, header.room)
        problem = "" if len(sound) == len(words) else f"message {len(sound)} is damaged"
        if states.sealed:
            if states.final is None or states.final > len(sound):
                return sound[:0], "it ends before its messages do"
            if self._digest(sound[: states.final]) != states.sealed:
                return sound[:0], "it does not fit its checksum"
            return sound[: states.final], ""
        if header.boot_id != (boot_id() or ""):
            return sound[: self._proven(sound, states)], ""
        return sound, problem

    def _proven(self, words: Words, states: States) -> int:
        fitting = [
            count
            for count, digest in states.marks
            if 0 < count <= len(words) and self._digest(words[:count]) == digest
        ]
        return max(fitting, default=0)

    def _digest(self, words: Words) -> int:
        digest = BlockDigest()
        digest.update(self, words)
        return digest.value()


def _sound(words: Words, room: int) -> Words:
    """Return the words up to the first whose end is impossible."""
    ends = words & np.uint64(END_MASK)
    wrong = np.flatnonzero((ends[1:] < ends[:-1]) | (ends[1:] > room))
    first_wrong = len(ends) > 0 and ends[0] > room
    return words[: 0 if first_wrong else wrong[0] + 1] if first_wrong or len(wrong) else words


class BlockDigest:
    """The hash of a block's first messages, which grows with them."""

    __slots__ = ("_payload", "_times", "_words", "count", "end")

    def __init__(self) -> None:
        self._times, self._words = xxhash.xxh3_64(), xxhash.xxh3_64()
        self._payload = xxhash.xxh3_64()
        self.count = self.end = 0

    def update(self, block: StoredBlock, words: Words) -> None:
        """Add the messages that have these words, which follow those before."""
        if not len(words):
            return
        end = int(words[-1]) & END_MASK
        self._words.update(words.tobytes())
        self._times.update(block.times(self.count, self.count + len(words)).tobytes())
        for start in range(self.end, end, 1 << 20):
            self._payload.update(block.payload(start, min(start + (1 << 20), end)).data)
        self.count, self.end = self.count + len(words), end

    def value(self) -> int:
        """Return the hash, which is never 0."""
        parts = (self._times, self._words, self._payload)
        packed = _COUNTS.pack(self.count, *(part.intdigest() for part in parts))
        return xxhash.xxh3_64_intdigest(packed) or 1


def why_unreadable(error: OSError) -> str:
    """Return why one file cannot be read while others can; any other error is raised again."""
    if error.errno not in _UNREADABLE:
        raise error
    return f"it cannot be read ({error.strerror})"


def producer_folders(folder: Path) -> list[Path]:
    """Return the folders of the producers in a logger's folder, sorted by name."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [folder / name for name in sorted(names) if name.startswith(PRODUCER)]


def block_paths(producer: Path) -> list[Path]:
    """Return the files of a producer's blocks, in the order they were made."""
    try:
        names = os.listdir(producer)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [producer / name for name in sorted(names) if name.endswith(SUFFIX)]
