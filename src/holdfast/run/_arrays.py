"""Arrays as ``.npy`` and ``.npz``: what is accepted, and writing and reading them."""

import errno
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from holdfast._names import safe_name
from holdfast.errors import FormatError, InvalidInputError

Array = np.ndarray[Any, np.dtype[Any]]

_DAMAGE = (
    ArithmeticError,
    EOFError,
    MemoryError,  # a shape that no memory holds
    RuntimeError,  # zipfile: encrypted, or a method it does not have
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What `numpy` and `zipfile` raise on damaged files, found by flipping bits."""


def to_array(name: str, value: npt.ArrayLike) -> Array:
    """Turn a value into an array that ``.npy`` can hold without pickle.

    Raises
    ------
    InvalidInputError
        If its rows differ in length, it holds Python objects, or it has a mask, which the format
        would drop.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise InvalidInputError(
            f"array {name!r} has a mask, which .npy cannot hold; save its .data and .mask with "
            "arrays(), or its .filled(...) values"
        )
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InvalidInputError(
            f"array {name!r} cannot be made ({error}); pad rows of different length, or save each "
            "row under a name of its own"
        ) from None
    if array.dtype.hasobject:
        raise InvalidInputError(
            f"array {name!r} holds Python objects, which .npy can only pickle; convert it to "
            "numbers or fixed-length text, or save it with pickle()"
        )
    return array


def write_npy(file: BinaryIO, array: Array) -> None:
    """Write one array; a full disk says so with its own error number."""
    try:
        np.save(file, array, allow_pickle=False)
    except OSError as error:
        if error.errno is None:  # NumPy only counts the bytes; a plain write tells the reason
            os.write(file.fileno(), bytes(4096))
        raise


def write_npz(file: BinaryIO, arrays: Mapping[str, Array], *, compressed: bool) -> None:
    """Write several arrays; unlike ``numpy.savez`` no member name collides with an argument."""
    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(file, "w", method) as archive:
        for key, array in arrays.items():
            with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def check_bundle(name: str, arrays: Mapping[str, npt.ArrayLike]) -> dict[str, Array]:
    """Check the members of a bundle.

    Raises
    ------
    InvalidInputError
        If there are none, or one of them cannot be saved.
    """
    if not arrays:
        raise InvalidInputError(f"bundle {name!r} has no arrays; pass at least one by keyword")
    return {
        safe_name(key, "array name", suffix=".npy"): to_array(f"{name}:{key}", value)
        for key, value in arrays.items()
    }


def load_npy(path: Path) -> Array:
    """Read an ``.npy`` file; never a pickle.

    Raises
    ------
    FormatError
        If the file is damaged or holds pickled objects.
    """
    with _reading(path):
        return np.load(path, allow_pickle=False)  # type: ignore[no-any-return]


def load_npz(path: Path, key: str) -> Array:
    """Read one member of an ``.npz`` file.

    Raises
    ------
    KeyError
        If there is no such member.
    FormatError
        If the file is damaged or holds pickled objects.
    """
    # Not by numpy.load, which gives "x" when asked for "x.npy" and both are there.
    with _reading(path), zipfile.ZipFile(path) as archive, archive.open(f"{key}.npy") as member:
        return np.lib.format.read_array(member, allow_pickle=False)


def npz_members(path: Path) -> list[str]:
    """Return the member names of an ``.npz`` file, sorted.

    Raises
    ------
    FormatError
        If the file is damaged.
    """
    with _reading(path), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        return sorted(n.removesuffix(".npy") for n in names if n.endswith(".npy"))


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        problem: Exception = error
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # these: no such offset, no such compression
            raise
        problem = error
    else:
        return
    raise FormatError(
        f"{path} is damaged or no plain array ({problem}); restore it from a copy"
    ) from None
