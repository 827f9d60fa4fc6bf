"""What a logger's folder holds, source by source: for the command and for people."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from holdfast.acquisition._live import sources_in
from holdfast.acquisition._reader import LogArchiveReader


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


def report(folder: Path) -> list[SourceReport]:
    """Describe each source in a logger's folder.

    Raises
    ------
    FormatError, IntegrityError
        If an archive is damaged.
    """
    return [_of(LogArchiveReader.live(folder, source)) for source in sources_in(folder)]


def _of(reader: LogArchiveReader) -> SourceReport:
    times, offsets, _ = reader.read_arrays(elapsed=True)
    size = int(offsets[-1]) - int(offsets[0])
    if not len(times):
        return SourceReport(reader.source, 0, 0, reader.known_onset, None, None, None, None)
    gaps = np.diff(times.astype(np.int64))
    gaps = gaps[gaps >= 0]  # times decrease only where another recording begins
    span = int(gaps.sum())
    return SourceReport(
        reader.source,
        len(times),
        size,
        reader.known_onset,
        int(times[0]),
        int(times[-1]),
        len(gaps) / span * 1e6 if span else None,
        int(gaps.max()) if len(gaps) else None,
    )
