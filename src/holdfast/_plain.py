"""Values a scientist logs, as plain data that JSON and YAML can hold, and back.

*Plain data* are None, bool, int, float, str, lists and dictionaries with text keys. Three things
that strict JSON lacks are written as one-key dictionaries: numbers that are not finite as
``{"$numberDouble": "NaN"}`` (the spelling of MongoDB's Extended JSON), complex numbers as
``{"$complex": [re, im]}``, and a user's own dictionary that looks like one of these as
``{"$literal": {...}}``. YAML has ``.nan`` and ``.inf`` of its own.
"""

import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import json
import math
import pathlib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np

from holdfast.errors import FormatError, InvalidInputError

_NUMBER, _COMPLEX, _LITERAL = "$numberDouble", "$complex", "$literal"
_TAGS = frozenset([_NUMBER, _COMPLEX, _LITERAL])
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_MAX_DEPTH = 100
_MAX_PLACE = 160
_MAX_DIGITS = 4300
"""How many digits of a whole number Python reads from text by default; so does no reader more."""
_TOO_LARGE = 10**_MAX_DIGITS


def to_plain(value: Any, where: str) -> Any:
    """Turn a value into plain data.

    Taken are also: NumPy scalars and arrays, everything with ``__array__``, ``Path``, dates and
    times (ISO 8601), ``timedelta`` (seconds), enums (their value), dataclasses, named tuples and
    pydantic models (dictionaries), ``Decimal``, ``Fraction`` and ``UUID`` (text), complex numbers
    and sets.

    Parameters
    ----------
    value : Any
        What to convert; it is not changed.
    where : str
        What is being saved, for messages: ``"params"``.

    Raises
    ------
    InvalidInputError
        If a part of it has no plain form; the message names the part.
    """
    return _plain(value, where, 0)


