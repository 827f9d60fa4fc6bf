"""The form of ``xarray.DataArray``, and storages as DataArrays; what needs xarray itself."""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from holdfast._plain import to_plain
from holdfast.errors import FormatError, InvalidInputError, MissingDependencyError
from holdfast.fields._forms import FORM, Array, as_numbers
from holdfast.fields._values import StoredData

if TYPE_CHECKING:
    from holdfast.fields._hooks import Hooks

MANY = 1000
"""Coordinates of more values are kept as the bytes of a ``.npy`` file, not as a list."""

MISSING = "fcmM"
"""Kinds of dtypes that have a value for what is missing, which does not equal itself."""

TIME = "time"
"""A scalar coordinate of this name differs from field to field; it is what `times` holds."""


def _module() -> Any:
    try:
        import xarray
    except ImportError:
        raise MissingDependencyError(
            "xarray.DataArrays need xarray; install it with: pip install 'holdfast[fields]'"
        ) from None
    return xarray


@dataclass(frozen=True, slots=True)
class Coordinate:
    """A coordinate: the dimensions that it varies along, its values and attributes."""

    dims: tuple[str, ...]
    values: Array
    attrs: Mapping[str, Any]

    def equals(self, other: "Coordinate") -> bool:
        """Whether dimensions and values are the same."""
        if self.dims != other.dims or self.values.shape != other.values.shape:
            return False
        missing = self.values.dtype.kind in MISSING and other.values.dtype.kind in MISSING
        return np.array_equal(self.values, other.values, equal_nan=missing)

    def describe(self) -> dict[str, Any]:
        """Return plain data that `parse` reads."""
        return {"dims": list(self.dims), "attrs": self.attrs, **_described(self.values)}

    @classmethod
    def parse(cls, described: Mapping[str, Any]) -> "Coordinate":
        """Read what `describe` gave."""
        return cls(tuple(described["dims"]), _values(described), described["attrs"])


def _described(values: Array) -> dict[str, Any]:
    if values.size <= MANY:
        kept = values.astype(np.int64) if values.dtype.kind in "mM" else values
        return {"dtype": values.dtype.str, "values": to_plain(kept, "a coordinate")}
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    return {"npy": base64.b64encode(buffer.getvalue()).decode()}


def _values(described: Mapping[str, Any]) -> Array:
    if "npy" in described:
        content = io.BytesIO(base64.b64decode(described["npy"]))
        values: Array = np.load(content, allow_pickle=False)
        return values
    dtype = np.dtype(described["dtype"])
    if dtype.kind in "mM":
        return np.array(described["values"], np.int64).view(dtype)
    return np.array(described["values"], dtype)


@dataclass(frozen=True, slots=True)
class XarrayForm:
    """The form of DataArrays with the same dimensions and coordinates.

    Attributes
    ----------
    dims : tuple of str
        Names of the axes.
    coords : mapping of str to Coordinate
        The coordinates.
    attrs : mapping
        Attributes, as plain data.
    label : str or None
        The name of the arrays.
    """

    dims: tuple[str, ...]
    coords: Mapping[str, Coordinate] = field(default_factory=dict)
    attrs: Mapping[str, Any] = field(default_factory=dict)
    label: str | None = None

    @classmethod
    def of(cls, array: Any) -> "XarrayForm":
        """Return the form of a DataArray.

        Raises
        ------
        InvalidInputError
            If a coordinate or an attribute cannot be kept.
        """
        if not hasattr(array, "name"):
            raise InvalidInputError(
                "a Dataset is no field; store one of its DataArrays, or all by to_dataarray()"
            )
        coords = {_text(key): _coordinate(key, value) for key, value in array.coords.items()}
        if TIME in coords and not coords[TIME].dims:
            del coords[TIME]
        label = None if array.name is None else _text(array.name)
        attrs = to_plain(dict(array.attrs), "attrs")
        return cls(tuple(_text(dim) for dim in array.dims), coords, attrs, label)

    @classmethod
    def parse(cls, described: Mapping[str, Any]) -> "XarrayForm":
        """Read what `describe` gave under ``field_form``.

        Raises
        ------
        FormatError
            If it is not understood.
        """
        try:
            coords = {key: Coordinate.parse(value) for key, value in described["coords"].items()}
            dims = tuple(described["dims"])
            return cls(dims, coords, described["attrs"], described["name"])
        except (KeyError, ValueError, TypeError) as error:
            raise FormatError(
                f"the coordinates of a storage's DataArrays are not understood: {error!r}; its "
                "values are in .data"
            ) from None

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return "DataArray"

    @property
    def grid(self) -> None:
        """None; coordinates are compared by `values`."""
        return

    @property
    def parts(self) -> None:
        """None; it is no collection."""
        return

    def values(self, field: Any) -> Array:  # a field of a storage, as everywhere in this room
        """Return the values of a DataArray of this form, or of a plain array."""
        if not (hasattr(field, "dims") and hasattr(field, "coords")):
            return as_numbers(field)
        other = XarrayForm.of(field)
        if other.dims != self.dims:
            raise InvalidInputError(
                f"a DataArray with the dimensions {other.dims} does not fit a storage of "
                f"{self.dims}; transpose it, or use another storage"
            )
        for key in self.coords.keys() | other.coords.keys():
            here, there = self.coords.get(key), other.coords.get(key)
            if here is None or there is None or not here.equals(there):
                raise InvalidInputError(
                    f"the coordinate {key!r} of a DataArray differs from that in the storage; use "
                    "another storage, or drop the coordinate from all"
                )
        return as_numbers(field.values)

    def restore(self, values: Array) -> Any:
        """Return a DataArray with these values."""
        coords = {key: (c.dims, c.values, dict(c.attrs)) for key, c in self.coords.items()}
        return _module().DataArray(
            values, dims=self.dims, coords=coords, attrs=dict(self.attrs), name=self.label
        )

    def cast(self, dtype: "np.dtype[Any]") -> Self:  # noqa: ARG002 - arrays bring their dtype
        """Return itself."""
        return self

    def describe(self) -> dict[str, Any]:
        """Return plain data."""
        coords = {key: coordinate.describe() for key, coordinate in self.coords.items()}
        described = {"dims": list(self.dims), "coords": coords, "attrs": self.attrs}
        return {FORM: {"class": "DataArray", "name": self.label, **described}}


