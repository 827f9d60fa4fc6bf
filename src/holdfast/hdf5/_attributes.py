"""Attributes and declarations, as lines of a journal's catalogue and as HDF5 has them."""

import base64
import io
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

from holdfast.errors import InvalidInputError

_FIELDS = "data_length"
RESERVED = "holdfast_"
"""Beginning of the names of attributes that Holdfast sets itself."""

LARGEST = 60_000
"""Bytes of an attribute; HDF5 keeps it in an object header message of at most 64 KiB."""

_DECLARED_CHUNK = {1: (1024,), 2: (256, 32)}


def attribute_event(path: str, key: str, value: Any) -> dict[str, Any]:
    """Return the line that sets an attribute.

    Parameters
    ----------
    path : str
        Name of the dataset or group, ``""`` for the file.
    key : str
        Name of the attribute.
    value : Any
        Text, a truth value, a number, or an array of them.

    Raises
    ------
    InvalidInputError
        If HDF5 cannot hold the value in an attribute.
    """
    where = path or "the file"
    _check_text(key, f"attribute name {key!r}")
    if not key:
        raise InvalidInputError(f"an attribute of {where} has an empty name")
    if key.startswith(RESERVED):
        raise InvalidInputError(
            f"attribute names that start with {RESERVED!r} are reserved: {key!r}"
        )
    if isinstance(value, str):
        _check_text(value, f"attribute {key!r} of {where}")
        return {"set": path, "key": key, "text": value}
    return {"set": path, "key": key, **_array_event(key, value, where)}


def _array_event(key: str, value: Any, where: str) -> dict[str, Any]:
    array = np.asarray(value)
    if array.dtype.kind == "U":
        texts = array.tolist()
        for text in array.reshape(-1).tolist():
            _check_text(text, f"attribute {key!r} of {where}")
        size = 16 * array.size  # what HDF5 keeps in the attribute of a text of any length
    elif _holds(array.dtype):
        texts, size = None, array.nbytes
    else:
        raise InvalidInputError(
            f"attribute {key!r} of {where} is a {type(value).__name__}; use text, numbers, truth "
            "values or arrays of them"
        )
    if size > LARGEST:
        raise InvalidInputError(
            f"attribute {key!r} of {where} takes {size} bytes, and HDF5 holds 64 KiB at most; "
            "store it as a stream or a file of its own"
        )
    if texts is not None:
        return {"texts": texts}
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return {"array": base64.b64encode(buffer.getvalue()).decode()}


def _holds(dtype: np.dtype[Any]) -> bool:
    if dtype.names:
        return all(_holds(dtype[name].base) for name in dtype.names)
    return dtype.kind in "biufcSV" and not dtype.hasobject


def _check_text(text: Any, what: str) -> None:
    if not isinstance(text, str) or "\0" in text:
        raise InvalidInputError(f"{what} is no text that HDF5 holds: it must be text without NUL")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidInputError(f"{what} is not valid Unicode") from None


def attribute_value(event: Mapping[str, Any]) -> Any:
    """Return the value that a line sets."""
    if "text" in event:
        return event["text"]
    if "texts" in event:
        return np.array(event["texts"], dtype=h5py.string_dtype())
    array = np.load(io.BytesIO(base64.b64decode(event["array"])), allow_pickle=False)
    return array[()] if array.shape == () else array


def declaration_event(name: str, ndim: int, dtype: Any) -> dict[str, Any]:
    """Return the line that declares a dataset of which only dimensions and dtype are known."""
    return {"declare": name, "ndim": ndim, "dtype": np.dtype(dtype).str}


def apply_event(file: h5py.File, event: Mapping[str, Any]) -> None:
    """Do what a line says; doing it again changes nothing.

    An attribute of a name that does not exist makes a group of that name.
    """
    if "declare" in event:
        _declare(file, event["declare"], int(event["ndim"]), event["dtype"])
    elif "set" in event:
        path = event["set"]
        target = file[path or "/"] if not path or path in file else file.create_group(path)
        target.attrs[event["key"]] = attribute_value(event)


def count_fields(file: h5py.File) -> None:
    """Say how many fields a file has, where their writer died before it could.

    py-pde, whose layout it is, goes on behind a number only; ``null`` is what a writer leaves there
    until its end.
    """
    count = file.attrs.get(_FIELDS)
    if not isinstance(count, str) or count != "null":  # an array compares item by item
        return
    linked = [name for name in ("data", "times") if _is_here(file, name)]
    lengths = [item.shape[0] for item in map(file.get, linked) if getattr(item, "shape", ())]
    if len(lengths) == 2:
        file.attrs[_FIELDS] = str(min(lengths))


def _is_here(file: h5py.File, name: str) -> bool:
    """Whether a name is of this file itself: links to others are not followed."""
    return isinstance(file.get(name, getlink=True), h5py.HardLink)


def _declare(file: h5py.File, name: str, ndim: int, dtype: str) -> None:
    if name not in file:
        chunks = _DECLARED_CHUNK.get(ndim, (16,) * ndim)
        file.create_dataset(
            name, shape=(0,) * ndim, maxshape=(None,) * ndim, chunks=chunks, dtype=np.dtype(dtype)
        )
