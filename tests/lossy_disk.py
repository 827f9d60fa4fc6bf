"""`LossyDisk`: what a power loss may leave of a folder, by its system calls and its files."""

import os
import random
from dataclasses import dataclass, field
from pathlib import Path

from holdfast.testing.faults import Call

PAGE = 4096


@dataclass
class File:
    """A file, open so that its number is not given to another: what of it is on the disk."""

    descriptor: int
    durable: bytes = b""

    def now(self) -> bytes:
        return os.pread(self.descriptor, os.fstat(self.descriptor).st_size, 0)

    def mixture(self, chance: random.Random, lost: float) -> bytes:
        current = self.now()
        size = len(self.durable) if chance.random() < lost else len(current)
        old, new = self.durable.ljust(size, b"\0"), current.ljust(size, b"\0")
        pages = [
            (old if chance.random() < lost else new)[at : at + PAGE] for at in range(0, size, PAGE)
        ]
        return b"".join(pages)[:size]


@dataclass
class Folder:
    """A folder: its entries now, and those on the disk."""

    descriptor: int
    now: "dict[str, File | Folder]" = field(default_factory=dict)
    durable: "dict[str, File | Folder]" = field(default_factory=dict)


class LossyDisk:
    """Any mixture of what is durable and what is there now: of entries, and of pages of files."""

    def __init__(self, folder: Path) -> None:
        self._path = folder
        self._nodes: dict[int, File | Folder] = {}
        self._root = self._look(folder)

    def _look(self, path: Path) -> Folder:
        """Take in what a folder holds now."""
        known = self._node(path)
        assert isinstance(known, Folder)
        known.now = {}
        for entry in path.iterdir():
            known.now[entry.name] = self._look(entry) if entry.is_dir() else self._node(entry)
        return known

    def _node(self, path: Path) -> File | Folder:
        number = path.stat().st_ino
        if number not in self._nodes:
            descriptor = os.open(path, os.O_RDONLY)
            self._nodes[number] = Folder(descriptor) if path.is_dir() else File(descriptor)
        return self._nodes[number]

    def after(self, call: Call) -> None:
        """Learn what a call has brought to the disk."""
        self._look(self._path)
        if call.name != "fsync":
            return
        node = self._node(Path(call.target))
        if isinstance(node, Folder):
            node.durable = dict(node.now)
        else:
            node.durable = node.now()

    def develop(self, place: Path, chance: random.Random, *, lost: float) -> None:
        """Make a folder in one of the states that a power loss at this moment may leave."""
        self._look(self._path)
        self._develop(self._root, place, chance, lost)

    def _develop(self, folder: Folder, place: Path, chance: random.Random, lost: float) -> None:
        place.mkdir()
        for name in sorted({*folder.now, *folder.durable}):
            node = (folder.durable if chance.random() < lost else folder.now).get(name)
            if isinstance(node, Folder):
                self._develop(node, place / name, chance, lost)
            elif node is not None:
                (place / name).write_bytes(node.mixture(chance, lost))

    def close(self) -> None:
        """Let go of all files."""
        for node in self._nodes.values():
            os.close(node.descriptor)
