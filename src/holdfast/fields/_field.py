"""`Field` and `FieldCollection`: values on a grid, where py-pde is not installed or not wanted."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from holdfast._names import listing
from holdfast.errors import FormatError, InvalidInputError, NotFoundError
from holdfast.fields._forms import ATTRIBUTES, FORM, Array, Part, as_numbers
from holdfast.fields._grids import Grid

_NAMES = ("ScalarField", "VectorField", "Tensor2Field")


class Field:
    """Values on a grid at one time: a number, a vector or a tensor in each cell.

    Parameters
    ----------
    grid : Grid
        Where the values lie.
    data : array_like
        Of shape ``(*grid.shape)``, ``(dim, *grid.shape)`` or ``(dim, dim, *grid.shape)``; not
        copied.
    label : str, optional
        Its name.

    Attributes
    ----------
    rank : int
        0, 1 or 2.

    Raises
    ------
    InvalidInputError
        If the shape does not fit the grid.

    Examples
    --------
    >>> field = Field(Grid.unit([2, 3]), np.ones((2, 3)), label="density")
    >>> field
    ScalarField('density', UnitGrid(periodic=[False, False], shape=[2, 3]), float64)
    """

    def __init__(self, grid: Grid, data: npt.ArrayLike, *, label: str | None = None) -> None:
        self.grid, self.data, self.label = grid, as_numbers(data), label
        self.rank = self.data.ndim - grid.num_axes
        if not 0 <= self.rank <= 2 or self.data.shape != (grid.dim,) * self.rank + grid.shape:
            raise InvalidInputError(
                f"values of shape {self.data.shape} do not fit {grid}; give one number, "
                f"{grid.dim} or {grid.dim} x {grid.dim} of them for each cell, components first"
            )

    @property
    def dtype(self) -> "np.dtype[Any]":
        """The dtype of the values."""
        return self.data.dtype

    @property
    def attributes_serialized(self) -> dict[str, str]:
        """What describes the field besides its values, as py-pde spells it."""
        return FieldForm.of(self).attributes()

    def copy(self) -> "Field":
        """Return the same field with values of its own."""
        return Field(self.grid, self.data.copy(), label=self.label)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:  # noqa: FBT001 - NumPy's protocol
        values = self.data if dtype is None else self.data.astype(dtype)
        return values.copy() if copy and values is self.data else values

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Field):
            return NotImplemented
        return (
            self.grid == other.grid
            and self.label == other.label
            and np.array_equal(self.data, other.data)
        )

    __hash__ = None  # type: ignore[assignment]  # it can be changed

    def __repr__(self) -> str:
        label = "" if self.label is None else f"{self.label!r}, "
        return f"{_NAMES[self.rank]}({label}{self.grid}, {self.dtype})"


class FieldCollection:
    """Several fields on one grid at one time.

    Parameters
    ----------
    fields : sequence of Field
        The fields; their values are copied into one array.
    label : str, optional
        Its name.

    Attributes
    ----------
    data : ndarray
        The values of all fields, their components one after another along the first axis. The
        fields show parts of it.

    Raises
    ------
    InvalidInputError
        If there is none, or their grids differ.
    """

    def __init__(self, fields: Sequence[Field], *, label: str | None = None) -> None:
        if not fields or any(field.grid != fields[0].grid for field in fields):
            raise InvalidInputError("a collection has at least one field, and one grid for all")
        self.label, self.grid = label, fields[0].grid
        flat = [field.data.reshape(-1, *self.grid.shape) for field in fields]
        self.data: Array = np.concatenate(flat)
        places = _places([field.rank for field in fields], self.grid)
        self.fields = tuple(
            Field(self.grid, self._part(place, field.rank), label=field.label)
            for place, field in zip(places, fields, strict=True)
        )

    def _part(self, place: "int | slice[int, int, None]", rank: int) -> Array:
        return self.data[place].reshape((self.grid.dim,) * rank + self.grid.shape)

    @property
    def labels(self) -> list[str | None]:
        """Names of the fields."""
        return [field.label for field in self.fields]

    @property
    def dtype(self) -> "np.dtype[Any]":
        """The dtype of the values."""
        return self.data.dtype

    @property
    def attributes_serialized(self) -> dict[str, str]:
        """What describes the collection besides its values, as py-pde spells it."""
        return FieldForm.of(self).attributes()

    def copy(self) -> "FieldCollection":
        """Return the same collection with values of its own."""
        return FieldCollection(self.fields, label=self.label)

    def __getitem__(self, field_id: int | str) -> Field:
        """Return a field by number or label.

        Raises
        ------
        NotFoundError
            If none has this label.
        """
        return self.fields[position(field_id, self.labels)]

    def __len__(self) -> int:
        return len(self.fields)

    def __iter__(self) -> Iterator[Field]:
        return iter(self.fields)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:  # noqa: FBT001 - NumPy's protocol
        values = self.data if dtype is None else self.data.astype(dtype)
        return values.copy() if copy and values is self.data else values

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FieldCollection):
            return NotImplemented
        return self.label == other.label and self.fields == other.fields

    __hash__ = None  # type: ignore[assignment]  # it can be changed

    def __repr__(self) -> str:
        return f"FieldCollection({list(self.fields)})"


def position(field_id: Any, labels: Sequence[str | None]) -> int:
    """Return the number of a part that is named by number or label.

    Raises
    ------
    NotFoundError
        If there is none.
    """
    if isinstance(field_id, str) and field_id in labels:
        return labels.index(field_id)
    if isinstance(field_id, int | np.integer) and -len(labels) <= field_id < len(labels):
        return int(field_id) % len(labels)
    names = listing(label for label in labels if label is not None)
    raise NotFoundError(
        f"the collection has no field {field_id!r}; it has {len(labels)}, with the labels {names}"
    )


def _places(ranks: Sequence[int], grid: Grid) -> "list[int | slice[int, int, None]]":
    """Return where fields of these ranks are along the first axis of their collection."""
    places: list[int | slice[int, int, None]] = []
    start = 0
    for rank in ranks:
        stop = start + grid.dim**rank
        places.append(slice(start, stop) if rank else start)
        start = stop
    return places


@dataclass(frozen=True, slots=True)
class FieldForm:
    """The form of a `Field` or, where `of_parts` is given, a `FieldCollection`."""

    grid: Grid
    rank: int
    label: str | None
    dtype: "np.dtype[Any]"
    of_parts: "tuple[FieldForm, ...] | None" = None

    @classmethod
    def of(cls, field: Field | FieldCollection) -> "FieldForm":
        """Return the form of a field."""
        if isinstance(field, Field):
            return cls(field.grid, field.rank, field.label, field.dtype)
        parts = tuple(cls.of(part) for part in field.fields)
        return cls(field.grid, 0, field.label, field.dtype, parts)

    @classmethod
    def parse(cls, attributes: Mapping[str, Any]) -> "FieldForm":
        """Read the attributes of a field of py-pde or of ours.

        Raises
        ------
        FormatError
            If they are not understood.
        """
        try:
            name = json.loads(attributes["class"])
            label, dtype = (
                json.loads(attributes["label"]),
                np.dtype(json.loads(attributes["dtype"])),
            )
            if name == "FieldCollection":
                parts = tuple(cls.parse(part) for part in json.loads(attributes["fields"]))
                return cls(parts[0].grid, 0, label, dtype, parts)
            return cls(Grid.parse(attributes["grid"]), _NAMES.index(name), label, dtype)
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise FormatError(
                f"the field attributes {dict(attributes)} are not understood: {error!r}"
            ) from None

    @property
    def name(self) -> str:
        """Its class in py-pde."""
        return _NAMES[self.rank] if self.of_parts is None else "FieldCollection"

    @property
    def parts(self) -> tuple[Part, ...] | None:
        """The fields of a collection."""
        if self.of_parts is None:
            return None
        places = _places([form.rank for form in self.of_parts], self.grid)
        return tuple(
            Part(form.label, place, (form.grid.dim,) * form.rank + form.grid.shape, form)
            for form, place in zip(self.of_parts, places, strict=True)
        )

    def values(self, field: Any) -> Array:
        """Return the values of a field of this form, or of a plain array."""
        if isinstance(field, Field | FieldCollection):
            form = FieldForm.of(field)
            if form.name != self.name:
                raise InvalidInputError(
                    f"a {form.name} does not fit a storage of {self.name}s; use another for it"
                )
            if form.grid != self.grid:
                raise InvalidInputError(
                    f"a field on {form.grid} does not fit a storage of fields on {self.grid}; use "
                    "another for it"
                )
            return field.data
        return as_numbers(field)

    def restore(self, values: Array) -> Field | FieldCollection:
        """Return a field with these values."""
        parts = self.parts
        if parts is None:
            return Field(self.grid, values, label=self.label)
        return FieldCollection([p.form.restore(p.of(values)) for p in parts], label=self.label)

    def cast(self, dtype: "np.dtype[Any]") -> Self:
        """Return the same form for values of another dtype."""
        parts = None if self.of_parts is None else tuple(p.cast(dtype) for p in self.of_parts)
        return type(self)(self.grid, self.rank, self.label, dtype, parts)

    def describe(self) -> dict[str, Any]:
        """Return plain data: py-pde's, and that it was a `Field`."""
        return {ATTRIBUTES: self.attributes(), FORM: {"class": "Field"}}

    def attributes(self) -> dict[str, str]:
        shared = {
            "class": json.dumps(self.name),
            "label": json.dumps(self.label),
            "dtype": json.dumps(self.dtype.str),
        }
        if self.of_parts is None:
            return {**shared, "grid": self.grid.serialized}
        return {**shared, "fields": json.dumps([part.attributes() for part in self.of_parts])}
