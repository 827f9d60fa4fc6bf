"""`Hooks`: what a storage provides, and what the calls of every storage know through it."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt

from holdfast.errors import InvalidInputError, StateError
from holdfast.fields._forms import FORM_KEYS, Array, Form, Layout, form_from
from holdfast.fields._info import plain_info
from holdfast.fields._values import StoredData, row_of

WriteMode = Literal["append", "truncate", "truncate_once", "truncate_always", "readonly"]
_MODES = ("append", "truncate", "truncate_once", "truncate_always", "readonly")
_SAME_MODE = {"read_only": "readonly", "reading": "readonly"}
"""Other names that programs for py-pde use."""

READ_BYTES = 8 << 20
"""Bytes of fields that are read at once when a storage is gone through."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a storage finds where it keeps its fields.

    Attributes
    ----------
    info : mapping
        The plain information kept there, that about the form of fields included.
    shape : tuple of int
        Shape of the values of one field.
    dtype : numpy.dtype
        Their dtype.
    """

    info: Mapping[str, Any]
    shape: tuple[int, ...]
    dtype: "np.dtype[Any]"


class Given:
    """A property that a storage may also set, like py-pde's storages, whose lists these are."""

    def __init__(self, get: Callable[[Any], Any]) -> None:
        self._get = get
        self.__doc__ = get.__doc__

    def __get__(self, storage: Any, owner: type) -> Any:
        return self if storage is None else self._get(storage)


