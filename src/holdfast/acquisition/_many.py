"""Putting many messages of one source with whole columns."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from holdfast.acquisition._input import checked_times, joined, source_number
from holdfast.acquisition._lane import Lane

if TYPE_CHECKING:
    from holdfast.acquisition._producer import Producer

Ends = npt.NDArray[np.int64]
Times = npt.NDArray[np.uint64]


def put_many(producer: "Producer", source: int | str, times: npt.ArrayLike, payloads: Any) -> None:
    """Put messages of one source, in order; those that fit into a block are published together.

    Raises
    ------
    InvalidInputError
        If an argument is wrong; nothing is put then.
    OSError
        If the disk is full; a note on it tells how many are kept.
    """
    number = source_number(source)
    stamps = checked_times(times)
    ends, content = joined(payloads, len(stamps))
    starts = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
    lane = producer.lane()
    if lane.busy:
        lane = producer.inner(lane)
    lane.busy = True
    done = 0
    try:
        producer.check()
        while done < len(stamps):
            rest = content[int(starts[done]) :]
            ends_of_rest = ends[done:] - starts[done]
            done += _put_some(producer, lane, (source, number), stamps[done:], ends_of_rest, rest)
    except OSError as error:
        error.add_note(f"{done} of {len(stamps)} messages are kept")
        raise
    finally:
        lane.mend()


def _put_some(
    producer: "Producer",
    lane: Lane,
    source: tuple[int | str, int | None],
    stamps: Times,
    ends: Ends,
    content: memoryview,
) -> int:
    """Put as many as one block takes; 0 where the block has to be changed first."""
    first = int(ends[0])
    producer.make_room(lane, first, 2)
    tag = lane.tags.get(source[0])
    if tag is None:
        tag = producer.define(lane, *source)
        producer.make_room(lane, first, 1)
        if source[0] not in lane.tags:
            return 0  # the definition took the last place; the new block gets its own
    block = lane.block
    if block is None:
        return 0
    room = block.header.capacity - lane.count
    fitting = int(np.searchsorted(ends, block.room - lane.end, side="right"))
    count = min(room, fitting, len(stamps))
    _store(lane, tag, stamps[:count], ends[:count] + lane.end, content)
    return count


def _store(lane: Lane, tag: int, stamps: Times, ends: Ends, content: memoryview) -> None:
    number, count = lane.count, len(stamps)
    end = int(ends[-1])
    words = _words(np.uint64(tag) | ends.astype(np.uint64))
    lane.times[number : number + count] = _words(stamps)
    lane.payload[lane.end : end] = content[: end - lane.end]
    if count > 1:
        lane.words[number + 1 : number + count] = words[1:]
    # The first word comes last: until it is there, those behind it are beyond the end.
    lane.words[number] = words[0]
    lane.end, lane.count = end, number + count


def _words(values: Times) -> memoryview:
    return np.ascontiguousarray(values).data.cast("B").cast("Q")
