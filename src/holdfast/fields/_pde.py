"""The forms of py-pde's fields, and what else needs py-pde itself."""

import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any, Self

import numpy as np

from holdfast.errors import FormatError, InvalidInputError
from holdfast.fields._forms import ATTRIBUTES, Array, Part, as_numbers


@cache
def installed() -> bool:
    """Whether py-pde can be imported."""
    return find_spec("pde") is not None


def counts_as(own: type, module: str, name: str) -> type:
    """Return a class of ours, which py-pde takes for one of its own by ``isinstance``.

    That asks an object for ``__class__``, at a moment when py-pde is certainly there, whichever was
    imported first.
    """
    base = getattr(sys.modules.get(module), name, None)
    if base is not None:
        base.register(own)
    return own


def collection(fields: Sequence[Any], label: str | None) -> Any:
    """Return a collection of py-pde's fields, in their dtype; py-pde alone would make it double."""
    from pde import FieldCollection

    dtype = np.result_type(*(field.dtype for field in fields))
    return FieldCollection(fields, label=label, dtype=dtype)


class PdeForm:
    """The form of fields of py-pde.

    Parameters
    ----------
    example : pde.fields.base.FieldBase
        A field whose values do not matter; not changed.
    """

    __slots__ = ("_class", "_example", "grid", "label", "name", "parts")

    def __init__(self, example: Any) -> None:
        self._example, self._class = example, type(example)
        self.grid: Any = example.grid
        self.name = self._class.__name__
        self.label: str | None = example.label
        self.parts = self._parts()

    def __reduce__(self) -> tuple[Any, ...]:
        return PdeForm.parse, (dict(self._example.attributes_serialized),)

    @classmethod
    def of(cls, field: Any) -> "PdeForm":
        """Return the form of a field."""
        return cls(field.copy())

    @classmethod
    def parse(cls, attributes: Mapping[str, Any]) -> "PdeForm":
        """Read the attributes of a field as py-pde serializes them.

        Raises
        ------
        FormatError
            If py-pde does not understand them.
        """
        from pde.fields.base import FieldBase

        try:
            return cls(FieldBase.from_state(FieldBase.unserialize_attributes(dict(attributes))))
        except (KeyError, ValueError, TypeError, RuntimeError) as error:
            raise FormatError(
                f"py-pde does not understand the field attributes {dict(attributes)}: {error!r}"
            ) from None

    def _parts(self) -> tuple[Part, ...] | None:
        if not hasattr(self._example, "fields"):
            return None
        parts, start = [], 0
        for field in self._example.fields:
            stop = start + self.grid.dim**field.rank
            place = slice(start, stop) if field.rank else start
            parts.append(Part(field.label, place, field.data.shape, PdeForm(field)))
            start = stop
        return tuple(parts)

    def values(self, field: Any) -> Array:
        """Return the values of a field of this form, or of a plain array."""
        if not hasattr(field, "attributes_serialized"):
            return as_numbers(field)
        if type(field).__name__ != self.name:
            raise InvalidInputError(
                f"a {type(field).__name__} does not fit a storage of {self.name}s; use another "
                "storage for it"
            )
        if field.grid is not self.grid and field.grid != self.grid:
            raise InvalidInputError(
                f"a field on {field.grid} does not fit a storage of fields on {self.grid}; use "
                "another storage for it"
            )
        values: Array = field.data
        return values

    def restore(self, values: Array) -> Any:
        """Return a field with these values."""
        if (
            self.parts is None
        ):  # the constructor copies once, a copy of the example would do so twice
            return self._class(self.grid, values, label=self._example.label, dtype=values.dtype)
        return collection([p.form.restore(p.of(values)) for p in self.parts], self._example.label)

    def cast(self, dtype: np.dtype[Any]) -> Self:
        """Return the same form for values of another dtype."""
        return type(self)(self._example.copy(dtype=dtype))

    def describe(self) -> dict[str, Any]:
        """Return the attributes as py-pde serializes them."""
        return {ATTRIBUTES: dict(self._example.attributes_serialized)}
