"""`KeyBatch`: the keys of many messages, made when they are asked for."""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

from holdfast.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from holdfast.acquisition._reader import LogArchiveReader

_KEY = re.compile(r"\A.*_\d{20}_(\d+)\Z")


class KeyBatch(Sequence[str]):
    """Keys of the messages in some rows of an archive, in the order of the archive.

    It behaves as a list of strings does, and can be pickled for a worker process, where it opens
    the archive itself. Twenty million keys take no more memory than one.

    Parameters
    ----------
    reader : LogArchiveReader
        Whose keys they are.
    start, stop : int
        Which of its messages.
    """

    __slots__ = ("reader", "start", "stop")

    def __init__(self, reader: "LogArchiveReader", start: int, stop: int) -> None:
        self.reader, self.start, self.stop = reader, start, stop

    def __len__(self) -> int:
        return self.stop - self.start

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        numbers = range(self.start, self.stop)[index]
        if isinstance(numbers, int):
            return self.reader.key(numbers)
        if numbers.step == 1:
            return KeyBatch(self.reader, numbers.start, numbers.stop)
        return [self.reader.key(number) for number in numbers]

    def __iter__(self) -> Iterator[str]:
        return map(self.reader.key, range(self.start, self.stop))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(map(str.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]  # as lists, which it stands for

    def __repr__(self) -> str:
        return f"KeyBatch({self[0]!r} … {self[-1]!r}, {len(self)} keys)" if self else "KeyBatch()"

    def __reduce__(self) -> tuple[object, ...]:
        return KeyBatch, (self.reader, self.start, self.stop)


def row_of(key: Any, where: str) -> int:
    """Return the row that a key of ours tells.

    Raises
    ------
    NotFoundError
        If it is none.
    """
    found = _KEY.match(key) if isinstance(key, str) else None
    if found is None:
        raise NotFoundError(f"{where} has no message {key!r}; take keys from get_batches()")
    return int(found[1])


def check_shares(workers: Any, batch_multiplier: Any) -> None:
    """Refuse what is no number of workers, or of batches for each.

    Raises
    ------
    InvalidInputError
        If one is none.
    """
    if not isinstance(workers, int):
        raise InvalidInputError(f"workers must be a whole number, not {workers!r}")
    if not isinstance(batch_multiplier, int) or batch_multiplier < 1:
        raise InvalidInputError(
            f"batch_multiplier must be a number from 1 on, not {batch_multiplier!r}"
        )
