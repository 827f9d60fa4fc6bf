"""A small writer of journals for tests: numbered rows, of which each tells its own number."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.journal import Block, Journal, JournalWriter, WriterLock, _writer, read_journal

WIDTH = 24
FOLDER = Path("x.h5-journal")


def row(stream: int, number: int, width: int = WIDTH) -> bytes:
    """Return the bytes that row `number` of a stream has in all tests."""
    words = [stream * 1_000_003 + number * 17 + n for n in range(-(-width // 8))]
    return np.array(words, np.uint64).tobytes()[:width]


def expected(stream: int, start: int, stop: int, width: int = WIDTH) -> bytes:
    return b"".join(row(stream, number, width) for number in range(start, stop))


class Writer:
    """Appends such rows to a journal, a new block whenever the last one is full."""

    def __init__(self, folder: Path = FOLDER, *, mapped: bool = True) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_writer, "can_map", lambda _: mapped)
            self.journal = JournalWriter(folder, WriterLock(folder))
        self.widths: dict[int, int] = {}
        self.counts: dict[int, int] = {}
        self.blocks: dict[int, Block] = {}

    def define(self, stream: int, width: int = WIDTH, **more: Any) -> None:
        self.journal.define(stream, {"name": f"s{stream}", "width": width, **more})
        self.widths[stream], self.counts[stream] = width, 0

    def append(self, stream: int, rows: int = 1) -> None:
        for _ in range(rows):
            block = self.blocks.get(stream)
            if block is None or block.count == block.capacity:
                first, width = self.counts[stream], self.widths[stream]
                block = self.journal.add_block(stream, first, width, previous=block)
                self.blocks[stream] = block
            block.write(block.count, row(stream, self.counts[stream], self.widths[stream]))
            block.publish(block.count + 1)
            self.counts[stream] += 1

    def rotate(self) -> int:
        self.blocks.clear()
        return self.journal.rotate()

    def abandon(self) -> None:
        """Leave the journal as the death of the process would."""
        self.journal.close(keep=True)


def assert_whole(journal: Journal, writer: Writer) -> None:
    """Check that a journal holds all rows of its writer and nothing else, without a complaint."""
    assert journal.problems == []
    for stream, count in writer.counts.items():
        assert journal.rows(stream) == ((0, count) if count else (0, 0))
        assert journal.read(stream, 0, count) == expected(stream, 0, count, writer.widths[stream])


def snapshot(folder: Path = FOLDER) -> Journal:
    journal = read_journal(folder)
    assert journal is not None
    return journal


def generations(folder: Path = FOLDER) -> list[str]:
    return sorted(name for name in os.listdir(folder) if name.endswith(".journal"))
