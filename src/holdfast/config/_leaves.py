"""Values without parts: numbers, text, paths, enums, times."""

import base64
import binascii
import datetime as dt
import decimal
import enum
import fractions
import math
import pathlib
import uuid
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from holdfast.config._places import ConversionError, name_of, wrong
from holdfast.config._scalars import NULLS, Plain, as_bool, as_float, as_int, resolved

_BY_MSGSPEC = (dt.datetime, dt.date, dt.time, uuid.UUID, decimal.Decimal)


def convert_leaf(value: Any, kind: Any, place: str) -> Any:
    """Return `value` as a type that has no parts, or raise `ConversionError`."""
    if kind is None or kind is type(None):
        return _to_none(value, place)
    if not isinstance(kind, type):
        raise ConversionError(place, f"the annotation {kind!r} is not one that can be read back")
    if issubclass(kind, enum.Enum):
        return _to_enum(value, kind, place)
    for base, convert in _LEAVES:
        if issubclass(kind, base):
            return convert(value, kind, place)
    return _to_other(value, kind, place)


def _to_none(value: Any, place: str) -> None:
    if value is not None and not (type(value) is Plain and value in NULLS):
        raise wrong(place, "nothing (null)", value)


def _to_enum(value: Any, kind: type[enum.Enum], place: str) -> Any:
    if isinstance(value, kind):
        return value
    for member in kind:
        try:
            if _same(_as_type_of(value, member.value, place), member.value):
                return member
        except ConversionError:
            continue
    if issubclass(kind, enum.Flag):
        return kind(_to_int(value, int, place))
    if isinstance(value, str) and value in kind.__members__:
        return kind[value]
    choices = ", ".join(repr(member.value) for member in kind)
    raise wrong(place, f"one of {choices} ({kind.__name__})", value)


def _as_type_of(value: Any, sample: Any, place: str) -> Any:
    if isinstance(sample, tuple) and isinstance(value, list | tuple):
        return tuple(
            _as_type_of(item, part, place) for item, part in zip(value, sample, strict=False)
        )
    if isinstance(sample, list | dict):
        return resolved(value)
    return convert_leaf(value, type(sample), place)


def _same(found: Any, wanted: Any) -> bool:
    return type(found) is type(wanted) and bool(
        found == wanted or (isinstance(found, float) and math.isnan(found) and math.isnan(wanted))
    )


def _to_bool(value: Any, kind: type, place: str) -> Any:
    found = as_bool(value) if type(value) is Plain else value
    if not isinstance(found, bool | np.bool_):
        raise wrong(place, "true or false", value)
    return kind(found)


def _to_int(value: Any, kind: type, place: str) -> Any:
    found = value
    if type(value) is Plain:
        found = as_int(value)
        number = as_float(value) if found is None else None
        if number is not None and number.is_integer():  # 1e6 for a count
            found = int(number)
    elif type(value) is float and value.is_integer():
        found = int(value)
    if not isinstance(found, int | np.integer) or isinstance(found, bool):
        raise wrong(place, "a whole number", value)
    try:
        return kind(found)
    except OverflowError:
        raise wrong(place, f"a whole number that {name_of(kind)} holds", value) from None


def _to_float(value: Any, kind: type, place: str) -> Any:
    found = value
    if type(value) is Plain:
        found = as_float(value)
        if found is None and as_int(value) is not None:
            found = as_int(value)
    if not isinstance(found, int | float | np.integer | np.floating) or isinstance(found, bool):
        raise wrong(place, "a number", value)
    return kind(found)


def _to_complex(value: Any, kind: type, place: str) -> Any:
    if isinstance(value, int | float | complex | np.number) and not isinstance(value, bool):
        return kind(value)
    if isinstance(value, str):
        try:
            return kind(complex(value.replace(" ", "")))
        except ValueError:
            pass
    raise wrong(place, "a complex number such as '1+2j'", value)


def _to_text(value: Any, kind: type, place: str) -> Any:
    if isinstance(value, str):
        return kind(str(value))
    raise wrong(place, "text", value)


def _to_path(value: Any, kind: type, place: str) -> Any:
    if isinstance(value, str | pathlib.PurePath):
        return kind(value)
    raise wrong(place, "a path", value)


def _to_bytes(value: Any, kind: type, place: str) -> Any:
    if isinstance(value, bytes | bytearray):
        return kind(value)
    try:
        if isinstance(value, str):
            return kind(base64.b64decode(value, validate=True))
    except binascii.Error:
        pass
    raise wrong(place, "bytes, as base64", value)


def _to_duration(value: Any, kind: type, place: str) -> Any:
    if isinstance(value, dt.timedelta):
        return value
    # Microseconds are what a timedelta holds, and floats of seconds do not always give them back.
    return kind(microseconds=round(fractions.Fraction(_to_float(value, float, place)) * 1_000_000))


def _to_fraction(value: Any, kind: type, place: str) -> Any:
    try:
        return kind(value)
    except (TypeError, ValueError, ZeroDivisionError):
        raise wrong(place, "a fraction such as '1/3'", value) from None


def _to_numpy(value: Any, kind: type, place: str) -> Any:
    try:
        return kind(resolved(value))
    except (TypeError, ValueError, OverflowError):
        raise wrong(place, name_of(kind), value) from None


def _to_time(value: Any, kind: type, place: str) -> Any:
    if type(value) is kind:
        return value
    try:
        plain = str(value) if isinstance(value, str) else value
        return msgspec.convert(plain, kind, strict=False)
    except msgspec.ValidationError:
        pass
    try:
        return _from_text(str(value), kind)
    except (ValueError, ArithmeticError):
        raise wrong(place, f"{name_of(kind)} in its usual form", value) from None


def _from_text(text: str, kind: Any) -> Any:
    """Read the forms that msgspec does not take, such as a date with a single digit for a month."""
    return kind.fromisoformat(text) if hasattr(kind, "fromisoformat") else kind(text)


def _to_other(value: Any, kind: type, place: str) -> Any:
    if isinstance(value, kind):
        return value
    try:
        return msgspec.convert(resolved(value), kind, strict=False)
    except (msgspec.ValidationError, TypeError, NotImplementedError) as error:
        raise ConversionError(place, f"expected {name_of(kind)}: {error}") from None


_LEAVES: list[tuple[Any, Callable[[Any, Any, str], Any]]] = [
    ((bool, np.bool_), _to_bool),
    (np.timedelta64, _to_numpy),
    ((int, np.integer), _to_int),
    ((complex, np.complexfloating), _to_complex),
    ((float, np.floating), _to_float),
    (np.generic, _to_numpy),
    (str, _to_text),
    (pathlib.PurePath, _to_path),
    ((bytes, bytearray), _to_bytes),
    (dt.timedelta, _to_duration),
    (fractions.Fraction, _to_fraction),
    (_BY_MSGSPEC, _to_time),
]
