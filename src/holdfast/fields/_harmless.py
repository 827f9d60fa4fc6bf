"""Pickles that can only be numbers: dtypes, arrays and complex numbers, made without running code.

py-modelrunner keeps these as pickles in text. Nothing of the pickle is called here: the few names
that such a one may hold lead to functions below, which look at what they are given.
"""

import base64
import io
import pickle
import re
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from holdfast.errors import InvalidInputError

PICKLED = "__pickled__"
"""Name under which py-modelrunner keeps a pickle, in JSON and beside arrays."""

_NUMBERS = re.compile(r"[biufc]\d{1,2}")
_ERRORS = (
    pickle.UnpicklingError,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
)
"""What `pickle` raises on damaged data, and NumPy on arrays that cannot be."""


def without_pickles(made: dict[str, Any], what: str) -> Any:
    """Return an object of JSON; where it stands for a pickle, the numbers in that.

    Raises
    ------
    InvalidInputError
        If it stands for a pickle of anything else.
    """
    return harmless(made[PICKLED], what) if PICKLED in made else made


def harmless(text: str, what: str) -> Any:
    """Return the dtype, array or plain value that a pickle in base64 holds.

    Raises
    ------
    InvalidInputError
        If it holds anything else.
    """
    try:
        found = _Unpickler(io.BytesIO(base64.b64decode(text))).load()
        return found.value if isinstance(found, _DType | _Array) else found
    except _ERRORS as error:
        refuse_pickle(what, f" ({error})")


def refuse_pickle(what: str, why: str = "") -> NoReturn:
    """Refuse a pickle that nobody has said to trust."""
    raise InvalidInputError(
        f"{what} is a pickle{why}, and reading one can run any code; if you trust its origin, pass "
        "trust=True"
    )


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str, /) -> Any:
        known = _KNOWN.get((module.replace("numpy.core", "numpy._core"), name))
        return _refuse(f"it calls {module}.{name}") if known is None else known


def _refuse(why: str) -> NoReturn:
    raise pickle.UnpicklingError(why)


class _DType:
    """A dtype of numbers, as its pickle describes it."""

    value: "np.dtype[Any]"

    def __setstate__(self, state: Any) -> None:
        if state[0] != 3 or state[1] not in tuple("<>|=") or state[2:] != _PLAIN:
            _refuse("its dtype is not one of plain numbers")
        self.value = self.value.newbyteorder(state[1])


_PLAIN = (None, None, None, -1, -1, 0)
"""Neither parts, names nor fields; the size and alignment of its kind; no flags."""


def _dtype(code: str, *_: bool) -> _DType:
    if not _NUMBERS.fullmatch(code):
        _refuse("its dtype is not one of plain numbers")
    made = _DType()
    made.value = np.dtype(code)
    return made


class _Array:
    """An array of numbers, as its pickle describes it."""

    value: npt.NDArray[Any]

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, columns_first, content = state
        self.value = _from_buffer(content, kind, shape, "F" if columns_first else "C")


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _ndarray(*_: Any) -> NoReturn:
    _refuse("it makes an array in another way than NumPy")


def _from_buffer(content: Any, kind: _DType, shape: tuple[int, ...], order: Any) -> Any:
    return np.frombuffer(bytes(content), kind.value).reshape(shape, order=order).copy()


_KNOWN = {
    ("builtins", "complex"): complex,
    ("numpy", "dtype"): _dtype,
    ("numpy", "ndarray"): _ndarray,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.numeric", "_frombuffer"): _from_buffer,
}
