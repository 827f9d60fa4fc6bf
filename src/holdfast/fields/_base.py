"""`StorageBase`: the contract of storages, which keep fields over time.

Whoever makes a storage provides some of the hooks in ``_hooks.py``, which know nothing but arrays,
times and plain information; everything else follows from them. A storage may also override
`append`, ``__len__`` and ``__getitem__`` alone and do without any hook. `holdfast.testing.storages`
has the tests that every storage passes.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from holdfast.fields._hooks import Stored, WriteMode
from holdfast.fields._looking import Looking
from holdfast.fields._writing import Writing

if TYPE_CHECKING:
    from holdfast.fields._memory import MemoryStorage
    from holdfast.fields._trackers import StorageTracker
    from holdfast.fields._view import StorageView

__all__ = ["StorageBase", "Stored", "WriteMode"]


class StorageBase(Looking, Writing):
    """Keeps fields over time; the contract of all storages.

    Parameters
    ----------
    info : mapping, optional
        Plain values to keep with the data. They win over what an existing storage has.
    write_mode : {"truncate_once", "truncate", "truncate_always", "append", "readonly"}
        What becomes of fields that are there when writing starts: cleared the first time, cleared
        every time (under two names), kept; or nothing is written.
    allow_backwards : bool
        Whether a field may be earlier than the one before it.

    Raises
    ------
    InvalidInputError
        If there is no such mode.
    """

    def view_field(self, field_id: int | str) -> "StorageView":
        """Return a view of one field of the collections, by number or label.

        Raises
        ------
        InvalidInputError
            If they have no such field. If they are no collections it is a ``TypeError`` too.
        """
        from holdfast.fields._view import StorageView

        return StorageView(self, field_id)

    def extract_field(self, *indices: int | str, label: str | None = None, **options: Any) -> Any:
        """Return one field of the collections over time, or one field of one time.

        Parameters
        ----------
        *indices : int or str
            One: number or label in the collections. Several: number of the time, then of the parts
            within; but a second that is text and no label of a part is `label`.
        label : str, optional
            Name of the returned field; its own if left out.
        **options
            ``copy=`` asks for the field at the last time, not for a storage; ``field_id=`` is
            another spelling of the first index.

        Returns
        -------
        MemoryStorage or field
            With one index and no ``copy=`` a storage of the field over time.

        Raises
        ------
        InvalidInputError
            If there is no such field. If the fields are no collections it is a ``TypeError`` too.
        """
        from holdfast.fields._extract import extract_field

        return extract_field(self, indices, label, options)

    def extract_time_range(
        self,
        *bounds: Any,
        t_start: float | None = None,
        t_end: float | None = None,
        t_range: Any = None,
        copy: bool = True,
    ) -> "MemoryStorage":
        """Return the fields between two times, both included.

        Parameters
        ----------
        *bounds
            First and last time, or a pair of them. A single number is the last time, as py-pde
            takes it.
        t_start, t_end : float, optional
            First and last time, by name; from the beginning, to the end.
        t_range : float or pair of float, optional
            As `bounds`, by py-pde's name.
        copy : bool
            Whether the values are copied even if the fields are in memory.

        Raises
        ------
        InvalidInputError
            If these are no bounds of time.
        """
        from holdfast.fields._extract import extract_time_range, time_bounds

        low, high = time_bounds(bounds if t_range is None else (*bounds, t_range), t_start, t_end)
        return extract_time_range(self, low, high, copy=copy)

    def apply(
        self,
        func: Callable[..., Any],
        out: Any = None,
        parallel: Any = "auto",
        *,
        progress: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """Apply a function to all fields, in the order of their times.

        Parameters
        ----------
        func : callable
            Takes nothing, a field, or a field and its time.
        out : storage or path or bool, optional
            Where fields that it returns go; a path makes a `FileStorage`. A truth value in this
            place is `progress`.
        parallel : {"auto", True, False, "processes", "threads"} or int
            Whether several workers share the work, and of which kind; a number is how many.
            ``"auto"`` tries the first fields and uses processes where that pays. Those need loky
            (``holdfast[fields]``); without it, ``"auto"`` works here, and True and numbers mean
            threads, as for a function that cannot be pickled.
        progress : bool, optional
            Whether to show it.
        **kwargs
            Passed to `func`.

        Returns
        -------
        StorageBase or list
            A storage if `func` returns fields, else a list of what it returns.

        Raises
        ------
        InvalidInputError
            If `out` is given and `func` returns something else than fields, if `parallel` is none
            of these, or if processes are asked for and the function cannot be sent to them.
        MissingDependencyError
            If processes are asked for without loky.
        StateError
            If a process is killed, or there can be none.
        """
        from holdfast.fields._apply import apply

        if isinstance(out, bool):
            out, progress = None, out
        return apply(self, func, out, parallel=parallel, progress=bool(progress), kwargs=kwargs)

    def copy(
        self,
        out: "StorageBase | str | os.PathLike[str] | None" = None,
        *,
        filename: str | os.PathLike[str] | None = None,
        progress: bool = False,
    ) -> "StorageBase":
        """Return a storage with the same fields, times and information.

        Parameters
        ----------
        out, filename : storage or path, optional
            Where to: another storage, or the file of a new `FileStorage`; else into memory.
        progress : bool
            Whether to show it.
        """
        from holdfast.fields._extract import copy_into, output

        target = output(out if filename is None else filename)
        return copy_into(self, target, progress=progress)

    def tracker(
        self,
        interrupts: Any = 1,
        transformation: Callable[..., Any] | None = None,
        filename: str | os.PathLike[str] | None = None,
    ) -> "StorageTracker":
        """Return a tracker that feeds this storage.

        Parameters
        ----------
        interrupts : interrupts
            When; see `parse_interrupts`.
        transformation : callable, optional
            Takes a field, or a field and its time, and returns what is stored.
        filename : path, optional
            A `FileStorage` that is written besides.

        Raises
        ------
        InvalidInputError
            If the interrupts cannot be.
        """
        from holdfast.fields._trackers import StorageTracker

        return StorageTracker(self, interrupts, transformation=transformation, filename=filename)

    def to_xarray(self) -> Any:
        """Return an ``xarray.DataArray`` that reads its values when they are needed.

        Dimension ``time`` comes first, then components, then the axes of the grid.

        Raises
        ------
        MissingDependencyError
            If xarray is not installed.
        """
        from holdfast.fields._xarray import to_xarray

        return to_xarray(self)
