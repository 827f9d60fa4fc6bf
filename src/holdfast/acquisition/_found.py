"""Which blocks a logger's folder holds at one moment, in the order in which they were filled."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from holdfast.acquisition._alive import producer_lives
from holdfast.acquisition._stored import (
    StoredBlock,
    block_paths,
    producer_folders,
    why_unreadable,
)


@dataclass(frozen=True, slots=True)
class Found:
    """A block as it was when it was looked at.

    Attributes
    ----------
    path : Path
        The file.
    lane : int
        Which lane of its producer wrote it; -1 where the header is not valid.
    order : int
        Which of the lane's blocks it is, from 1; 0 if it was not begun, -1 if that is damaged.
    final : bool
        Whether nothing more comes to it.
    blank : bool
        Whether nothing was ever written.
    problem : str
        Why it cannot be read, empty if it can.
    """

    path: Path
    lane: int
    order: int
    final: bool
    blank: bool
    problem: str = ""


def blocks_in(folder: Path) -> Iterator[Found]:
    """Yield blocks: of a lane, all that were begun before the last of them that is among these.

    So no message is missing before another of the same thread, in whichever order they are read.
    """
    for producer in producer_folders(folder):
        if producer.is_symlink():  # what it leads to belongs to somebody else
            yield _unreadable(producer, "it is a symbolic link")
            continue
        try:
            yield from _blocks_of(producer)
        except OSError as error:
            yield _unreadable(producer, why_unreadable(error))


def _blocks_of(producer: Path) -> list[Found]:
    dead = not producer_lives(producer)
    seen = {path: _looked_at(path, dead=dead) for path in block_paths(producer)}
    if not dead:
        seen = _closed(producer, seen)
    return sorted(seen.values(), key=lambda found: (found.lane, found.order))


def _closed(producer: Path, seen: dict[Path, Found]) -> dict[Path, Found]:
    """Return the blocks that were begun, with those that came before one of them unnoticed.

    While blocks are looked at, a lane may begin one that was looked at already, or is not listed
    yet, fill it, and go on to one that is looked at later.
    """
    last: dict[int, int] = {}
    for found in seen.values():
        last[found.lane] = max(found.order, last.get(found.lane, 0))
    begun = {path: found for path, found in seen.items() if found.order or found.problem}
    for path in block_paths(producer):
        if path not in begun:
            with contextlib.suppress(FileNotFoundError):  # it was never used
                found = _looked_at(path, dead=False)
                if 0 < found.order < last.get(found.lane, 0):
                    begun[path] = found
    return begun


def _looked_at(path: Path, *, dead: bool) -> Found:
    try:
        return _read(path, dead=dead)
    except OSError as error:
        return _unreadable(path, why_unreadable(error))


def _unreadable(path: Path, why: str) -> Found:
    return Found(path, -1, 0, final=False, blank=False, problem=why)


def _read(path: Path, *, dead: bool) -> Found:
    block = StoredBlock(path)
    try:
        if block.header is None:
            return Found(path, -1, 0, dead, block.is_blank())
        states = block.states()
        order = -1 if states.order is None else states.order
        return Found(path, block.header.lane, order, dead or states.final is not None, blank=False)
    finally:
        block.close()
