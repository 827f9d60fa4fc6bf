"""Onsets: messages with time 0 that tell when a recording began, and times counted from there."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from holdfast.acquisition._columns import Messages
from holdfast.acquisition._gather import U64
from holdfast.errors import FormatError

if TYPE_CHECKING:
    import numpy.typing as npt

ONSET_BYTES = 8
LAST_TIME = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Recording:
    """Rows of one recording.

    Attributes
    ----------
    first, stop : int
        Its rows, an onset not among them.
    onset : int or None
        Microseconds since the epoch that its times count from.
    """

    first: int
    stop: int
    onset: int | None


def recordings(messages: Messages, given: int | None) -> list[Recording]:
    """Return the recordings of a source, each without its onset message.

    A recording without an onset of its own counts on from the one before.

    Parameters
    ----------
    messages : Messages
        All messages of the source.
    given : int, optional
        The onset of the first recording, which is then not looked for.
    """
    firsts = [int(first) for first in messages.recordings[:, 1].tolist()]
    found: list[Recording] = []
    onset = given
    for first, stop in zip(firsts, [*firsts[1:], len(messages.times)], strict=True):
        own = _onset_of(messages, first, stop)
        if own is not None and not (given is not None and not found):
            onset = own
        found.append(Recording(first + (own is not None), stop, onset))
    return found


def _onset_of(messages: Messages, first: int, stop: int) -> int | None:
    if first == stop:
        return None
    messages.check(first, first + 1)
    start, end = (int(offset) for offset in messages.offsets[first : first + 2])
    if int(messages.times[first]) or end - start != ONSET_BYTES:
        return None
    return int(messages.payload[start:end].view("<u8")[0])


def absolute(times: U64, onset: int) -> U64:
    """Return times, which are in order, as microseconds since the epoch.

    Raises
    ------
    FormatError
        If the last is beyond what 64 bits hold.
    """
    if len(times) and int(times[-1]) + onset > LAST_TIME:
        raise FormatError(
            f"time {int(times[-1])} with onset {onset} is beyond 2**64 - 1 µs; pass onset_us=0 "
            "where times were put as microseconds since the epoch"
        )
    result: npt.NDArray[np.uint64] = times + np.uint64(onset)
    return result
