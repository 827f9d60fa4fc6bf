"""What a field is made of: its values as one array, and its form, which makes a field of it again.

A form knows what all fields of a storage have in common (class, grid, labels, coordinates). Each
kind of field has one: arrays here, `Field` in ``_field.py``, py-pde's in ``_pde.py``, DataArrays in
``_xarray.py``. A storage keeps a form as plain data among its information, under the two keys of
`FORM_KEYS`: ``field_attributes``, which is py-pde's, and ``field_form``, which is ours.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from holdfast.errors import FormatError, InvalidInputError

Array = npt.NDArray[Any]

ATTRIBUTES, FORM = "field_attributes", "field_form"
FORM_KEYS = (ATTRIBUTES, FORM)

NUMBERS = "biufc"
"""Kinds of dtypes that fields may have: truth values, integers, real and complex numbers."""


class Form(Protocol):
    """What all fields of a storage have in common, besides their values."""

    @property
    def name(self) -> str:
        """What such a field is called in messages, such as ``VectorField``."""

    @property
    def grid(self) -> Any:
        """Their grid; None where there is none."""

    @property
    def parts(self) -> "tuple[Part, ...] | None":
        """The fields of a collection; None where it is none."""

    def values(self, field: Any) -> Array:
        """Return the values of a field of this form, not copied.

        Raises
        ------
        InvalidInputError
            If it has another form: a grid, a class or coordinates that differ.
        """

    def restore(self, values: Array) -> Any:
        """Return a field with these values, which it may keep and change."""

    def cast(self, dtype: "np.dtype[Any]") -> Self:
        """Return the same form for values of another dtype."""

    def describe(self) -> dict[str, Any]:
        """Return plain data by some of `FORM_KEYS`, from which `form_from` makes the form."""


@dataclass(frozen=True, slots=True)
class Part:
    """One field of a collection.

    Attributes
    ----------
    label : str or None
        Its name.
    place : int or slice
        Where its values are along the first axis of the collection's.
    shape : tuple of int
        Shape of its values.
    form : Form
        Its form.
    """

    label: str | None
    place: "int | slice[int, int, None]"
    shape: tuple[int, ...]
    form: Form

    def of(self, values: Array) -> Array:
        """Return its values among those of a collection, not copied."""
        return values[self.place].reshape(self.shape)


@dataclass(frozen=True, slots=True)
class Layout:
    """What a storage keeps: shape and dtype of one array, and the form of its fields.

    Attributes
    ----------
    shape : tuple of int
        Shape of the values of one field.
    dtype : numpy.dtype
        Their dtype as stored.
    form : Form
        What makes fields of them.
    """

    shape: tuple[int, ...]
    dtype: "np.dtype[Any]"
    form: Form

    @classmethod
    def of(cls, field: Any, dtype: "npt.DTypeLike | None" = None) -> "Layout":
        """Return the layout of a field, stored in another dtype where one is given.

        Raises
        ------
        InvalidInputError
            If it is no field, or the dtype would lose an imaginary part or a fraction.
        """
        form = form_of(field)
        values = form.values(field)
        if dtype is None:
            return cls(values.shape, values.dtype, form)
        stored = dtype_of(dtype)
        if not np.can_cast(values.dtype, stored, casting="same_kind"):
            raise InvalidInputError(
                f"{values.dtype} values of a {form.name} cannot be stored as {stored} without "
                "loss of more than digits; choose another dtype, or none"
            )
        return cls(values.shape, stored, form.cast(stored))

    def values(self, field: Any) -> Array:
        """Return the values of a field as they are stored, not copied where they need not be.

        Raises
        ------
        InvalidInputError
            If the field does not belong here: another grid, class, shape or kind of number.
        """
        values = self.form.values(field)
        if values.shape != self.shape:
            raise InvalidInputError(
                f"a field of shape {values.shape} does not fit a storage of {self.form.name}s of "
                f"shape {self.shape}; use a storage of its own for it"
            )
        if values.dtype == self.dtype:
            return values
        if not np.can_cast(values.dtype, self.dtype, casting="same_kind"):
            raise InvalidInputError(
                f"{values.dtype} values do not fit a storage of {self.dtype}; begin the storage "
                "with a field of the wider dtype"
            )
        return values.astype(self.dtype)


def dtype_of(dtype: npt.DTypeLike) -> "np.dtype[Any]":
    """Return what names a dtype of numbers or truth values as one.

    Raises
    ------
    InvalidInputError
        If it names none.
    """
    with contextlib.suppress(TypeError):
        found = np.dtype(dtype)
        if found.kind in NUMBERS:
            return found
    raise InvalidInputError(f"{dtype!r} is no dtype of numbers; use for example 'float32'")


@dataclass(frozen=True, slots=True)
class ArrayForm:
    """Plain NumPy arrays."""

    name: str = "array"
    grid: None = None
    parts: None = None

    def values(self, field: Any) -> Array:
        """Return what NumPy makes of it."""
        return as_numbers(field)

    def restore(self, values: Array) -> Array:
        """Return the values."""
        return values

    def cast(self, dtype: "np.dtype[Any]") -> Self:  # noqa: ARG002 - arrays bring their dtype
        """Return itself."""
        return self

    def describe(self) -> dict[str, Any]:
        """Return plain data."""
        return {FORM: {"class": "ndarray"}}


def as_numbers(values: Any) -> Array:
    """Return values as an array of numbers or truth values.

    Raises
    ------
    InvalidInputError
        If they are ragged, or something else.
    """
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise InvalidInputError(f"a field has parts of different lengths ({error})") from None
    if array.dtype.kind not in NUMBERS:
        raise InvalidInputError(
            f"a {type(values).__name__} of {array.dtype} is no field; use an array of numbers, a "
            "Field, a field of py-pde or an xarray.DataArray"
        )
    return array


def form_of(field: Any) -> Form:
    """Return the form of a field.

    Raises
    ------
    InvalidInputError
        If it is none.
    """
    kind = type(field)
    if kind is np.ndarray:
        return ArrayForm()
    from holdfast.fields._field import Field, FieldCollection, FieldForm

    if isinstance(field, Field | FieldCollection):
        return FieldForm.of(field)
    if hasattr(field, "attributes_serialized"):
        from holdfast.fields._pde import PdeForm

        return PdeForm.of(field)
    if hasattr(field, "dims") and hasattr(field, "coords"):
        from holdfast.fields._xarray import XarrayForm

        return XarrayForm.of(field)
    return ArrayForm()


def form_from(info: Mapping[str, Any]) -> Form:
    """Return the form that a storage's information describes; of arrays where it says nothing.

    Raises
    ------
    FormatError
        If the description cannot be understood.
    """
    described, attributes = info.get(FORM), info.get(ATTRIBUTES)
    name = described.get("class") if isinstance(described, Mapping) else None
    if name == "DataArray" and isinstance(described, Mapping):
        from holdfast.fields._xarray import XarrayForm

        return XarrayForm.parse(described)
    if isinstance(attributes, Mapping):
        from holdfast.fields._field import FieldForm
        from holdfast.fields._pde import PdeForm, installed

        if name == "Field" or not installed():
            return FieldForm.parse(attributes)
        return PdeForm.parse(attributes)
    if attributes is not None or name not in (None, "ndarray"):
        raise FormatError(
            f"the storage's fields are described as {described or attributes!r}, which this "
            "version does not know; its arrays are in .data"
        )
    return ArrayForm()