def fields_to_plain(fields: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Turn named values into plain data that further fields may be merged into.

    Before they are written or read back, `fields_as_value` makes one value of them.

    Raises
    ------
    InvalidInputError
        As `to_plain` does.
    """
    plain: dict[str, Any] = to_plain(fields, where)
    if plain.keys() == {_LITERAL}:
        plain = plain[_LITERAL]
    return plain


def fields_as_value(fields: dict[str, Any]) -> dict[str, Any]:
    """Return plain fields as `to_plain` gives them, even where a name is one of ours."""
    if len(fields) == 1 and not _TAGS.isdisjoint(fields):
        return {_LITERAL: fields}
    return fields


def _plain(value: Any, where: str, depth: int) -> Any:
    kind = type(value)
    if value is None or kind in (bool, float, str):
        return value
    if kind is int:
        return _whole(value, where)
    if depth > _MAX_DEPTH:
        raise InvalidInputError(
            f"{_place(where)} is nested deeper than {_MAX_DEPTH} levels (does it contain itself?)"
        )
    if isinstance(value, enum.Enum):
        return _plain(value.value, where, depth + 1)
    if isinstance(value, np.timedelta64):  # a subclass of numpy.integer, with a unit
        return _plain_array(value, where, depth)
    simple = _simple(value)
    if simple is not None:
        return _whole(simple, where) if type(simple) is int else simple
    if isinstance(value, Mapping):
        return _plain_mapping(value, where, depth)
    if isinstance(value, np.ndarray | np.generic):
        return _plain_array(value, where, depth)
    fields = _named_fields(value)
    if fields is not None:
        return _plain_mapping(fields, where, depth)
    return _plain_iterable(value, where, depth)


def _whole(value: int, where: str) -> int:
    if -_TOO_LARGE < value < _TOO_LARGE:
        return value
    raise InvalidInputError(
        f"{_place(where)} is a whole number of more than {_MAX_DIGITS} digits, which JSON readers "
        "do not take; log hex(...) of it, as text"
    )


def _place(where: str) -> str:
    """Return a place short enough for a message: of a long one, its two ends."""
    half = _MAX_PLACE // 2
    return where if len(where) <= _MAX_PLACE else f"{where[:half]} … {where[-half:]}"


def _simple(value: Any) -> Any:
    """Return the plain form of a value that holds no others; None when it is not of that kind."""
    match value:
        case bool() | np.bool_():
            return bool(value)
        case str():
            return str(value)
        case int() | np.integer():
            return int(value)
        case float() | np.floating():
            return float(value)
        case complex() | np.complexfloating():
            return {_COMPLEX: [float(value.real), float(value.imag)]}
        case pathlib.PurePath():
            return value.as_posix()
        case dt.date() | dt.time():
            return value.isoformat()
        case dt.timedelta():
            return value.total_seconds()
        case decimal.Decimal() | fractions.Fraction() | uuid.UUID():
            return str(value)
    return None


def _plain_array(value: np.ndarray[Any, Any] | np.generic, where: str, depth: int) -> Any:
    if value.dtype.kind in "biufSU":
        plain = value.tolist()
        return plain if value.dtype.kind != "S" else _plain(_decoded(plain), where, depth + 1)
    if value.dtype.kind in "mM":
        return value.astype(str).tolist() if value.dtype.kind == "M" else _seconds(value, where)
    if value.dtype.names:
        fields = {name: value[name] for name in value.dtype.names}  # type: ignore[index]
        return _plain_mapping(fields, where, depth)
    return _plain(value.tolist(), where, depth + 1)


def _seconds(value: np.ndarray[Any, Any] | np.generic, where: str) -> Any:
    try:
        return (value / np.timedelta64(1, "s")).tolist()  # type: ignore[operator]  # kind is checked
    except TypeError:
        raise InvalidInputError(
            f"{_place(where)} is in months or years, which have no length in seconds; log a "
            "number instead"
        ) from None


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    return value.decode("latin-1")


def _named_fields(value: Any) -> Mapping[Any, Any] | None:
    if isinstance(value, type):
        return None
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    for method in ("_asdict", "model_dump"):  # named tuples; pydantic models
        if hasattr(value, method):
            return getattr(value, method)()  # type: ignore[no-any-return]
    return None


def _plain_mapping(value: Mapping[Any, Any], where: str, depth: int) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, item in value.items():
        text = _key(key, where)
        if text in result:
            raise InvalidInputError(f"{_place(where)} has two keys that are both written {text!r}")
        result[text] = _plain(item, f"{where}[{text!r}]", depth + 1)
    return fields_as_value(result)


def _key(key: Any, where: str) -> str:
    if type(key) is str:
        return key
    plain = _simple(key.value if isinstance(key, enum.Enum) else key)
    if type(plain) is int:
        _whole(plain, f"a key of {_place(where)}")
    if isinstance(plain, bool | int | float | str):
        return plain if isinstance(plain, str) else str(plain)
    raise InvalidInputError(
        f"{_place(where)} has the key {key!r} of type {type(key).__name__}; use text or "
        "numbers as keys"
    )


def _plain_iterable(value: Any, where: str, depth: int) -> Any:
    if isinstance(value, AbstractSet):
        value = _sorted(value)
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return [_plain(item, f"{where}[{i}]", depth + 1) for i, item in enumerate(value)]
    if hasattr(value, "__array__") and not isinstance(value, type):
        return _plain(np.asarray(value), where, depth + 1)
    if isinstance(value, Iterable) and hasattr(value, "__len__") and hasattr(value, "popleft"):
        return [_plain(item, f"{where}[{i}]", depth + 1) for i, item in enumerate(value)]  # deque
    raise InvalidInputError(
        f"{_place(where)} is a {type(value).__module__}.{type(value).__qualname__}, which has no "
        "plain form; log a number, text, list, dictionary, array or dataclass, or save the object "
        "itself with pickle() or bytes()"
    )


def _sorted(value: AbstractSet[Any]) -> list[Any]:
    try:
        return sorted(value)
    except TypeError:  # of several types
        return sorted(value, key=repr)


def from_plain(value: Any) -> Any:
    """Undo the one-key dictionaries of `to_plain` and `dump_json`."""
    if isinstance(value, list):
        return [from_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((key, item),) = value.items()
        if key == _NUMBER and isinstance(item, str) and item in _NOT_FINITE:
            return _NOT_FINITE[item]
        if key == _COMPLEX and isinstance(item, list):
            parts = [from_plain(part) for part in item]
            if [type(part) for part in parts] == [float, float]:
                return complex(*parts)
        if key == _LITERAL and isinstance(item, dict):
            return {name: from_plain(part) for name, part in item.items()}
    return {name: from_plain(part) for name, part in value.items()}


def _tag_not_finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {_NUMBER: "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"}
    if isinstance(value, list):
        return [_tag_not_finite(item) for item in value]
    if isinstance(value, dict):
        return {key: _tag_not_finite(item) for key, item in value.items()}
    return value


def dump_json(plain: Any, *, indent: int = 2) -> bytes:
    """Write plain data as strict JSON (RFC 8259) in UTF-8, one leaf a line, with a final newline.

    Parameters
    ----------
    plain : Any
        What `to_plain` returned.
    indent : int
        Spaces a level; 0 puts everything on one line.
    """
    layout = {"indent": indent or None, "ensure_ascii": False, "allow_nan": False}
    try:
        text = json.dumps(plain, **layout)  # type: ignore[arg-type]  # options of several types
    except ValueError:
        text = json.dumps(_tag_not_finite(plain), **layout)  # type: ignore[arg-type]
    # Half a surrogate pair (from file names that are not UTF-8) becomes the JSON escape \udcXX.
    return text.encode("utf-8", "backslashreplace") + b"\n"


def load_json(content: bytes, where: str) -> Any:
    """Read what `dump_json` wrote, or any JSON.

    Raises
    ------
    FormatError
        If `content` is not JSON; the message holds `where` and the place in it.
    """
    try:
        value = json.loads(content)
        return from_plain(value) if b'"$' in content else value
    except (ValueError, RecursionError) as error:
        empty = " (it is empty)" if not content.strip() else ""
        raise FormatError(f"{where} is not valid JSON{empty}: {error}") from None
