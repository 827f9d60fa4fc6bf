"""The logger process: seals finished blocks, syncs on a timer, tidies after dead producers.

It holds nothing that is nowhere else, so it may be killed at any instant. It ends when it is told
to, and when its parent is gone.
"""

import contextlib
import json
import os
import select
import signal
import sys
import time
from pathlib import Path

from holdfast._sync import fsync_path
from holdfast.acquisition._format import (
    LOCK,
    LOGGER,
    MARKS_AT,
    SEALED_AT,
    WORD,
    pack_mark,
)
from holdfast.acquisition._stored import BlockDigest, StoredBlock, block_paths, producer_folders
from holdfast.errors import HoldfastError, LockedError
from holdfast.journal import WriterLock, writer_lives

SYNC_SECONDS = 1.0


class Service:
    """Looks after the blocks in one logger's folder.

    Parameters
    ----------
    folder : Path
        The logger's output directory.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[Path, _Watched] = {}

    def round(self, *, sync: bool) -> None:
        """Seal what is finished, and mark and sync the rest if asked to.

        Raises
        ------
        OSError
            The first that a block met, after all others had their turn; the next round tries again.
        """
        present = set()
        problems: list[OSError] = []
        for producer in producer_folders(self._folder):
            dead = not writer_lives(producer)
            for path in block_paths(producer):
                present.add(path)
                try:
                    self._look_after(path, dead=dead, sync=sync)
                except FileNotFoundError:
                    pass  # assembled meanwhile
                except OSError as error:
                    problems.append(error)
            if sync:
                with contextlib.suppress(FileNotFoundError):
                    fsync_path(producer)
            if dead:
                remove_if_empty(producer)
        if sync:
            fsync_path(self._folder)
        self._known = {path: watched for path, watched in self._known.items() if path in present}
        if problems:
            raise problems[0]

    def _look_after(self, path: Path, *, dead: bool, sync: bool) -> None:
        watched = self._known.get(path)
        if watched is None:
            watched = self._known[path] = _Watched(path)
        if not watched.done:
            watched.look(dead=dead, sync=sync)


class _Watched:
    """A block, and how much of it is hashed and synced."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done = False
        self._digest = BlockDigest()
        self._slot = self._marked = 0

    def look(self, *, dead: bool, sync: bool) -> None:
        block = StoredBlock(self.path)
        try:
            if block.header is None:
                if dead and block.is_blank():
                    self.path.unlink(missing_ok=True)
                return
            states = block.states()
            if states.sealed:
                self.done = True
            elif states.final is not None or dead:
                self._seal(block, states.final)
            elif sync:
                self._mark(block, states.marks)
        finally:
            block.close()

    def _seal(self, block: StoredBlock, final: int | None) -> None:
        """Hash all of a finished block, sync it with the hash, and cut off what it did not use."""
        header = block.begun
        words, problem = block.published()
        if problem:
            self.done = True  # readers and assembly report it; a seal would make it look right
            return
        count = len(words) if final is None else min(final, len(words))
        if count == 0:
            self.path.unlink(missing_ok=True)
            return
        if self._digest.count > count:
            self._digest = BlockDigest()
        self._digest.update(block, words[self._digest.count : count])
        descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            if final != count:  # its producer died, or a power loss took the end of it
                os.pwrite(descriptor, (count + 1).to_bytes(WORD, "little"), SEALED_AT - WORD)
            os.ftruncate(descriptor, header.payload_at + self._digest.end)
            os.fsync(descriptor)  # the messages first: a seal says that they are there
            os.pwrite(descriptor, self._digest.value().to_bytes(WORD, "little"), SEALED_AT)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self.done = True

    def _mark(self, block: StoredBlock, marks: list[tuple[int, int]]) -> None:
        """Write how far a block in use came, and the hash up to there, and sync it."""
        words = block.words(self._digest.count, block.begun.capacity)
        self._digest.update(block, words)
        if self._digest.count == self._marked:
            return
        if not self._marked:  # a logger process before this one may have left marks
            self._slot = 0 if marks[0][0] <= marks[1][0] else 1
        descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            mark = pack_mark(self._digest.count, self._digest.value())
            os.pwrite(descriptor, mark, MARKS_AT[self._slot])
            os.fsync(descriptor)  # where it fails, the next one tries again, and spares the other
        finally:
            os.close(descriptor)
        self._slot ^= 1
        self._marked = self._digest.count


def remove_if_empty(producer: Path) -> None:
    """Delete the folder of a dead producer that holds nothing but its lock."""
    if block_paths(producer):
        return
    with contextlib.suppress(OSError):  # somebody else does so, or has put something in
        (producer / LOCK).unlink(missing_ok=True)
        producer.rmdir()


def serve(folder: Path, poll_seconds: float, parent: int) -> None:
    """Do rounds until told to stop, or until the parent is gone; then a last one.

    Problems go to standard output, a JSON line each.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program, which then stops us
    service, lock, next_sync, going = Service(folder), None, 0.0, True
    while going:
        going = not _told_to_stop(poll_seconds) and os.getppid() == parent
        if not folder.is_dir():
            continue
        try:
            lock = lock or WriterLock(folder / LOGGER)
            sync = not going or time.monotonic() >= next_sync
            service.round(sync=sync)
            if sync:
                next_sync = time.monotonic() + SYNC_SECONDS
        except LockedError:
            continue  # another logger of this folder does the work; this one waits for its end
        except (OSError, HoldfastError) as error:
            _report(error)
    if lock is not None:
        lock.remove()
        with contextlib.suppress(OSError):
            (folder / LOGGER).rmdir()


def _told_to_stop(seconds: float) -> bool:
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    return bool(ready)  # a line that says so, or the end of a parent


def _report(error: Exception) -> None:
    number = error.errno if isinstance(error, OSError) else None
    text = error.strerror if isinstance(error, OSError) else str(error)
    name = getattr(error, "filename", None)
    line = json.dumps({"errno": number, "text": text, "file": None if name is None else str(name)})
    with contextlib.suppress(OSError):  # nobody listens any more
        print(line, flush=True)  # noqa: T201 - its way to tell the parent


def main() -> None:
    """Run as a process: the arguments are one JSON object."""
    given = json.loads(sys.argv[1])
    serve(Path(given["folder"]), given["poll_seconds"], given["parent"])
