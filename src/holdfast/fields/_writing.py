"""`Writing`: how fields come into a storage."""

import math
from collections.abc import Mapping
from typing import Any, Self

from holdfast.errors import InvalidInputError, StateError
from holdfast.fields._forms import Layout
from holdfast.fields._info import plain_info
from holdfast.fields._reading import Reading


class Writing(Reading):
    """The calls by which fields come into a storage."""

    def start_writing(self, field: Any, info: Mapping[str, Any] | None = None) -> None:
        """Prepare for fields like this one; it is not stored.

        Parameters
        ----------
        field : field
            An example.
        info : mapping, optional
            Plain values to keep with the fields.

        Raises
        ------
        StateError
            If the storage is for reading only.
        InvalidInputError
            If fields are kept that differ in shape, class, grid or kind of number.
        OSError
            If the disk is full.
        """
        self._start(field, info, truncate=self.write_mode.startswith("truncate"))
        if self.write_mode == "truncate_once":
            self.write_mode = "append"

    def _start(self, field: Any, info: Mapping[str, Any] | None, *, truncate: bool) -> None:
        self._refuse_reading_only()
        if not truncate:
            self._load()
        if truncate or self._layout is None:
            layout = Layout.of(field, self._stored_dtype())
            self._forget()
        else:
            layout = self._layout
            layout.values(field)
        self._info.update(plain_info(info or {}))
        self._keep(layout)
        self._begin(layout, truncate=truncate)
        self._latest = None
        self._is_writing = self._started = True

    def append(
        self, field: Any = None, time: Any = None, info: Any = None, *, data: Any = None
    ) -> None:
        """Add a field; writing starts by itself.

        Parameters
        ----------
        field, data : field
            The field, under either name: of py-pde, a `Field`, an ``xarray.DataArray`` or an array.
        time : float, optional
            Its time; if left out, that of `info`, else 1 after the last, else 0.
        info : mapping, optional
            ``{"t": time}``; may stand in the place of `time`.

        Raises
        ------
        InvalidInputError
            If it differs in shape, class, grid or kind of number, or is earlier than the last.
        StateError
            If the storage is for reading only.
        OSError
            If the disk is full; the field is then not there, and a later call may succeed.
        """
        field = data if field is None else field
        if not self._is_writing:
            if self._started:  # after `end_writing`: what is there is its own
                self._start(field, None, truncate=False)
            else:
                self.start_writing(field)
        if self._layout is None:
            raise AssertionError
        values = self._layout.values(field)
        moment = self._checked_time(_time_of(time, info))
        self._append_data(values, moment)
        self._latest = moment

    def end_writing(self) -> None:
        """End what `start_writing` began; the fields have been kept before already."""
        if self._is_writing:
            self._end()
            self._is_writing = False

    def clear(self, clear_data_shape: bool = False) -> None:  # noqa: FBT001, FBT002 - py-pde's order
        """Remove all fields.

        Parameters
        ----------
        clear_data_shape : bool
            Whether to forget their shape too, so that others may follow.

        Raises
        ------
        StateError
            If the storage is for reading only.
        """
        self._refuse_reading_only()
        self._load()
        if type(self).clear is Writing.clear or self._erases:
            self._erase()  # else it is up to the override that called this, as with py-pde
        self._latest = None
        if clear_data_shape:
            self._forget()
            self._is_writing = False

    def close(self) -> None:
        """End writing, and let go of files."""
        self.end_writing()

    def _begin(self, layout: Layout, *, truncate: bool) -> None:
        """Prepare, see `Hooks._begin`; a storage with a `clear` of its own is cleared by that."""
        super()._begin(layout, truncate=truncate)
        if truncate and type(self).clear is not Writing.clear:
            self.clear()

    def add_info(self, info: Mapping[str, Any]) -> None:
        """Keep further plain information, with what `end_writing` brings to the fields."""
        self._info.update(plain_info(info))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _refuse_reading_only(self) -> None:
        if self.write_mode == "readonly":
            raise StateError(f"{self!r} is for reading only; open it with another write_mode")

    def _checked_time(self, time: Any) -> float:
        """Return a time for the next field."""
        latest = self._last_time() if self._latest is None else self._latest
        if time is None:
            return 0.0 if latest is None else latest + 1.0
        try:
            moment = float(time)
        except (TypeError, ValueError):
            raise InvalidInputError(f"the time of a field is a number, not {time!r}") from None
        if not math.isfinite(moment):
            raise InvalidInputError(f"the time of a field is a finite number, not {moment}")
        if latest is None or moment >= latest or self._allow_backwards:
            return moment
        # A solver that goes on from where another ended may be behind it by its rounding.
        if not math.isclose(moment, latest, rel_tol=1e-9, abs_tol=1e-12):
            raise InvalidInputError(
                f"a field at time {moment:g} cannot follow one at {latest:g}; clear() the storage "
                "or give it write_mode='truncate' to begin anew, or pass allow_backwards=True"
            )
        return moment


def _time_of(time: Any, info: Any) -> Any:
    """Return the time that a call of `StorageBase.append` names; None if it names none."""
    if isinstance(time, Mapping):
        time, info = None, time
    return info.get("t") if time is None and isinstance(info, Mapping) else time
