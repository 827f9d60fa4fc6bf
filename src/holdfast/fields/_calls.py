"""How many arguments a function of the user takes."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any


def positions(func: Callable[..., Any], most: int, names: Mapping[str, Any]) -> int:
    """Return how many positional arguments a function takes, `most` at most.

    Parameters
    ----------
    func : callable
        A function, method, partial or any other callable.
    most : int
        How many there are to give.
    names : mapping
        Arguments that it is given by name.
    """
    try:
        parameters = inspect.signature(func).parameters.values()
    except (TypeError, ValueError):  # a built-in that does not say
        return 1
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return most
    taken = [
        p
        for p in parameters
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.name not in names
    ]
    needed = [parameter for parameter in taken if parameter.default is parameter.empty]
    # An argument with a default is not meant for a time, unless its name says so.
    named = [parameter for parameter in taken[1:2] if parameter.name in ("t", "time")]
    return min(max(len(needed), len(named) + 1 if named else min(len(taken), 1)), most)
