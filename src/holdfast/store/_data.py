"""Data beside a run's own, whose form follows from the ending of their name.

Arrays (``.npy``, ``.npz``) stand in ``data/``, all else in ``artifacts/``. A value is turned into
bytes before a file is opened, so that what cannot be stored changes nothing.
"""

import csv
import io
import json
import pickle
import re
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import yaml

from holdfast._atomic import replace_bytes
from holdfast._names import inside, nearest, safe_name
from holdfast._plain import dump_json, from_plain, load_json, to_plain
from holdfast._sync import Durability
from holdfast._yaml import DUMPER, load_yaml
from holdfast.errors import FormatError, InvalidInputError, MissingFileError
from holdfast.run import LogReader, check_trust, unpickle
from holdfast.store._results import RESULT

_ARRAYS = (".npy", ".npz")
_PICKLES = (".p", ".pkl", ".pickle")
_WHOLE = re.compile(r"-?(0|[1-9]\d*)")
_REAL = re.compile(r"-?\d+\.\d*([eE][+-]?\d+)?|-?\d+[eE][+-]?\d+|nan|-?inf")


def place_of(name: str) -> str:
    """Return where in a run data of this name stand.

    Raises
    ------
    InvalidInputError
        If the name could lead out of the run, or is that of the run's result.
    """
    safe_name(name, "data name")
    path = PurePosixPath(name)
    if path.parent == PurePosixPath() and path.stem == RESULT:
        raise InvalidInputError(f"data name {name!r} is reserved for what the task returns")
    return f"{'data' if path.suffix in _ARRAYS else 'artifacts'}/{name}"


def encoded(name: str, value: Any) -> bytes:
    """Return a value as the bytes of a file.

    Raises
    ------
    InvalidInputError
        If it has no form under this ending.
    """
    ending = PurePosixPath(name).suffix
    encode = _ENCODERS.get(ending)
    if encode is not None:
        return encode(name, value)
    if ending in _PICKLES:
        try:
            return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise InvalidInputError(f"{name!r} cannot be pickled: {error}") from error
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    return _text(name, value)


def write_data(run: Path, name: str, content: bytes, durability: Durability) -> None:
    """Write data into a run directory, whole or not at all."""
    replace_bytes(inside(run, place_of(name)), content, durability)


def read_data(run: LogReader, name: str, *, trust: bool) -> Any:
    """Return data of a run as what their ending says; text of unknown ending as text, else bytes.

    Raises
    ------
    MissingFileError
        If there are none of this name.
    FormatError
        If they are damaged.
    InvalidInputError
        If they are pickled, and `trust` is not given.
    """
    path = inside(run.path, place_of(name))
    ending, stem = path.suffix, name.removesuffix(path.suffix)
    if not path.is_file():
        folder = run.path / place_of(name).partition("/")[0]
        known = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
        raise MissingFileError(f"run {run.path} has no data {name!r}{nearest(name, known)}")
    if ending == ".npy":
        return run.load_array(stem)
    if ending == ".npz":
        return run.load_arrays(stem)
    if ending in _PICKLES:
        return unpickle(path, trust=trust)
    try:
        return _DECODERS.get(ending, _as_text)(path.read_bytes())
    except (ValueError, yaml.YAMLError, csv.Error, RecursionError) as error:
        raise FormatError(f"{path} is damaged: {error}; restore it from a copy") from None


def waiting_data(name: str, content: bytes, *, trust: bool) -> Any:
    """Return data that wait in memory for their run, as `read_data` will.

    Raises
    ------
    InvalidInputError
        If they are pickled, and `trust` is not given.
    """
    ending = PurePosixPath(name).suffix
    if ending in _PICKLES:
        check_trust(name, trust=trust)
        return pickle.loads(content)  # noqa: S301 - made by this process, and on explicit request
    if ending in _ARRAYS:
        loaded: Any = np.load(io.BytesIO(content), allow_pickle=False)
        return dict(loaded) if ending == ".npz" else loaded
    return _DECODERS.get(ending, _as_text)(content)


def _as_text(content: bytes) -> str | bytes:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content


# Each form


