"""`Lane`: what one thread fills, message by message."""

from typing import Any

from holdfast.acquisition._block import Block, Column
from holdfast.acquisition._format import END_MASK

_NOWHERE: Any = ()
"""In place of columns where there is no block: storing to it fails, which asks for one."""


class Lane:
    """One thread's block, and how far it is filled.

    Attributes
    ----------
    busy : bool
        Whether a put is at work. Left True by one that was interrupted and could not be mended;
        the lane is then used no more.
    count, end : int
        Messages, and bytes of their payloads, in the block.
    limit : int
        Bytes that fit; -1 sends the next put the slow way.
    times, words, payload : column
        What it stores to.
    tags : dict
        The upper part of a word by source, for sources that the block knows.
    inner : Lane or None
        What a signal handler uses that puts in the middle of a put.
    number : int
        Its number within its producer.
    order : int
        How many blocks it has begun.
    block, following : Block or None
        The block being filled, and the one prepared.
    awaits : bool
        Whether the following block is being prepared.
    previous : list of (str, int)
        Path and length of blocks that may not be on the disk yet, for back-pressure.
    closed : bool
        Whether it takes no more.
    """

    __slots__ = (
        "awaits",
        "block",
        "busy",
        "closed",
        "count",
        "end",
        "following",
        "inner",
        "limit",
        "number",
        "order",
        "payload",
        "previous",
        "tags",
        "times",
        "words",
    )

    def __init__(self, number: int) -> None:
        self.number, self.order = number, 0
        self.busy = self.closed = self.awaits = False
        self.inner: Lane | None = None
        self.block: Block | None = None
        self.following: Block | None = None
        self.previous: list[tuple[str, int]] = []
        self._no_block()

    def _no_block(self) -> None:
        self.block = None
        self.count = self.end = 0
        self.limit = -1
        self.times: Column = _NOWHERE
        self.words: Column = _NOWHERE
        self.payload: Column = _NOWHERE
        self.tags: dict[Any, int] = {}

    def begin(self, block: Block) -> None:
        """Fill a new block from now on."""
        self.order += 1
        block.begin(self.order)
        self._no_block()
        self.times, self.words, self.payload = block.times, block.words, block.payload
        self.block = block
        self.limit = block.room

    def leave(self) -> None:
        """Give the block up, which is final then; one without messages is deleted."""
        block, count = self.block, self.count
        self._no_block()
        if block is None:
            return
        if count:
            block.finish(count)
        else:
            block.remove()

    @property
    def mean(self) -> int:
        """Bytes a payload in the block has on average."""
        return self.end // self.count if self.count else 64

    def store(self, tag: int, time: int, content: memoryview) -> None:
        """Store one message that fits."""
        number, end = self.count, self.end + len(content)
        self.times[number] = time
        self.payload[self.end : end] = content
        self.words[number] = tag | end
        self.end, self.count = end, number + 1

    def mend(self) -> None:
        """Find out, after an interruption, whether the message at hand was published."""
        if self.block is not None and self.count < self.block.header.capacity:
            word = self.words[self.count]  # type: ignore[index]  # columns of words are read, too
            if word:
                self.end, self.count = word & END_MASK, self.count + 1
        self.busy = False
