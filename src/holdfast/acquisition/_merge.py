"""Putting the messages of many runs in order, in pieces that fit the memory."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from holdfast.acquisition._gather import I64, U8, U64, Part, concatenated, gather
from holdfast.acquisition._runs import Run

BUDGET = 96 << 20
"""Bytes of messages that are put in order at once; about four times as many are held."""

LAST = 2**64 - 1

Sink = Callable[[int, U64, I64, U8], None]
"""Takes messages of one source: its number, times, lengths, payloads."""


def merge_runs(
    runs: Sequence[Run], sink: Sink, *, done: Callable[[int], None] | None = None
) -> None:
    """Give the messages of runs to a sink: of each source by recording, then time.

    Messages of one time keep the order of the runs, and within a run that of its messages.

    Parameters
    ----------
    runs : sequence of Run
        Where they come from.
    sink : callable
        Takes them.
    done : callable, optional
        Called with how many messages were given to the sink.
    """
    for recording in sorted({run.survey.recording for run in runs}):
        chosen = [run for run in runs if run.survey.recording == recording]
        for low, high in _spans(chosen, BUDGET):
            reached = [r for r in chosen if r.survey.low <= high and r.survey.high >= low]
            for part in _parts(reached, low, high, BUDGET):
                _give(part, sink)
                if done is not None:
                    done(len(part.times))


def _spans(runs: Sequence[Run], budget: int) -> Iterator[tuple[int, int]]:
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
        if filled and filled + cost > budget and time > low:
            yield low, time - 1
            low, filled = time, 0.0
        filled += cost
        if cost > budget and time < LAST:  # so many at one time are a span of their own
            yield low, time
            low, filled = time + 1, 0.0
    yield low, LAST


def _parts(runs: Sequence[Run], low: int, high: int, budget: int) -> Iterator[Part]:
    """Yield the messages of a span in order: at once, or run by run where it is one time."""
    if low == high and sum(run.survey.cost for run in runs) > budget:
        for run in runs:
            part = run.load(low, high)
            if part is not None:
                yield part
        return
    parts = [part for run in runs if (part := run.load(low, high)) is not None]
    if parts:
        whole = concatenated(parts)
        del parts
        if (whole.times[1:] < whole.times[:-1]).any():
            whole = whole.take(np.argsort(whole.times, kind="stable"))
        yield whole


def _give(part: Part, sink: Sink) -> None:
    if (part.sources == part.sources[0]).all():
        sink(int(part.sources[0]), part.times, part.lengths, _payload(part))
        return
    order = np.argsort(part.sources.astype(np.uint32), kind="stable")
    borders = np.flatnonzero(np.diff(part.sources[order])) + 1
    for rows in np.split(order, borders):
        own = part.take(rows)
        sink(int(own.sources[0]), own.times, own.lengths, _payload(own))


def _payload(part: Part) -> U8:
    return gather(part.payload, part.starts, part.lengths)