def _text(name: Any) -> str:
    if not isinstance(name, str):
        raise InvalidInputError(f"{name!r} names a part of a DataArray; only text can be kept")
    return name


def _coordinate(name: Any, coordinate: Any) -> Coordinate:
    # What pandas alone has (time zones, periods) NumPy gives as something else.
    numpy_has_it = isinstance(coordinate.dtype, np.dtype) or coordinate.dtype.kind == "O"
    values = np.asarray(coordinate.values) if numpy_has_it else np.empty(0, object)
    if values.dtype.kind == "O" and values.size and all(isinstance(v, str) for v in values.flat):
        values = values.astype(str)
    if values.dtype.kind not in "biufcmMU":
        raise InvalidInputError(
            f"the coordinate {name!r} holds {coordinate.dtype}, which cannot be kept; use numbers, "
            "times without a zone or text, and reset_index() for an index of several levels"
        )
    attrs = to_plain(dict(coordinate.attrs), f"attributes of the coordinate {name!r}")
    return Coordinate(tuple(_text(dim) for dim in coordinate.dims), values, attrs)


def to_xarray(storage: "Hooks") -> Any:
    """Return the fields of a storage as one DataArray, whose values are read when needed."""
    xarray = _module()
    form = storage.form
    if isinstance(form, XarrayForm):
        dims: tuple[str, ...] = form.dims
        coords = {key: (c.dims, c.values, dict(c.attrs)) for key, c in form.coords.items()}
        attrs, name = dict(form.attrs), form.label
        if TIME in dims or TIME in coords:
            raise InvalidInputError(
                f"{storage!r} holds DataArrays with a {TIME!r} of their own, which would be taken "
                "for the times of the fields; rename it before they are stored"
            )
    else:
        dims, coords = _axes(storage)
        attrs, name = {}, storage.info.get("label", getattr(form, "label", None))
    times = np.asarray(storage.times, np.float64)
    variable = xarray.Variable(("time", *dims), _lazy(StoredSoFar(storage, len(times))))
    return xarray.DataArray(
        variable, coords={**coords, "time": ("time", times)}, attrs=attrs, name=name
    )


class StoredSoFar(StoredData):
    """The values of the first fields of a storage that may grow; a DataArray does not."""

    def __init__(self, storage: "Hooks", count: int) -> None:
        super().__init__(storage)
        self._count = count

    def __len__(self) -> int:
        return min(self._count, super().__len__())  # asked each time: a file is opened by that


def _lazy(data: StoredData) -> Any:
    """Return the values as xarray has them that are read when they are needed."""
    from xarray.core import indexing

    return indexing.LazilyIndexedArray(_backend(data))


def _backend(data: StoredData) -> Any:
    """Return the values as xarray's backends give theirs, so that only what is needed is read."""
    from xarray.backends import BackendArray
    from xarray.core import indexing

    class Values(BackendArray):
        shape, dtype = data.shape, data.dtype

        def __getitem__(self, key: Any) -> Any:
            return indexing.explicit_indexing_adapter(
                key, self.shape, indexing.IndexingSupport.BASIC, data.__getitem__
            )

        def __reduce__(self) -> tuple[Any, ...]:
            return _backend, (data,)

    return Values()


def _axes(storage: "Hooks") -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return names of the axes of a field's values, and their coordinates."""
    shape, grid = storage.data_shape, storage.grid
    if grid is None:
        return tuple(f"dim_{axis}" for axis in range(len(shape))), {}
    axes = tuple(map(str, grid.axes))
    coords: dict[str, Any] = dict(zip(axes, zip(axes, grid.axes_coords, strict=True), strict=True))
    parts = storage.form.parts
    if parts is not None:
        names = [name for number, part in enumerate(parts) for name in _components(number, part)]
        return ("component", *axes), {**coords, "component": ("component", names)}
    components = ("component", "component_2")[: len(shape) - len(axes)]
    return (*components, *axes), coords


def _components(number: int, part: Any) -> list[str]:
    """Return names for the components of a part of a collection."""
    label = part.label or f"field_{number}"
    rank = len(part.shape) - len(part.form.grid.shape)
    indices = np.ndindex(*part.shape[:rank])
    return ["_".join([label, *map(str, index)]) for index in indices]