class Hooks:
    """What is known of a storage, and the hooks through which it keeps and finds fields."""

    def __init__(
        self,
        *,
        info: Mapping[str, Any] | None = None,
        write_mode: WriteMode = "truncate_once",
        allow_backwards: bool = False,
    ) -> None:
        self.write_mode = write_mode
        self._allow_backwards = allow_backwards
        self._info: dict[str, Any] = plain_info(info or {})
        self._inherited: dict[str, Any] = {}
        self._layout: Layout | None = None
        self._is_writing = self._started = False
        self._latest: float | None = None

    # What is known about the fields

    @property
    def write_mode(self) -> WriteMode:
        """What becomes of fields that are there when writing starts; may be set."""
        return self._write_mode

    @write_mode.setter
    def write_mode(self, mode: str) -> None:
        found = _SAME_MODE.get(mode, mode)
        if found not in _MODES:
            raise InvalidInputError(
                f"write_mode {mode!r} is unknown; use one of {', '.join(_MODES)}"
            )
        self._write_mode: WriteMode = cast("WriteMode", found)

    @property
    def info(self) -> dict[str, Any]:
        """Plain information kept with the fields; what is set before writing starts is kept."""
        self._load()
        return self._info

    @property
    def is_writing(self) -> bool:
        """Whether writing has started and not ended."""
        return self._is_writing

    @Given
    def times(self) -> Any:
        """Return the times of all fields, of shape ``(len(storage),)``."""
        return self._read_times()

    @Given
    def data(self) -> Any:
        """Return the values of all fields, read as they are sliced: ``storage.data[10:20, 0]``."""
        return StoredData(self)

    def __len__(self) -> int:
        return len(self.times)

    @property
    def data_shape(self) -> tuple[int, ...]:
        """Shape of the values of one field; a `StateError` where no field has been seen."""
        return self.layout.shape

    @property
    def dtype(self) -> "np.dtype[Any]":
        """The dtype of values as stored; a `StateError` where no field has been seen."""
        return self.layout.dtype

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Number of fields, then the shape of one; None where no field has been seen."""
        self._load()
        return None if self._layout is None else (len(self), *self._layout.shape)

    @property
    def grid(self) -> Any:
        """The grid of the fields; None where none has been seen, or they have none."""
        self._load()
        return None if self._layout is None else self._layout.form.grid

    @property
    def has_collection(self) -> bool:
        """Whether fields are collections; a `StateError` where none has been seen."""
        return self.layout.form.parts is not None

    @property
    def form(self) -> Form:
        """What makes fields of arrays; a `StateError` where no field has been seen."""
        return self.layout.form

    @property
    def layout(self) -> Layout:
        """Shape, dtype and form of the fields; a `StateError` where no field has been seen."""
        self._load()
        if self._layout is None:
            raise StateError(f"{self!r} has seen no field yet; append one, or start_writing(field)")
        return self._layout

    @property
    def _field(self) -> Any:
        """A field such as are kept; functions of py-pde look here for labels and classes."""
        layout = self.layout
        return layout.form.restore(np.zeros(layout.shape, layout.dtype))

    # How calls use the hooks below

    def frames(self, rows: range) -> Iterator[Array]:
        """Yield the values of fields one by one, read several at once where they follow."""
        if rows.step != 1:
            yield from (self._read_frame(row) for row in rows)
            return
        several = max(READ_BYTES // self._frame_bytes, 1) if rows else 1
        for start in range(rows.start, rows.stop, several):
            # Copied one by one: else one that is kept would keep all that were read with it.
            read = self._read_data(start, min(start + several, rows.stop))
            yield from read if len(read) == 1 else (values.copy() for values in read)

    def _row(self, index: Any) -> int:
        """Return the number of the field that an index means."""
        return row_of(index, len(self), self)

    def read_values(self, rows: range, rest: tuple[Any, ...] = ()) -> Array:
        """Return the values of some fields as one array; `rest` says which of each."""
        if not rows:
            return self._nothing()[(slice(None), *rest)]
        if rows.step == 1 and (not rest or len(rows) * self._frame_bytes <= READ_BYTES):
            read = self._read_data(rows.start, rows.stop)
            return read[(slice(None), *rest)] if rest else read
        # Copied: a part of an array keeps all of it in memory.
        return np.stack([np.array(values[rest]) for values in self.frames(rows)])

    @property
    def _frame_bytes(self) -> int:
        layout = self.layout
        return max(math.prod(layout.shape) * layout.dtype.itemsize, 1)

    def _load(self) -> None:
        """Take in what is stored already, once there is something."""
        if self._layout is not None:
            return
        found = self._stored()
        if found is not None:
            self._inherited = {k: v for k, v in found.info.items() if k not in self._info}
            self._info.update(self._inherited)
            self._layout = Layout(found.shape, found.dtype, form_from(found.info))

    def _forget(self) -> None:
        """Forget the layout, and information that came with what was stored."""
        self._layout = None
        for key, value in self._inherited.items():
            if self._info.get(key) == value:
                del self._info[key]
        self._inherited = {}

    def _keep(self, layout: Layout) -> None:
        self._layout = layout
        for key in FORM_KEYS:
            self._info.pop(key, None)
        self._info.update(layout.form.describe())

    def _last_time(self) -> float | None:
        times: Any = self.times if len(self) else []
        return float(times[-1]) if len(times) else None

    def _nothing(self) -> Array:
        layout = self.layout
        return np.empty((0, *layout.shape), layout.dtype)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._where()})"

    # The hooks: what a storage provides

    def _where(self) -> str:
        """Return where the fields are, for messages."""
        return f"{len(self)} fields"

    def _stored_dtype(self) -> "npt.DTypeLike | None":
        """Return the dtype in which values are to be stored; None for their own."""
        return None

    def _stored(self) -> Stored | None:
        """Return what is there from before; None where there is nothing, or nothing is kept."""
        return None

    def _begin(self, layout: Layout, *, truncate: bool) -> None:
        """Prepare for `_append_data`; `truncate` replaces what is there by nothing.

        ``self.info`` holds what is to be kept with the fields, the description of their form
        included. A process may be killed at any later time.
        """

    def _append_data(self, data: Array, time: float) -> None:  # noqa: ARG002 - see the message
        """Add the values of a field and its time; they are kept when this returns.

        `data` has the layout's shape and dtype, need not be contiguous, and is the caller's.
        """
        raise self._lacks("_append_data(data, time)")

    def _end(self) -> None:
        """End writing; ``self.info`` may hold more than at its beginning."""

    def _erase(self) -> None:
        """Remove all fields."""
        raise self._lacks("_erase()")

    def _read_times(self) -> npt.NDArray[np.float64]:
        """Return the times of all fields."""
        raise self._lacks("_read_times(), or a property `times`")

    def _read_data(self, start: int, stop: int) -> Array:
        """Return the values of fields ``start`` to ``stop``, in an array of its own."""
        if "data" not in vars(self) and type(self).data is Hooks.data:
            raise self._lacks("_read_data(start, stop), or a property `data`")
        return np.array(self.data[start:stop])

    def _read_frame(self, row: int) -> Array:
        """Return the values of one field, in an array of its own."""
        frame: Array = self._read_data(row, row + 1)[0]
        return frame

    @property
    def _erases(self) -> bool:
        """Whether there is a hook to remove all fields."""
        return type(self)._erase is not Hooks._erase  # noqa: SLF001 - of its own class

    def _lacks(self, hook: str) -> StateError:
        return StateError(f"{type(self).__name__} does not provide {hook}, which this needs")
