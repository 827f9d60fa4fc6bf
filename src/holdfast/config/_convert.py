"""From texts, lists and dictionaries to annotated types.

Structure is walked here, so that messages can name the place; what a leaf means is msgspec's to
say (dates, times, UUIDs, decimals) wherever it knows the type.
"""

import enum
import pathlib
import types
import typing
from collections import OrderedDict, abc, deque
from typing import Any

import numpy as np

from holdfast.config._fields import has_fields, to_fields
from holdfast.config._leaves import convert_leaf
from holdfast.config._places import ConversionError, inside, name_of, wrong
from holdfast.config._scalars import NULLS, Plain, load_texts, resolved
from holdfast.errors import FormatError

_SEQUENCES = {
    list: list,
    abc.Sequence: list,
    abc.MutableSequence: list,
    abc.Iterable: list,
    abc.Collection: list,
    set: set,
    abc.Set: set,
    abc.MutableSet: set,
    frozenset: frozenset,
    deque: deque,
}
_MAPPINGS: dict[Any, Any] = {
    dict: dict,
    abc.Mapping: dict,
    abc.MutableMapping: dict,
    OrderedDict: OrderedDict,
}


def convert(value: Any, kind: Any, where: str) -> Any:
    """Return `value` as the type `kind`.

    Parameters
    ----------
    value : Any
        Plain data, as loaded.
    kind : type or annotation
        What is wanted.
    where : str
        The file, for messages.

    Raises
    ------
    FormatError
        If it cannot be; the message names file, key, what was expected and what was found.
    """
    try:
        return to_type(value, kind, "")
    except ConversionError as error:
        place = f"{where}: {error.place}" if error.place else where
        raise FormatError(f"{place}: {error.problem}") from None
    except RecursionError:
        raise FormatError(f"{where} is nested too deeply to be read; flatten it") from None


def to_type(value: Any, kind: Any, place: str) -> Any:  # noqa: C901 - one line a kind
    """Return `value` as `kind`, or raise `ConversionError`."""
    origin = typing.get_origin(kind)
    if kind is Any or kind is object or isinstance(kind, typing.TypeVar):
        return resolved(value)
    if origin is typing.Annotated:
        return to_type(value, typing.get_args(kind)[0], place)
    if isinstance(kind, typing.NewType):
        return to_type(value, kind.__supertype__, place)
    if origin in (typing.Union, types.UnionType):
        return _to_union(value, typing.get_args(kind), kind, place)
    if origin is typing.Literal:
        return _to_literal(value, typing.get_args(kind), place)
    if origin in (typing.Final, typing.Required, typing.NotRequired):
        return to_type(value, typing.get_args(kind)[0], place)
    base = origin or kind
    if base is tuple:
        return _to_tuple(value, kind, place)
    if base in _SEQUENCES:
        return _to_sequence(value, kind, _SEQUENCES[base], place)
    if base in _MAPPINGS:
        return _MAPPINGS[base](_to_mapping(value, kind, place))
    if base is np.ndarray:
        return _to_array(value, kind, place)
    if isinstance(base, type) and has_fields(base):
        return to_fields(value, kind, place, to_type)
    return convert_leaf(value, kind, place)


def _to_union(value: Any, members: tuple[Any, ...], kind: Any, place: str) -> Any:
    if type(None) in members and (value is None or (type(value) is Plain and value in NULLS)):
        return None
    problems = []
    for member in sorted(members, key=lambda m: _rank(m, value)):
        if member is type(None):
            continue
        try:
            return to_type(value, member, place)
        except ConversionError as error:
            problems.append(error)
    deepest = max(problems, key=lambda e: len(e.place), default=None)
    if deepest is not None and (len(deepest.place) > len(place) or len(problems) == 1):
        raise deepest
    raise wrong(place, name_of(kind), value)


def _rank(kind: Any, value: Any) -> int:
    """Order the members of a union from the most particular to the most general."""
    base = typing.get_origin(kind) or kind
    if isinstance(base, type) and not isinstance(value, str) and type(value) is base:
        return -1
    if base is typing.Literal:
        return 0
    if isinstance(base, type):
        if issubclass(base, enum.Enum):
            return 1
        # Quoted text is meant as text; the words true and 1 without quotes are not.
        if base is str and type(value) is str:
            return 2
        for rank, some in enumerate((bool, int, np.integer, float, np.floating, complex), 3):
            if issubclass(base, some):
                return rank
        if issubclass(base, str):
            return 20
        if issubclass(base, pathlib.PurePath):
            return 20  # as it stands in the declaration: nothing tells a path from text
    return 15


def _to_literal(value: Any, choices: tuple[Any, ...], place: str) -> Any:
    for choice in choices:
        try:
            found = to_type(value, type(choice), place)
        except ConversionError:
            continue
        if type(found) is type(choice) and found == choice:
            return choice
    shown = ", ".join(map(repr, choices))
    raise wrong(place, f"one of {shown}", value)


def _to_tuple(value: Any, kind: Any, place: str) -> tuple[Any, ...]:
    items = _items(value, kind, place)
    args = typing.get_args(kind) or (Any, ...)
    if len(args) == 2 and args[1] is Ellipsis:
        return tuple(to_type(v, args[0], f"{place}[{i}]") for i, v in enumerate(items))
    if args == ((),):
        args = ()
    if len(items) != len(args):
        raise ConversionError(
            place, f"expected {len(args)} values for {name_of(kind)}, found {len(items)}"
        )
    pairs = enumerate(zip(items, args, strict=True))
    return tuple(to_type(item, arg, f"{place}[{i}]") for i, (item, arg) in pairs)


def _to_sequence(value: Any, kind: Any, make: Any, place: str) -> Any:
    (item_kind,) = typing.get_args(kind) or (Any,)
    items = _items(value, kind, place)
    return make(to_type(item, item_kind, f"{place}[{i}]") for i, item in enumerate(items))


def _items(value: Any, kind: Any, place: str) -> list[Any]:
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    if isinstance(value, np.ndarray):
        return list(value)
    raise wrong(place, f"a list for {name_of(kind)}", value)


def _to_mapping(value: Any, kind: Any, place: str) -> dict[Any, Any]:
    if not isinstance(value, abc.Mapping):
        raise wrong(place, f"a mapping for {name_of(kind)}", value)
    key_kind, item_kind = typing.get_args(kind) or (Any, Any)
    return {
        _to_key(key, key_kind, f"a key of {place or 'it'}"): to_type(
            item, item_kind, inside(place, str(key))
        )
        for key, item in value.items()
    }


def _to_key(key: Any, kind: Any, place: str) -> Any:
    """Return a key; a tuple stands in the file as the text of a list."""
    if (typing.get_origin(kind) or kind) is tuple and isinstance(key, str):
        try:
            key = load_texts(key.encode(), "the key")
        except FormatError:
            raise wrong(place, f"a list as text for {name_of(kind)}", key) from None
    return to_type(key, kind, place)


def _to_array(value: Any, kind: Any, place: str) -> Any:
    dtype = None
    for arg in typing.get_args(kind)[1:]:  # ndarray[shape, dtype[float64]]
        scalar = (typing.get_args(arg) or (Any,))[0]
        dtype = scalar if isinstance(scalar, type) and not typing.get_args(scalar) else None
    plain = resolved(value)
    try:
        return np.asarray(plain, dtype=dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise ConversionError(place, f"expected numbers for an array: {error}") from None
