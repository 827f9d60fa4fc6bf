"""Whether a function may change what lies outside of it, which would be lost in another process."""

import dis
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

_UNCHANGING = (
    bool, int, float, complex, str, bytes, type(None), np.generic, type, types.ModuleType,
    types.FunctionType, types.BuiltinFunctionType,
)  # fmt: skip
_STORES = ("STORE_GLOBAL", "DELETE_GLOBAL", "STORE_DEREF", "DELETE_DEREF")


def may_change_outside(func: Any, kwargs: Mapping[str, Any]) -> bool:
    """Whether a function uses values from outside that can be changed, as far as its code shows.

    What functions do that it calls is not looked at; objects that are called are taken to change.
    """
    if (getattr(func, "__module__", None) or "").partition(".")[0] in ("numpy", "builtins"):
        return not all(map(_is_unchanging, kwargs.values()))
    if not isinstance(func, types.FunctionType):
        return True
    codes = list(_codes(func.__code__))
    names = {name for code in codes for name in code.co_names}
    used = [func.__globals__[name] for name in names if name in func.__globals__]
    cells = [cell.cell_contents for cell in func.__closure__ or ()]
    outside = set(func.__code__.co_freevars)
    return _stores(codes, outside) or not all(
        map(_is_unchanging, [*used, *cells, *(func.__defaults__ or ()), *kwargs.values()])
    )


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """Go through the code of a function and of those within it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _stores(codes: Iterable[types.CodeType], outside: set[str]) -> bool:
    return any(
        step.opname in _STORES and ("GLOBAL" in step.opname or step.argval in outside)
        for code in codes
        for step in dis.get_instructions(code)
    )


def _is_unchanging(value: Any) -> bool:
    if isinstance(value, tuple | frozenset):
        return all(map(_is_unchanging, value))
    return isinstance(value, _UNCHANGING)
