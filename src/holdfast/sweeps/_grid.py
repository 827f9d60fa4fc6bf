"""The parameters of a sweep: combinations of values, and their plain form."""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from holdfast._plain import to_plain
from holdfast.errors import InvalidInputError

Params = Mapping[str, Any]
Grid = Mapping[str, Iterable[Any]] | Iterable[Params]


def as_params(params: Params) -> dict[str, Any]:
    """Return parameters as plain data.

    Raises
    ------
    InvalidInputError
        If one has no plain form.
    """
    plain = to_plain(dict(params), "params")
    if not isinstance(plain, dict):
        raise InvalidInputError(f"params is a {type(params).__name__}; pass a dictionary")
    return plain


def combinations(grid: Grid) -> list[dict[str, Any]]:
    """Return the parameter sets of a grid: the product of a mapping's values, or those listed.

    Raises
    ------
    InvalidInputError
        If an axis is text or a single value, or a listed set is no mapping.
    """
    if isinstance(grid, Mapping):
        axes = {name: _axis(name, values) for name, values in grid.items()}
        return [dict(zip(axes, point, strict=True)) for point in itertools.product(*axes.values())]
    sets = list(grid)
    for params in sets:
        if not isinstance(params, Mapping):
            raise InvalidInputError(
                f"grid holds {params!r}; pass values by parameter, or a list of dictionaries"
            )
    return [dict(params) for params in sets]


def _axis(name: str, values: Iterable[Any]) -> list[Any]:
    refusal = InvalidInputError(f"axis {name!r} is {values!r}; pass a list of its values")
    if isinstance(values, str | bytes | Mapping):
        raise refusal
    try:
        return list(values)
    except TypeError:
        raise refusal from None
