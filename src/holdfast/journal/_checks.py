"""How many rows of a block can be trusted, after a reboot and after the death of its writer."""

import xxhash

from holdfast.journal._format import AHEAD, HEADER_BYTES, BlockHeader
from holdfast.journal._segment import GenerationFile

_PIECE = 1 << 20


def synced_count(file: GenerationFile, offset: int, block: BlockHeader) -> int:
    """Return how many rows a sync is known to have brought to the disk.

    Parameters
    ----------
    file : GenerationFile
        The generation.
    offset : int
        Where the block begins in it.
    block : BlockHeader
        Its header.
    """
    return max((count & ~AHEAD for count in _fitting(file, offset, block)), default=0)


def checked_count(file: GenerationFile, offset: int, block: BlockHeader) -> tuple[int, str]:
    """Return how many rows to take from a block whose writer has died, but not the machine.

    Then the page cache holds all that was stored, so that a count beyond the block or the file, or
    a sync mark that does not fit the rows or exceeds the count, can only be damage.

    Returns
    -------
    int
        The published rows, or those that a mark proves where something is wrong.
    str
        What is wrong, ``""`` if nothing is.
    """
    marked = [count for count, _ in block.marks if count]
    fitting = _fitting(file, offset, block)
    proven = max((count & ~AHEAD for count in fitting), default=0)
    if len(fitting) < len(marked):
        return proven, f"rows do not fit their checksum and are left out from {proven} on"
    if block.count > min(block.capacity, _rows_within(file, offset, block)):
        return proven, f"its file is cut or its count wrong; rows are left out from {proven} on"
    if block.count < proven and proven | AHEAD not in fitting:
        return proven, f"its count is {block.count}, and {proven} rows had been synced"
    return max(block.count, proven), ""


def _fitting(file: GenerationFile, offset: int, block: BlockHeader) -> list[int]:
    """Return the counts of the sync marks that fit the rows, as they stand there."""
    room = min(block.capacity, _rows_within(file, offset, block))
    digest, done, fitting = xxhash.xxh3_64(), 0, []
    step = max(_PIECE // max(block.row_bytes, 1), 1)
    for marked, check in sorted(block.marks, key=lambda mark: mark[0] & ~AHEAD):
        count = marked & ~AHEAD
        if not 0 < count <= room:
            continue
        for row in range(done, count, step):
            rows = min(step, count - row)
            start = offset + HEADER_BYTES + row * block.row_bytes
            digest.update(file.read(start, rows * block.row_bytes))
        done = count
        if digest.intdigest() == check:
            fitting.append(marked)
    return fitting


def _rows_within(file: GenerationFile, offset: int, block: BlockHeader) -> int:
    """Return how many rows of a block the file is long enough for; it may have been cut."""
    room = file.size - offset - HEADER_BYTES
    return max(room, 0) // block.row_bytes if block.row_bytes else block.capacity
