"""What a logger's folder holds, source by source: for the command and for people."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from holdfast.acquisition._archive import archive_path, open_archive
from holdfast.acquisition._collect import collect, until_settled, warn_of_problems
from holdfast.acquisition._gather import U64, Part, grouped
from holdfast.acquisition._making import Tally
from holdfast.acquisition._onset import ONSET_BYTES, recordings
from holdfast.acquisition._runs import Run, Source


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What there is of a source.

    Attributes
    ----------
    source : int or str
        Who sent it.
    messages : int
        How many, onsets not among them.
    bytes : int
        Bytes of their payloads.
    onset_us : int or None
        Microseconds since the epoch that times count from.
    first_us, last_us : int or None
        Times of the first and last, as they were put.
    rate : float or None
        Messages a second between them.
    longest_gap_us : int or None
        The longest time without a message, within a recording.
    """

    source: int | str
    messages: int
    bytes: int
    onset_us: int | None
    first_us: int | None
    last_us: int | None
    rate: float | None
    longest_gap_us: int | None


@dataclass(slots=True)
class _Recording:
    """The messages of one source in one recording: their times in order, bytes, and the onset."""

    times: U64
    size: int
    onset: int | None

    def with_new(self, new: "_Recording") -> "_Recording":
        """Return what an archive holds with messages that come after it where times are equal."""
        onset = self.onset
        if onset is None and not (len(self.times) and not self.times[0]):
            onset, new = new.onset, new.without_onset()
        times = np.sort(np.concatenate([self.times, new.times]))
        return _Recording(times, self.size + new.size, onset)

    def without_onset(self) -> "_Recording":
        """Return messages whose first is the onset without that."""
        if self.onset is None:
            return self
        return _Recording(self.times[1:], self.size - ONSET_BYTES, self.onset)


def report(folder: Path) -> list[SourceReport]:
    """Describe each source in a logger's folder.

    The folder is looked at once, whatever the number of sources. Of each message that is not in an
    archive yet, memory holds about 30 bytes for a while.

    Raises
    ------
    FormatError, IntegrityError
        If an archive is damaged.
    """
    return until_settled(lambda: _report(folder))


def _report(folder: Path) -> list[SourceReport]:
    collected = collect(folder)
    warn_of_problems(folder, collected)
    new = _new(collected.runs)
    names = collected.sources.names
    known: set[Source] = {names[number] for number in new} | set(collected.taken)
    found = []
    for source in sorted(known, key=lambda name: (isinstance(name, str), name)):
        held, done = new.get(collected.sources.number(source), {}), dict[int, _Recording]()
        if source in collected.taken:  # opened one by one: there may be more than files may be open
            for number, archived in _archived(folder, source, collected.taken[source]):
                more = held.pop(number, None)
                done[number] = archived if more is None else archived.with_new(more)
        done |= {number: recording.without_onset() for number, recording in held.items()}
        found.append(_described(source, [done[number] for number in sorted(done)]))
    return found


def _new(runs: Sequence[Run]) -> dict[int, dict[int, _Recording]]:
    """Return what runs hold, by source and recording."""
    found: dict[int, dict[int, _Recording]] = {}
    for recording in {run.survey.recording for run in runs}:
        chosen = [run for run in runs if run.survey.recording == recording]
        onsets: dict[int, int | None] = {}
        numbers, times = [], []
        for run in chosen:
            part = run.scan()
            _find_onsets(run, part, onsets)
            numbers.append(part.sources.astype(np.uint32))
            times.append(part.times)
        order, borders = grouped(np.concatenate(numbers))
        stamps, sizes = np.concatenate(times)[order], Tally(chosen).sizes
        senders = np.concatenate(numbers)[order]
        for first, stop in pairwise(borders):
            number, own = int(senders[first]), stamps[first:stop]
            own.sort()
            held = _Recording(own, int(sizes[number]), onsets.get(number))
            found.setdefault(number, {})[recording] = held
    return found


def _find_onsets(run: Run, part: Part, onsets: dict[int, int | None]) -> None:
    """Note the first message of each source that has time 0: its content, if it is an onset."""
    rows = np.flatnonzero(part.times == 0)
    for at in np.unique(part.sources[rows], return_index=True)[1].tolist():
        row = int(rows[at])
        number, start = int(part.sources[row]), int(part.starts[row])
        if number not in onsets:
            is_onset = int(part.lengths[row]) == ONSET_BYTES
            content = run.bytes_of(part, start, ONSET_BYTES) if is_onset else b""
            onsets[number] = int.from_bytes(content, "little") if is_onset else None


def _archived(
    folder: Path, source: Source, taken: dict[int, int]
) -> Iterator[tuple[int, _Recording]]:
    messages = open_archive(archive_path(folder, source))
    if messages.known != taken:
        raise FileNotFoundError(f"{folder} was assembled meanwhile")
    numbers = messages.recordings[:, 0].tolist()
    for number, part in zip(numbers, recordings(messages, None), strict=True):
        messages.check_columns(part.first, part.stop)
        size = int(messages.offsets[part.stop]) - int(messages.offsets[part.first])
        yield int(number), _Recording(messages.times[part.first : part.stop], size, part.onset)


def _described(source: Source, held: Sequence[_Recording]) -> SourceReport:
    onset = next((part.onset for part in held if part.onset is not None), None)
    size = sum(part.size for part in held)
    full = [part.times for part in held if len(part.times)]
    if not full:
        return SourceReport(source, 0, size, onset, None, None, None, None)
    count = sum(len(times) for times in full)
    span = sum(int(times[-1]) - int(times[0]) for times in full)
    gaps = [int(np.diff(times).max()) for times in full if len(times) > 1]
    return SourceReport(
        source,
        count,
        size,
        onset,
        int(full[0][0]),
        int(full[-1][-1]),
        (count - len(full)) / span * 1e6 if span else None,
        max(gaps, default=None),
    )
