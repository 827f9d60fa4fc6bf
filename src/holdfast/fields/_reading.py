"""`Reading`: how fields come out of a storage, one, several, or all of them in turn."""

from collections.abc import Iterator
from typing import Any, Protocol

from holdfast.fields._hooks import Hooks


class Reading(Hooks):
    """The calls by which fields come out of a storage."""

    def __getitem__(self, index: Any) -> Any:
        """Return the field with a number, or a list of those in a slice."""
        if isinstance(index, slice):
            return list(self._fields(range(len(self))[index]))
        row = self._row(index)
        return self.form.restore(self._read_frame(row))

    def __iter__(self) -> Iterator[Any]:
        return self._fields(range(len(self)))

    @property
    def items(self) -> "Items":
        """Pairs of time and field, to be iterated over: as a property or as a method."""
        return Items(self)

    def read(self, index: Any = None) -> Any:
        """Return the field with a number, or a list: of those in a slice, or of all."""
        return self[slice(None) if index is None else index]

    def _fields(self, rows: range) -> Iterator[Any]:
        if type(self).__getitem__ is not Reading.__getitem__:  # a storage that keeps fields
            yield from map(self.__getitem__, rows)
        elif rows:
            form = self.form
            for values in self.frames(rows):
                yield form.restore(values)


class Timed(Protocol):
    """What has fields and their times."""

    @property
    def times(self) -> Any:
        """Their times."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Any]: ...


class Items:
    """Pairs of time and field: to be iterated over as it is, or called first."""

    def __init__(self, storage: "Timed") -> None:
        self._storage = storage

    def __call__(self) -> Iterator[tuple[float, Any]]:
        """Iterate over the pairs."""
        return iter(self)

    def __iter__(self) -> Iterator[tuple[float, Any]]:
        times = self._storage.times
        return zip((float(time) for time in times), self._storage, strict=False)

    def __len__(self) -> int:
        return len(self._storage)
