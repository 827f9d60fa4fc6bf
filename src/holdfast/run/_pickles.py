"""Reading pickles, which is done on explicit request only."""

import pickle
from pathlib import Path
from typing import Any

from holdfast.errors import FormatError, InvalidInputError

_UNPICKLING_ERRORS = (
    pickle.UnpicklingError,
    ArithmeticError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
)
"""What `pickle` raises on damaged files, by its documentation and by flipping bits."""


def unpickle(path: Path, *, trust: bool) -> Any:
    """Read a pickle, which runs code that the file chooses.

    Raises
    ------
    InvalidInputError
        If `trust` is not given.
    FormatError
        If the file is damaged, or a class it needs cannot be imported.
    """
    check_trust(path, trust=trust)
    try:
        return pickle.loads(path.read_bytes())  # noqa: S301 - on explicit request
    except _UNPICKLING_ERRORS as error:
        raise FormatError(f"{path} cannot be unpickled: {error}") from error


def check_trust(what: object, *, trust: bool) -> None:
    """Refuse a pickle that nobody has said to trust.

    Raises
    ------
    InvalidInputError
        If `trust` is not given.
    """
    if not trust:
        raise InvalidInputError(
            f"{what} is a pickle, and reading one can run any code; if you trust its origin, "
            "pass trust=True"
        )
