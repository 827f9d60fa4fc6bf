"""What a task returns, kept as JSON, arrays or text, and given back the way it was made.

``artifacts/result.json`` holds values, ``artifacts/result.txt`` text, ``data/result.npy`` one
array, ``data/result.npz`` a dictionary of arrays. Arrays among other values are members of
``data/result.npz`` too, and ``{"$array": "name"}`` stands in their place in the JSON.
"""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from holdfast._names import safe_name
from holdfast.errors import FormatError, InvalidInputError, MissingFileError
from holdfast.run import Logbook, LogReader

RESULT = "result"
_ARRAY = "$array"
_FILES = tuple(
    f"{folder}/{RESULT}{ending}"
    for folder, ending in (
        ("artifacts", ".json"),
        ("artifacts", ".txt"),
        ("artifacts", ".pkl"),
        ("data", ".npy"),
        ("data", ".npz"),
    )
)


def save_result(log: Logbook, value: Any, *, pickled: bool) -> None:
    """Keep what a task returned.

    Parameters
    ----------
    log : Logbook
        Of its run.
    value : Any
        The result.
    pickled : bool
        Whether it may be pickled if it has no other form that gives it back as it is.

    Raises
    ------
    InvalidInputError
        If it has no such form and is not to be pickled, or the task has saved something named
        ``result`` and returns something else.
    """
    there = [file for file in _FILES if (log.path / file).is_file()]
    if there and value is None:
        return  # the task has saved its result itself
    if there and not log.resumed:
        raise InvalidInputError(
            f"the task has saved {there[0]} and returns something else; the name {RESULT!r} is for "
            "what it returns: save under another name, or return nothing"
        )
    for file in there:  # of an attempt that was interrupted just before its end
        (log.path / file).unlink()
    if pickled and not _is_exact(value):
        log.pickle(RESULT, value)
    elif isinstance(value, str):
        log.text(RESULT, value)
    elif isinstance(value, np.ndarray):
        log.array(RESULT, value)
    elif _is_bundle(value):
        log.arrays(RESULT, value, compressed=False)
    else:
        _save_mixed(log, value)


def _save_mixed(log: Logbook, value: Any) -> None:
    arrays: dict[str, Any] = {}
    try:
        log.json(RESULT, _without_arrays(value, "", arrays))
    except (InvalidInputError, RecursionError) as error:
        raise InvalidInputError(
            f"what the task returned cannot be kept: {error}; or declare @task(pickle=True)"
        ) from error
    if arrays:
        log.arrays(RESULT, arrays, compressed=False)


def load_result(run: LogReader, *, trust: bool) -> Any:
    """Return what `save_result` kept.

    Raises
    ------
    MissingFileError
        If the file of the result is gone.
    FormatError
        If it is damaged.
    InvalidInputError
        If it is a pickle, and `trust` was not given.
    """
    there = {file.rpartition(".")[2] for file in _FILES if (run.path / file).is_file()}
    if "json" in there:
        return _with_arrays(run.load_json(RESULT), run)
    if "txt" in there:
        return run.load_text(RESULT)
    if "npy" in there:
        return run.load_array(RESULT)
    if "npz" in there:
        return run.load_arrays(RESULT)
    if "pkl" in there:
        return run.load_pickle(RESULT, trust=trust)
    raise MissingFileError(
        f"run {run.path} is {run.state}, but its result is not there; restore it from a copy, or "
        "remove the directory and launch again"
    )


def _is_bundle(value: Any) -> bool:
    if not isinstance(value, Mapping) or not value:
        return False
    if not all(isinstance(item, np.ndarray) for item in value.values()):
        return False
    return all(map(_is_member, value))


def _is_member(name: Any) -> bool:
    with contextlib.suppress(InvalidInputError):
        return bool(safe_name(name, "array name", suffix=".npy"))
    return False


def _is_exact(value: Any) -> bool:
    """Whether plain files give a value back as it is, type and all."""
    if value is None or type(value) in (bool, int, float, str):
        return True
    if type(value) is np.ndarray:
        return not value.dtype.hasobject
    if type(value) is list:
        return all(map(_is_exact, value))
    return type(value) is dict and all(type(k) is str and _is_exact(v) for k, v in value.items())


def _without_arrays(value: Any, place: str, arrays: dict[str, Any]) -> Any:
    """Return a value with references in the place of its arrays, which go into `arrays`."""
    if isinstance(value, np.ndarray):
        name = place if _is_member(place) and place not in arrays else f"array{len(arrays)}"
        arrays[name] = value
        return {_ARRAY: name}
    if isinstance(value, Mapping):
        if _ARRAY in value:
            raise InvalidInputError(
                f"the result has a key {_ARRAY!r}, which stands for an array; name it otherwise"
            )
        return {
            key: _without_arrays(item, f"{place}/{key}".lstrip("/"), arrays)
            for key, item in value.items()
        }
    if type(value) in (list, tuple):
        return [
            _without_arrays(item, f"{place}/{i}".lstrip("/"), arrays)
            for i, item in enumerate(value)
        ]
    if hasattr(value, "to_dict") and hasattr(value, "__array__"):
        raise InvalidInputError(
            f"the result holds a {type(value).__name__}, whose labels no array keeps; return its "
            ".to_dict(), or arrays by name"
        )
    return value


def _with_arrays(value: Any, run: LogReader) -> Any:
    if isinstance(value, list):
        return [_with_arrays(item, run) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {_ARRAY}:
        name = value[_ARRAY]
        if not isinstance(name, str):
            raise FormatError(f"{Path(run.path)}: the result refers to no array: {name!r}")
        return run.load_array(f"{RESULT}:{name}")
    return {key: _with_arrays(item, run) for key, item in value.items()}
