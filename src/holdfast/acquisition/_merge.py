"""Putting the messages of many runs in order, in pieces that fit the memory."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path

import numpy as np

from holdfast.acquisition._gather import Part, concatenated
from holdfast.acquisition._runs import Run, survey_of
from holdfast.acquisition._spill import KeptRun, SpilledRun

BUDGET = 96 << 20
"""Bytes of messages that are put in order at once; about four times as many are held."""

LAST = 2**64 - 1

_OFTEN = 2
"""Runs that would be read whole more often than this are put in order before."""


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
        Where runs that have to be put in order first are kept for a while; None: in memory.
    """
    for recording in sorted({run.survey.recording for run in runs}):
        chosen = [run for run in runs if run.survey.recording == recording]
        spans = list(_spans(chosen, BUDGET))
        sorted_first: list[SpilledRun | KeptRun] = []
        if _often(chosen, spans):
            chosen = _in_order(chosen, sorted_first, executor, spill)
        for low, high in spans:
            reached = [run for run in chosen if _reaches(run, low, high)]
            yield from _parts(reached, low, high, BUDGET)
        for run in sorted_first:
            run.remove()


def _reaches(run: Run, low: int, high: int) -> bool:
    return run.survey.low <= high and run.survey.high >= low


def _often(runs: Sequence[Run], spans: Sequence[tuple[int, int]]) -> bool:
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


def _in_order(
    runs: Sequence[Run],
    made: list[SpilledRun | KeptRun],
    executor: Executor | None,
    spill: Path | None,
) -> list[Run]:
    """Return runs that are in order, and hold the same; those made for it are in `made`, too."""
    waiting: Future[SpilledRun | KeptRun] | None = None
    found: list[Run | Future[SpilledRun | KeptRun]] = []
    for group in _groups(runs):
        if group[0].ordered:
            found += group
            continue
        part = concatenated([p for run in group if (p := run.load(0, LAST)) is not None]).ordered()
        if waiting is not None:
            waiting.result()  # one piece is written while the next is read: no more memory
        if executor is None:
            found.append(_made(group[0].survey.recording, part, spill))
        else:
            waiting = executor.submit(_made, group[0].survey.recording, part, spill)
            found.append(waiting)
        del part
    result: list[Run] = []
    for run in found:
        done = run.result() if isinstance(run, Future) else run
        if isinstance(done, SpilledRun | KeptRun):
            made.append(done)
        result.append(done)
    return result


def _made(recording: int, part: Part, spill: Path | None) -> SpilledRun | KeptRun:
    survey = survey_of(recording, part.sources, part.times, part.lengths)
    return KeptRun(part, survey) if spill is None else SpilledRun(spill, part, survey)


def _groups(runs: Sequence[Run]) -> Iterator[list[Run]]:
    """Yield runs that follow each other: ordered ones alone, others as many as fit."""
    group: list[Run] = []
    filled = 0
    for run in runs:
        if group and (run.ordered or filled + run.survey.cost > BUDGET):
            yield group
            group, filled = [], 0
        if run.ordered:
            yield [run]
            continue
        group.append(run)
        filled += run.survey.cost
    if group:
        yield group


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
        yield concatenated(parts).ordered()
