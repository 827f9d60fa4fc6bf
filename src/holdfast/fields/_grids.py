"""`Grid`: where the values of a field lie, described as py-pde describes it, without py-pde."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast.errors import FormatError, InvalidInputError

Bounds = Sequence[Sequence[float]]

_AXES = {"PolarSymGrid": "r", "SphericalSymGrid": "r", "CylindricalSymGrid": "rz"}
_DIMENSIONS = {"PolarSymGrid": 2, "SphericalSymGrid": 3, "CylindricalSymGrid": 3}


@dataclass(frozen=True)
class Grid:
    """A regular grid of cells.

    Attributes
    ----------
    name : str
        Its class in py-pde: ``CartesianGrid``, ``UnitGrid``, ``PolarSymGrid``,
        ``SphericalSymGrid`` or ``CylindricalSymGrid``.
    state : mapping
        What else describes it there, as plain data: ``bounds``, ``shape``, ``periodic``, …

    Examples
    --------
    >>> grid = Grid.cartesian([[0, 10], [0, 5]], [4, 2], periodic=[True, False])
    >>> grid.axes, grid.axes_coords[0].tolist()
    (('x', 'y'), [1.25, 3.75, 6.25, 8.75])
    """

    name: str
    state: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "state", MappingProxyType(_checked(self.name, self.state)))

    @classmethod
    def cartesian(
        cls,
        bounds: Bounds,
        shape: int | Sequence[int],
        periodic: bool | Sequence[bool] = False,  # noqa: FBT001, FBT002 - py-pde's order
    ) -> "Grid":
        """Return a grid of boxes.

        Parameters
        ----------
        bounds : sequence of pairs
            Lower and upper bound of each axis.
        shape : int or sequence of int
            Cells along each axis.
        periodic : bool or sequence of bool
            Whether an axis ends where it begins.

        Raises
        ------
        InvalidInputError
            If these do not describe a grid.
        """
        sizes = [shape] * len(bounds) if isinstance(shape, int | np.integer) else list(shape)
        state = {"bounds": bounds, "shape": sizes, "periodic": _each(periodic, len(bounds))}
        return cls("CartesianGrid", state)

    @classmethod
    def unit(
        cls,
        shape: int | Sequence[int],
        periodic: bool | Sequence[bool] = False,  # noqa: FBT001, FBT002 - py-pde's order
    ) -> "Grid":
        """Return a grid of cells of size one; raises as `cartesian`."""
        sizes = [shape] if isinstance(shape, int | np.integer) else list(shape)
        return cls("UnitGrid", {"shape": sizes, "periodic": _each(periodic, len(sizes))})

    @classmethod
    def polar(cls, radius: float | tuple[float, float], shape: int) -> "Grid":
        """Return rings around a point of the plane, up to a radius or between two."""
        return cls("PolarSymGrid", {"radius": radius, "shape": [shape]})

    @classmethod
    def spherical(cls, radius: float | tuple[float, float], shape: int) -> "Grid":
        """Return shells around a point in space, up to a radius or between two."""
        return cls("SphericalSymGrid", {"radius": radius, "shape": [shape]})

    @classmethod
    def cylindrical(
        cls,
        radius: float | tuple[float, float],
        bounds_z: tuple[float, float],
        shape: Sequence[int],
        periodic_z: bool = False,  # noqa: FBT001, FBT002 - py-pde's order
    ) -> "Grid":
        """Return rings around an axis in space: cells along the radius, then along the axis."""
        state = {"radius": radius, "bounds_z": bounds_z, "shape": list(shape)}
        return cls("CylindricalSymGrid", {**state, "periodic_z": periodic_z})

    @classmethod
    def parse(cls, serialized: str) -> "Grid":
        """Read what py-pde calls ``state_serialized``.

        Raises
        ------
        FormatError
            If it describes no grid that is known here.
        """
        try:
            state = dict(json.loads(serialized))
            return cls(str(state.pop("class")), state)
        except (ValueError, TypeError, KeyError) as error:
            raise FormatError(f"the grid {serialized[:200]!r} is not understood: {error}") from None

    @property
    def serialized(self) -> str:
        """The grid as JSON, in py-pde's spelling."""
        return json.dumps({**self.state, "class": self.name})

    @property
    def shape(self) -> tuple[int, ...]:
        """Cells along each axis."""
        return tuple(self.state["shape"])

    @property
    def num_axes(self) -> int:
        """Number of axes along which fields vary."""
        return len(self.shape)

    @property
    def dim(self) -> int:
        """Dimensions of space, and components of a vector."""
        return _DIMENSIONS.get(self.name, self.num_axes)

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the axes."""
        known = _AXES.get(self.name)
        if known is not None:
            return tuple(known)
        if self.num_axes <= 3:
            return tuple("xyz"[: self.num_axes])
        return tuple(f"x{number}" for number in range(self.num_axes))

    @property
    def axes_bounds(self) -> tuple[tuple[float, float], ...]:
        """Lower and upper bound of each axis."""
        if self.name == "UnitGrid":
            return tuple((0.0, float(size)) for size in self.shape)
        if self.name == "CartesianGrid":
            return tuple((low, high) for low, high in self.state["bounds"])
        radius = self.state["radius"]
        inner, outer = (0.0, radius) if isinstance(radius, float) else radius
        if self.name == "CylindricalSymGrid":
            low, high = self.state["bounds_z"]
            return (inner, outer), (low, high)
        return ((inner, outer),)

    @property
    def periodic(self) -> tuple[bool, ...]:
        """Whether each axis ends where it begins."""
        if "periodic" in self.state:
            return tuple(self.state["periodic"])
        return tuple(axis == "z" and self.state["periodic_z"] for axis in self.axes)

    @property
    def axes_coords(self) -> tuple[npt.NDArray[np.float64], ...]:
        """Coordinates of the centres of cells along each axis."""
        return tuple(
            (low + (high - low) / size * (np.arange(size) + 0.5)).astype(np.float64)
            for (low, high), size in zip(self.axes_bounds, self.shape, strict=True)
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Grid):
            return NotImplemented
        return self.name == other.name and dict(self.state) == dict(other.state)

    def __hash__(self) -> int:
        return hash(self.serialized)

    def __reduce__(self) -> tuple[Any, ...]:
        return Grid, (self.name, dict(self.state))

    def __repr__(self) -> str:
        inner = ", ".join(f"{key}={value}" for key, value in self.state.items())
        return f"{self.name}({inner})"


def _each(periodic: bool | Sequence[bool], axes: int) -> list[bool]:  # noqa: FBT001 - one for all
    if isinstance(periodic, bool | np.bool_):
        return [bool(periodic)] * axes
    return [bool(value) for value in periodic]


def _checked(name: str, state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state with plain numbers, so that equal grids have equal states."""
    if name not in ("CartesianGrid", "UnitGrid", *_AXES):
        raise InvalidInputError(f"there is no grid {name!r}; use one of Grid's constructors")
    try:
        found = _PLAIN[name](state)
        sizes = [int(size) for size in np.atleast_1d(state["shape"])]
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInputError(f"this is no {name}: {dict(state)} ({error!r})") from None
    pairs = [pair for pair in _pairs(found) if not pair[0] < pair[1]]
    axes = len(_AXES.get(name, sizes))
    per_axis = [len(found[key]) for key in ("bounds", "periodic") if key in found]
    if pairs or min(sizes, default=0) < 1 or {len(sizes), *per_axis} != {axes}:
        raise InvalidInputError(
            f"this is no {name}: {dict(state)}; each axis has a lower and a larger upper bound "
            "and at least one cell"
        )
    return {**found, "shape": sizes}


def _pairs(state: Mapping[str, Any]) -> list[list[float]]:
    radius = state.get("radius", 1.0)
    pairs = [[0.0, radius] if isinstance(radius, float) else radius]
    return [*pairs, *state.get("bounds", []), state.get("bounds_z", [0.0, 1.0])]


def _pair(values: Any) -> list[float]:
    low, high = values
    return [float(low), float(high)]


def _radius(values: Any) -> float | list[float]:
    return float(values) if np.ndim(values) == 0 else _pair(values)


_PLAIN: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "CartesianGrid": lambda state: {
        "bounds": [_pair(pair) for pair in state["bounds"]],
        "periodic": [bool(value) for value in state["periodic"]],
    },
    "UnitGrid": lambda state: {"periodic": [bool(value) for value in state["periodic"]]},
    "PolarSymGrid": lambda state: {"radius": _radius(state["radius"])},
    "SphericalSymGrid": lambda state: {"radius": _radius(state["radius"])},
    "CylindricalSymGrid": lambda state: {
        "radius": _radius(state["radius"]),
        "bounds_z": _pair(state["bounds_z"]),
        "periodic_z": bool(state["periodic_z"]),
    },
}
