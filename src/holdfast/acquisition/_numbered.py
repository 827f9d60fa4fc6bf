"""`Numbered`: the messages of a source by number, onsets not among them, with their times."""

from collections.abc import Iterator, Sequence

import numpy as np

from holdfast.acquisition._columns import Messages, ends_of
from holdfast.acquisition._gather import gather
from holdfast.acquisition._keys import row_of
from holdfast.acquisition._message import LogMessage, MessageArrays
from holdfast.acquisition._onset import Recording, absolute, recordings
from holdfast.errors import FormatError, NotFoundError

_PIECE = 1 << 14


class Numbered:
    """Messages of one source, numbered from 0 through all recordings.

    Parameters
    ----------
    messages : Messages
        Them and their onsets, as an archive or a folder has them.
    where : str
        Names them in messages of errors.
    given : int, optional
        The onset of the first recording, which is then not looked for.
    """

    def __init__(self, messages: Messages, where: str, given: int | None) -> None:
        self.messages, self.where, self.given = messages, where, given
        self._recordings: list[Recording] = recordings(messages, given)
        self._numbers_by_key: dict[str, int] | None = None

    def __len__(self) -> int:
        return sum(part.stop - part.first for part in self._recordings)

    @property
    def onset(self) -> int | None:
        """Microseconds since the epoch of the first onset, None where there is none."""
        if self.given is not None:
            return self.given
        return next((part.onset for part in self._recordings if part.onset is not None), None)

    def no_onset(self) -> FormatError:
        """Return the error of whoever needs an onset where there is none."""
        return FormatError(
            f"{self.where} has no onset, a message with time 0 and 8 bytes; pass onset_us, which "
            "is 0 where times were put as microseconds since the epoch"
        )

    def _onset_of(self, part: Recording) -> int:
        if part.onset is None:
            raise self.no_onset()
        return part.onset

    # Keys

    def key(self, number: int) -> str:
        """Return the key of a message."""
        row = self._row(number)
        if self.messages.keys is not None:
            return self.messages.keys[row]
        source, time = self.messages.source, int(self.messages.times[row])
        name = f"{source:03d}" if isinstance(source, int) else source
        return f"{name}_{time:020d}_{number}"

    def _row(self, number: int) -> int:
        found = next(self.parts(number, number + 1), None)
        if found is None:
            raise self._not_there(number)
        return found.first

    def _not_there(self, number: int) -> NotFoundError:
        return NotFoundError(f"{self.where} has {len(self)} messages, and none of number {number}")

    def number_of(self, key: str) -> int:
        """Return the number of the message that has a key.

        Raises
        ------
        NotFoundError
            If none has.
        """
        if self.messages.keys is None:
            number = row_of(key, self.where)
            if self.key(number) == key:
                return number
            raise self._no_message(key)
        if self._numbers_by_key is None:
            self._numbers_by_key = {self.key(number): number for number in range(len(self))}
        try:
            return self._numbers_by_key[key]
        except KeyError:
            raise self._no_message(key) from None

    def _no_message(self, key: str) -> NotFoundError:
        return NotFoundError(f"{self.where} has no message {key!r}; take keys from get_batches()")

    # Rows

    def parts(self, start: int, stop: int) -> Iterator[Recording]:
        """Yield the rows of recordings that make up messages by number.

        Raises
        ------
        NotFoundError
            If there are not so many messages.
        """
        passed = 0
        for part in self._recordings:
            low = max(start - passed, 0)
            high = min(stop - passed, part.stop - part.first)
            if low < high:
                yield Recording(part.first + low, part.first + high, part.onset)
            passed += part.stop - part.first
        if stop > passed:
            raise NotFoundError(
                f"{self.where} has {passed} messages, and none of number {stop - 1}"
            )

    def parts_between(self, start: int, stop: int, *, elapsed: bool) -> Iterator[Recording]:
        """Yield the rows of recordings with times from `start` to before `stop`."""
        for part in self._recordings:
            onset = 0 if elapsed else self._onset_of(part)
            times = self.messages.times[part.first : part.stop]
            first, last = (
                part.first + int(np.searchsorted(times, np.uint64(max(edge - onset, 0))))
                for edge in (start, stop)
            )
            if first < last:
                yield Recording(first, last, part.onset)

    # Contents

    def arrays(self, parts: Sequence[Recording], *, elapsed: bool = False) -> MessageArrays:
        """Return rows as columns; bytes are not copied where they are of one recording."""
        times, found = self.messages.times, []
        for part in parts:
            self.messages.check(part.first, part.stop)
            own = times[part.first : part.stop]
            found.append(own if elapsed else absolute(own, self._onset_of(part)))
        if len(parts) == 1:
            part = parts[0]
            offsets = self.messages.offsets[part.first : part.stop + 1]
            return MessageArrays(found[0], offsets, self.messages.payload)
        rows = [np.arange(part.first, part.stop) for part in parts]
        chosen = np.concatenate(rows) if rows else np.empty(0, np.intp)
        starts, lengths = ends_of(self.messages.offsets)
        offsets = np.concatenate([[0], np.cumsum(lengths[chosen])]).astype(np.uint64)
        stamps = np.concatenate(found) if found else np.empty(0, np.uint64)
        payload = gather(self.messages.payload, starts[chosen], lengths[chosen])
        return MessageArrays(stamps, offsets, payload)

    def iterated(self, start: int, stop: int) -> Iterator[LogMessage]:
        """Yield messages by number, with their times since the epoch."""
        for part in self.parts(start, stop):
            onset = self._onset_of(part)
            for low in range(part.first, part.stop, _PIECE):
                yield from self._yielded(low, min(low + _PIECE, part.stop), onset)

    def _yielded(self, low: int, high: int, onset: int) -> Iterator[LogMessage]:
        self.messages.check(low, high)
        offsets = self.messages.offsets[low : high + 1].tolist()
        begin = offsets[0]
        payload = np.array(self.messages.payload[begin : offsets[-1]])
        times = absolute(self.messages.times[low:high], onset)
        for time, first, last in zip(times, offsets[:-1], offsets[1:], strict=True):
            yield LogMessage(time, payload[first - begin : last - begin])
