"""`Tracker` and `StorageTracker`: what is done at chosen times of a simulation."""

import inspect
import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.errors import HoldfastWarning, InvalidInputError
from holdfast.fields._calls import positions
from holdfast.fields._interrupts import parse_interrupts
from holdfast.fields._mpi import is_main
from holdfast.fields._pde import counts_as

if TYPE_CHECKING:
    from holdfast.fields._base import StorageBase


class Tracker:
    """Does something at chosen times of a simulation; py-pde's solvers and `track` drive it.

    Parameters
    ----------
    interrupts : interrupts
        When; see `parse_interrupts`.

    Attributes
    ----------
    interrupt : Interrupts
        When.

    Raises
    ------
    InvalidInputError
        If the interrupts cannot be.
    """

    def __init__(self, interrupts: Any = 1) -> None:
        self.interrupt = parse_interrupts(interrupts)

    def _class(self) -> type:
        return counts_as(type(self), "pde.trackers.base", "TrackerBase")

    __class__ = property(_class)  # as `unittest.mock` does it

    def initialize(self, field: Any, info: Mapping[str, Any] | None = None) -> float:  # noqa: ARG002 - a tracker may look at the field
        """Prepare, with the first field; return the first time to be asked."""
        controller = (info or {}).get("controller", {})
        first: float = self.interrupt.initialize(controller.get("t_start", 0.0))
        return first

    def handle(self, field: Any, t: float) -> None:
        """Take the field at a time; the field is the solver's and will change."""

    def finalize(self, info: Mapping[str, Any] | None = None) -> None:
        """End, with what the solver says of itself."""


class StorageTracker(Tracker):
    """Feeds a storage.

    Parameters
    ----------
    storage : StorageBase
        The storage, or anything with ``start_writing``, ``append`` and ``end_writing``.
    interrupts : interrupts
        When; see `parse_interrupts`.
    transformation : callable, optional
        Takes a field, or a field and its time, and returns what is stored.
    filename : path, optional
        A `FileStorage` that is written besides.

    Raises
    ------
    InvalidInputError
        If the interrupts cannot be, `transformation` cannot be called, or `filename` is the
        storage's own.
    """

    def __init__(
        self,
        storage: "StorageBase | Any",
        interrupts: Any = 1,
        *,
        transformation: Callable[..., Any] | None = None,
        filename: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(interrupts)
        if transformation is not None and not callable(transformation):
            raise InvalidInputError(f"transformation is a function, not {transformation!r}")
        self.storage, self.transformation = storage, transformation
        self._positions = positions(transformation, 2, {}) if transformation is not None else 0
        self._storages = [storage]
        if filename is not None:
            from holdfast.fields._file import FileStorage

            own = getattr(storage, "filename", None)
            if (
                isinstance(own, str | os.PathLike)
                and Path(own).resolve() == Path(filename).resolve()
            ):
                raise InvalidInputError(f"{storage!r} writes that file already; leave out filename")
            self._storages.append(FileStorage(filename))
        self._by_info = [_takes_info(each) for each in self._storages]

    def _transformed(self, field: Any, t: float) -> Any:
        if self.transformation is None:
            return field
        return self.transformation(*(field, t)[: self._positions])

    def initialize(self, field: Any, info: Mapping[str, Any] | None = None) -> float:
        """Start writing; return the first time to be asked."""
        first = super().initialize(field, info)
        if is_main():
            example = self._transformed(field, first)
            for storage in self._storages:
                storage.start_writing(example, info)
        return first

    def handle(self, field: Any, t: float) -> None:
        """Append the field."""
        if not is_main():
            return
        stored = self._transformed(field, t)
        for storage, by_info in zip(self._storages, self._by_info, strict=True):
            if by_info:
                storage.append(stored, info={"t": t})
            else:
                storage.append(stored, time=t)

    def finalize(self, info: Mapping[str, Any] | None = None) -> None:
        """End writing, and keep what the solver says of itself."""
        if not is_main():
            return
        for storage in self._storages:
            if info and hasattr(storage, "add_info"):
                storage.add_info(info)
            storage.end_writing()


def _takes_info(storage: Any) -> bool:
    """Whether a storage's ``append`` takes ``(data, info)``, as a storage of a user's own may."""
    names = list(inspect.signature(storage.append).parameters)
    if "time" in names:
        return False
    if "info" not in names:
        warnings.warn(
            f"{type(storage).__name__}.append takes neither time nor info, so that it is not told "
            "the times",
            HoldfastWarning,
            stacklevel=4,
        )
    return "info" in names