def _text(name: str, value: Any) -> bytes:
    if not isinstance(value, str):
        raise InvalidInputError(
            f"{name!r} takes text or bytes, not {type(value).__name__}; other endings take other "
            "values: .json, .yaml, .csv, .npy, .npz, .pkl"
        )
    return value.encode("utf-8", "surrogateescape")


def _json(name: str, value: Any) -> bytes:
    return dump_json(to_plain(value, f"data {name!r}"))


def _json_lines(name: str, value: Any) -> bytes:
    if isinstance(value, str | bytes | Mapping) or not hasattr(value, "__iter__"):
        raise InvalidInputError(f"{name!r} takes a list of values, one a line")
    return b"".join(dump_json(to_plain(item, f"data {name!r}"), indent=0) for item in value)


def _yaml(name: str, value: Any) -> bytes:
    plain = to_plain(value, f"data {name!r}")
    content: bytes = yaml.dump(
        plain, Dumper=DUMPER, sort_keys=False, allow_unicode=True, encoding="utf-8"
    )
    return content


def _npy(name: str, value: Any) -> bytes:
    return _saved(name, lambda file: np.save(file, _array(name, value), allow_pickle=False))


def _npz(name: str, value: Any) -> bytes:
    if not isinstance(value, Mapping) or not value:
        raise InvalidInputError(f"{name!r} takes a dictionary of arrays")
    arrays = {safe_name(k, "array name"): _array(f"{name}:{k}", v) for k, v in value.items()}
    return _saved(name, lambda file: np.savez(file, **arrays))


def _array(name: str, value: Any) -> Any:
    array = np.asarray(value)
    if array.dtype.hasobject:
        raise InvalidInputError(f"{name!r} holds Python objects; convert it to numbers")
    return array


def _saved(name: str, save: Callable[[Any], object]) -> bytes:
    file = io.BytesIO()
    try:
        save(file)
    except ValueError as error:
        raise InvalidInputError(f"{name!r} is no array: {error}") from None
    return file.getvalue()


def _csv(name: str, value: Any) -> bytes:
    """Write rows given as dictionaries, or as a data frame."""
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        value = value.to_dict("records")
    rows = list(value) if not isinstance(value, str | bytes | Mapping) else []
    if not rows or not all(isinstance(row, Mapping) for row in rows):
        raise InvalidInputError(f"{name!r} takes rows as dictionaries, at least one")
    columns = list(dict.fromkeys(column for row in rows for column in row))
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        plain = to_plain(row, f"data {name!r}")
        writer.writerow({k: json.dumps(v) if _nested(v) else v for k, v in plain.items()})
    return file.getvalue().encode("utf-8", "surrogateescape")


def _nested(value: Any) -> bool:
    return isinstance(value, list | dict)


def _read_csv(content: bytes) -> list[dict[str, Any]]:
    rows = csv.DictReader(io.StringIO(content.decode(), newline=""), strict=True)
    return [{name: _cell(text) for name, text in row.items()} for row in rows]


def _cell(text: Any) -> Any:
    """Return a cell as a number where it is written as one; an empty one is None."""
    if not isinstance(text, str) or not text:
        return None
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _REAL.fullmatch(text) else text


def _read_json(content: bytes) -> Any:
    return load_json(content, "it")


def _read_json_lines(content: bytes) -> list[Any]:
    lines = enumerate(content.splitlines(), 1)
    return [load_json(line, f"line {number}") for number, line in lines if line]


def _read_yaml(content: bytes) -> Any:
    return from_plain(load_yaml(content, "it"))


def _read_text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")


_ENCODERS: dict[str, Callable[[str, Any], bytes]] = {
    ".txt": _text,
    ".json": _json,
    ".jsonl": _json_lines,
    ".npy": _npy,
    ".npz": _npz,
    ".csv": _csv,
    ".yaml": _yaml,
    ".yml": _yaml,
}
_DECODERS: dict[str, Callable[[bytes], Any]] = {
    ".txt": _read_text,
    ".json": _read_json,
    ".jsonl": _read_json_lines,
    ".csv": _read_csv,
    ".yaml": _read_yaml,
    ".yml": _read_yaml,
}
