"""Putting the messages of many runs in order, in pieces that fit the memory."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from itertools import pairwise
from pathlib import Path

import numpy as np

from holdfast.acquisition._gather import Part, concatenated
from holdfast.acquisition._parting import Parting
from holdfast.acquisition._runs import Run

BUDGET = 96 << 20
"""Bytes of messages that are put in order at once; about four times as many are held."""

LAST = 2**64 - 1

_OFTEN = 2
"""Runs that would be read whole more often than this are parted by span of time before."""

_PIECE = 1 << 18
"""Bytes that one write of a parting shall have at least, on average."""

Span = tuple[int, int]


def merged_parts(
    runs: Sequence[Run], executor: Executor | None = None, spill: Path | None = None
) -> Iterator[Part]:
    """Yield the messages of runs: by recording, then time.

    Messages of one time keep the order of the runs, and within a run that of its messages.

    Parameters
    ----------
    runs : sequence of Run
        Where they come from.
    executor : Executor, optional
        Writes files in the folder `spill`.
    spill : Path, optional
        Where messages in no order are kept for a while; None: in memory.
    """
    for recording in sorted({run.survey.recording for run in runs}):
        chosen = [run for run in runs if run.survey.recording == recording]
        following = _following(chosen)
        if following:
            yield from _whole(following, spill)
        else:
            yield from _by_span(chosen, executor, spill)


def _following(runs: Sequence[Run]) -> list[Run]:
    """Return runs one after another in time, where they are so and each is in order."""
    order = sorted(range(len(runs)), key=lambda at: (runs[at].survey.low, at))
    for before, after in pairwise(order):
        end, begin = runs[before].survey.high, runs[after].survey.low
        if end > begin or (end == begin and before > after):
            return []
    return [runs[at] for at in order] if all(run.survey.follows for run in runs) else []


def _whole(runs: Sequence[Run], spill: Path | None) -> Iterator[Part]:
    for run in runs:
        part = run.load(0, LAST)
        if part is not None:
            yield part
        _release([run], spill)


def _release(runs: Sequence[Run], spill: Path | None) -> None:
    for run in runs if spill is not None else ():
        run.release()


def _by_span(runs: Sequence[Run], executor: Executor | None, spill: Path | None) -> Iterator[Part]:
    """Yield messages span by span, each put in order."""
    spans = list(_spans(runs, BUDGET))
    parting = None
    if _often(runs, spans):
        lows = np.array([low for low, _ in spans], np.uint64)
        parting = Parting(lows, spill)
        _part(parting, [run for run in runs if not run.ordered], len(spans), executor, spill)
        runs = [run for run in runs if run.ordered]
    for number, (low, high) in enumerate(spans):
        reached = [run for run in runs if run.survey.low <= high and run.survey.high >= low]
        loaded = (part for run in reached if (part := run.load(low, high)) is not None)
        if low == high:  # however many there are at one time, they are in order as they stand
            yield from loaded
            yield from () if parting is None else parting.take(number, BUDGET)
        else:
            parts = [*loaded, *(() if parting is None else parting.take(number, None))]
            if parts:
                yield concatenated(parts).ordered()
        _release([run for run in reached if run.survey.high <= high], spill)


def _often(runs: Sequence[Run], spans: Sequence[Span]) -> bool:
    """Whether runs that are read whole for each span are so for many."""
    lows = np.array([low for low, _ in spans], np.uint64)
    total, read = 0, 0
    for run in runs:
        if not run.ordered:
            first, last = np.searchsorted(
                lows, np.array([run.survey.low, run.survey.high], np.uint64), "right"
            )
            total += run.survey.cost
            read += run.survey.cost * (int(last) - int(first) + 1)
    return read > _OFTEN * total


def _part(
    parting: Parting,
    runs: Sequence[Run],
    spans: int,
    executor: Executor | None,
    spill: Path | None,
) -> None:
    waiting: Future[None] | None = None
    for group in _groups(runs, min(spans * _PIECE, BUDGET)):
        part = concatenated([p for run in group if (p := run.load(0, LAST)) is not None])
        if waiting is not None:
            waiting.result()  # one piece is parted while the next is read: no more memory
        if executor is None:
            parting.add(part)
        else:
            waiting = executor.submit(parting.add, part)
        del part
        _release(group, spill)
    if waiting is not None:
        waiting.result()


def _groups(runs: Sequence[Run], budget: int) -> Iterator[list[Run]]:
    """Yield runs that follow each other, as many as fit, and one at least."""
    group: list[Run] = []
    filled = 0
    for run in runs:
        if group and filled + run.survey.cost > budget:
            yield group
            group, filled = [], 0
        group.append(run)
        filled += run.survey.cost
    if group:
        yield group


def _spans(runs: Sequence[Run], budget: int) -> Iterator[Span]:
    """Yield spans of time, together all of it, whose messages are about as many as fit."""
    samples = np.concatenate([run.survey.samples for run in runs])
    weights = np.concatenate(
        [
            np.full(len(run.survey.samples), run.survey.cost / len(run.survey.samples))
            for run in runs
        ]
    )
    order = np.argsort(samples, kind="stable")
    times, firsts = np.unique(samples[order], return_index=True)
    costs = np.add.reduceat(weights[order], firsts)
    low, filled = 0, 0.0
    for time, cost in zip(times.tolist(), costs.tolist(), strict=True):
        if filled + cost > budget and time > low:  # so many at one time are a span of their own
            yield low, time - 1
            low, filled = time, 0.0
        filled += cost
        if cost > budget and time < LAST:
            yield low, time
            low, filled = time + 1, 0.0
    yield low, LAST
