"""Pictures of a field: lines and images, as arrays with their axes, for movies and plots alike.

A vector or tensor is shown by its magnitude, a complex number by its modulus, and of more than two
dimensions a cut through the middle of the further ones. Of a DataArray, whose dimensions go from
rows to columns, the last is to the right and the one before it upwards, as xarray draws them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast.fields._forms import Array, Form


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis of a picture.

    Attributes
    ----------
    name : str
        What it is called.
    low, high : float
        Where its first cell begins and its last ends.
    centres : numpy.ndarray
        Centres of the cells.
    unit : str
        Its unit; empty where none is known.
    """

    name: str
    low: float
    high: float
    centres: npt.NDArray[np.float64]
    unit: str = ""

    @property
    def title(self) -> str:
        """Its name, and its unit."""
        return _with_unit(self.name, self.unit)


@dataclass(frozen=True, slots=True)
class Picture:
    """What of a field is shown in one place.

    Attributes
    ----------
    label : str
        What it shows.
    values : numpy.ndarray
        Real numbers of shape ``(nx,)``, a line, or ``(nx, ny)``, an image with x to the right and
        y upwards.
    axes : tuple of Axis
        One for each dimension.
    """

    label: str
    values: npt.NDArray[np.float64]
    axes: tuple[Axis, ...]

    @property
    def upright(self) -> npt.NDArray[np.float64]:
        """An image as screens want it: rows from the top down."""
        return self.values.T[::-1]


def _with_unit(name: str, unit: str) -> str:
    return f"{name} [{unit}]".strip() if unit else name


def unit_of(attributes: Any) -> str:
    """Return the unit that attributes tell, as those of xarray do."""
    return str(getattr(attributes, "attrs", {}).get("units", ""))


def label_of(form: Form, label: Any, *, magnitude: bool) -> str:
    """Return what a picture of a field is called."""
    name = str(label or "")
    return _with_unit(f"|{name or 'field'}|" if magnitude else name, unit_of(form))


def pictures_of(form: Form, values: Array) -> list[Picture]:
    """Return the pictures of a field: one, or one for each part of a collection."""
    if form.parts is None:
        return [_picture(form, values, getattr(form, "label", None))]
    return [
        _picture(part.form, part.of(values), part.label or f"field {number}")
        for number, part in enumerate(form.parts)
    ]


def scalars_of(form: Form, values: Array) -> tuple[Array, bool]:
    """Return one real number for each cell, and whether it is a magnitude.

    Parameters
    ----------
    form : Form
        Of a field that is no collection.
    values : numpy.ndarray
        Its values, further axes in front or not.
    """
    cells = len(axes_of(form, values.shape))
    rank = max(values.ndim - cells, 0)
    magnitude = bool(rank) or values.dtype.kind == "c"
    shown: Array = np.abs(values) if magnitude else values
    shown = shown.astype(np.float64)
    if rank:
        shown = np.sqrt(np.square(shown).sum(axis=tuple(range(rank))))
    return shown, magnitude


def axes_of(form: Form, shape: Sequence[int]) -> tuple[Axis, ...]:
    """Return the axes of the cells of a field: of its grid, its coordinates, or plain numbers."""
    grid = form.grid
    if grid is not None:
        return tuple(
            Axis(str(name), float(low), float(high), np.asarray(centres, np.float64))
            for name, (low, high), centres in zip(
                grid.axes, grid.axes_bounds, grid.axes_coords, strict=True
            )
        )
    names = [str(name) for name in getattr(form, "dims", ())] or _names(len(shape))
    found = _coordinates(form)
    return tuple(
        _axis(name, found.get(name), size) for name, size in zip(names, shape, strict=True)
    )


def _names(count: int) -> list[str]:
    return list("xyz"[:count]) if count <= 3 else [f"x{number}" for number in range(count)]


def _coordinates(form: Form) -> dict[str, Any]:
    """Return coordinates of a form that has some, one number for each place along a dimension."""
    return {
        name: coordinate
        for name, coordinate in getattr(form, "coords", {}).items()
        if coordinate.dims == (name,) and coordinate.values.dtype.kind in "iuf"
    }


def _axis(name: str, coordinate: Any, size: int) -> Axis:
    unit = unit_of(coordinate)
    if coordinate is None or len(coordinate.values) != size:
        return Axis(name, -0.5, size - 0.5, np.arange(size, dtype=np.float64), unit)
    points = coordinate.values.astype(np.float64)
    half = (points[-1] - points[0]) / (2 * (size - 1)) if size > 1 else 0.5
    return Axis(name, float(points[0] - half), float(points[-1] + half), points, unit)


def _picture(form: Form, values: Array, label: Any) -> Picture:
    shown, magnitude = scalars_of(form, values)
    axes = axes_of(form, values.shape)
    if hasattr(form, "dims"):
        axes, shown = axes[::-1], shown.T
    name = label_of(form, label, magnitude=magnitude)
    cuts = [f"{axis.name} = {axis.centres[len(axis.centres) // 2]:.4g}" for axis in axes[2:]]
    for axis in axes[2:]:
        shown = np.take(shown, len(axis.centres) // 2, axis=2)
    if not axes:  # a single number
        axes = (Axis("", -0.5, 0.5, np.zeros(1)),)
        shown = shown.reshape(1)
    return Picture(f"{name} at {', '.join(cuts)}".strip() if cuts else name, shown, axes[:2])


LARGEST = 1e300
"""What is beyond is shown as this: matplotlib computes with differences, which must be finite."""


@dataclass(slots=True)
class Limits:
    """Limits of what is shown: given, or those of all that has been seen so far.

    Attributes
    ----------
    low, high : float or None
        The limits; None where nothing finite has been seen.
    """

    low: float | None = None
    high: float | None = None
    fixed: bool = False

    def see(self, values: Array) -> None:
        """Take further values in."""
        finite = values[np.isfinite(values)]
        if self.fixed or not finite.size:
            return
        low, high = max(float(finite.min()), -LARGEST), min(float(finite.max()), LARGEST)
        self.low = low if self.low is None else min(low, self.low)
        self.high = high if self.high is None else max(high, self.high)

    @property
    def pair(self) -> tuple[float, float]:
        """Limits with something between them."""
        low, high = self.low or 0.0, self.high or 0.0
        if high > low or self.fixed:
            return low, high
        return low - 0.5, high + 0.5
