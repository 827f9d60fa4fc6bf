"""`MemoryStorage`: fields over time in memory."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from holdfast.errors import InvalidInputError
from holdfast.fields._base import StorageBase, WriteMode
from holdfast.fields._forms import FORM_KEYS, NUMBERS, Array, Layout, as_numbers, form_from


class MemoryStorage(StorageBase):
    """Keeps fields over time in memory.

    Parameters
    ----------
    times : sequence of float, optional
        Times of `data`.
    data : sequence of array_like, optional
        Values of a field at each time; copied.
    info : mapping, optional
        Plain values to keep with the data.
    field_obj : field, optional
        A field like those that `data` are the values of; without it they are arrays.
    write_mode, allow_backwards
        As `StorageBase` takes them.

    Raises
    ------
    InvalidInputError
        If there are not as many times as data, or the data do not fit each other.

    Examples
    --------
    >>> storage = MemoryStorage()
    >>> for t in range(3):
    ...     storage.append(np.full(4, t), time=t / 2)
    >>> storage.times, storage[-1]
    (array([0. , 0.5, 1. ]), array([2, 2, 2, 2]))
    """

    def __init__(
        self,
        times: Sequence[float] | None = None,
        data: Sequence[npt.ArrayLike] | None = None,
        *,
        info: Mapping[str, Any] | None = None,
        field_obj: Any = None,
        write_mode: WriteMode = "truncate_once",
        allow_backwards: bool = False,
    ) -> None:
        super().__init__(info=info, write_mode=write_mode, allow_backwards=allow_backwards)
        # One list, so that several threads cannot part a field from its time.
        self._rows: list[tuple[float, Array]] = []
        given = [] if data is None else [as_numbers(values) for values in data]
        if field_obj is not None:
            self._keep(Layout.of(field_obj))
        elif given and not self._info.keys().isdisjoint(FORM_KEYS):
            dtype = _common_dtype(given) or given[0].dtype
            self._keep(Layout(given[0].shape, dtype, form_from(self._info).cast(dtype)))
        self._fill([] if times is None else times, given)

    def _fill(
        self, times: Sequence[float], fields: Sequence[Any], dtype: npt.DTypeLike | None = None
    ) -> None:
        if len(times) != len(fields):
            raise InvalidInputError(
                f"there are {len(times)} times and {len(fields)} fields; give one time for each"
            )
        if fields and self._layout is None:
            self._keep(Layout.of(fields[0], _common_dtype(fields) if dtype is None else dtype))
        for time, field in zip(times, fields, strict=True):
            moment = self._checked_time(time)
            self._append_data(self.layout.values(field), moment)
            self._latest, self._started = moment, True

    @classmethod
    def holding(
        cls, layout: Layout, times: npt.ArrayLike, frames: list[Array], *, info: Mapping[str, Any]
    ) -> Self:
        """Return a storage that holds these arrays themselves, which are known to fit.

        Parameters
        ----------
        layout : Layout
            Their shape, dtype and form.
        times : array_like of float
            Their times.
        frames : list of ndarray
            Values of one field each.
        info : mapping
            Plain values to keep with them.
        """
        storage = cls(info=info)
        storage._keep(layout)
        storage._rows = list(zip(map(float, np.asarray(times)), frames, strict=True))
        storage._started = True
        return storage

    @classmethod
    def from_fields(
        cls,
        first: Any = None,
        second: Any = None,
        /,
        info: Mapping[str, Any] | None = None,
        write_mode: WriteMode = "truncate_once",
        *,
        times: Any = None,
        fields: Any = None,
        label: str | None = None,
        dtype: npt.DTypeLike | None = None,
        allow_backwards: bool = False,
    ) -> Self:
        """Return a storage of given fields, which are copied; fields and times in either order.

        Parameters
        ----------
        first, second : sequence, optional
            Fields and times, where they are not given by name.
        info : mapping, optional
            Plain values to keep with them.
        write_mode : str
            As `StorageBase` takes it.
        times : sequence of float, optional
            Their times; 0, 1, 2, … if left out.
        fields : sequence of fields, optional
            The fields.
        label : str, optional
            A name of the storage, kept in its information.
        dtype : dtype, optional
            In which the values are kept; one that all of them fit in if left out.
        allow_backwards : bool
            Whether times need not be in order.

        Raises
        ------
        InvalidInputError
            If there are not as many times as fields, or the fields do not belong together.
        """
        times, states = _told_apart((first, second), times, fields)
        named = {} if label is None else {"label": label}
        storage = cls(
            info={**(info or {}), **named}, write_mode=write_mode, allow_backwards=allow_backwards
        )
        moments = range(len(states)) if times is None else np.atleast_1d(times)
        storage._fill(list(moments), states, dtype)
        return storage

    @classmethod
    def from_collection(
        cls,
        storages: Any,
        label: Any = None,
        *,
        times: Any = None,
        rtol: float = 1e-5,
        atol: float = 1e-8,
    ) -> Self:
        """Return a storage of collections: of several storages together, or of given collections.

        Parameters
        ----------
        storages : sequence of storages, or a collection, or several
            Storages with the same times, whose fields become the parts of one collection a time; or
            collections themselves.
        label : str or sequence of float, optional
            With storages, a name for the collections; with collections, their times.
        times : sequence of float, optional
            Times of the collections. One collection with as many times as fields is taken as its
            fields over time.
        rtol, atol : float
            How much times of storages may differ, relatively and absolutely.

        Raises
        ------
        InvalidInputError
            If times differ, or there are not as many as needed.
        """
        from holdfast.fields._collections import joined, over_time

        if label is not None and not isinstance(label, str):
            times, label = label, None
        if _is_storage(storages):
            storages = [storages]
        if hasattr(storages, "grid"):  # one collection, which can be iterated over too
            return cls.from_fields(*over_time(storages, times))
        members = list(storages)
        if members and _is_storage(members[0]):
            return cls.from_fields(*joined(members, label, rtol, atol))
        return cls.from_fields(times, members)

    # What the contract asks for

    def _begin(self, layout: Layout, *, truncate: bool) -> None:  # noqa: ARG002 - the base keeps it
        if truncate:
            self._erase()

    def _append_data(self, data: Array, time: float) -> None:
        self._rows.append((time, np.array(data)))

    def _erase(self) -> None:
        self._rows = []

    def _read_times(self) -> npt.NDArray[np.float64]:
        return np.array([time for time, _ in self._rows], np.float64)

    def _read_data(self, start: int, stop: int) -> Array:
        if stop - start == 1:
            return self._rows[start][1].copy()[np.newaxis]
        frames = [frame for _, frame in self._rows[start:stop]]
        return np.stack(frames) if frames else self._nothing()

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def data(self) -> list[Array]:
        """The values of all fields, by time, not copied."""
        return [frame for _, frame in self._rows]


def _is_storage(thing: Any) -> bool:
    """Whether something has fields and their times, also a storage of py-pde."""
    return hasattr(thing, "times") and hasattr(thing, "has_collection")


def _told_apart(unnamed: tuple[Any, Any], times: Any, fields: Any) -> tuple[Any, list[Any]]:
    """Return times, or None, and fields, each of which was given by name or not."""
    given = [_listed(values) for values in (*unnamed, times, fields) if values is not None]
    if len(given) > 2:
        raise InvalidInputError("from_fields takes fields and times, each of them once")
    if len(given) == 1:
        alone = fields is not None or _are_fields(given[0])
        given = [None, *given] if alone else [*given, None]
    moments, states = given or (None, None)
    if _are_fields(moments):
        moments, states = states, moments
    try:
        return moments, [] if states is None else list(states)
    except TypeError:
        raise InvalidInputError(f"from_fields takes a sequence of fields, not {states!r}") from None


def _common_dtype(fields: Sequence[Any]) -> "np.dtype[Any] | None":
    """Return a dtype that the values of all fields fit in; None where all have the same."""
    found = {getattr(f, "dtype", None) or as_numbers(f).dtype for f in fields}
    several = len(found) > 1 and all(dtype.kind in NUMBERS for dtype in found)
    return np.result_type(*found) if several else None


def _listed(values: Any) -> Any:
    """Return what can be looked at twice: of an iterator, a list."""
    return list(values) if isinstance(values, Iterator) else values


def _are_fields(values: Any) -> bool:
    """Whether a sequence holds fields, not times."""
    if isinstance(values, np.ndarray):
        return values.ndim > 1
    if isinstance(values, StorageBase):
        return True
    first = next(iter(values), None) if isinstance(values, Sequence) else None
    return first is not None and np.ndim(getattr(first, "data", first)) > 0
