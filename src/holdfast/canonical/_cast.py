"""Values as an annotation asks for them, without guessing: nothing is lost and no text is parsed.

A *config* is a dataclass or a pydantic model; its fields are parameters of their own.
"""

import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import inspect
import pathlib
import types
import typing
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Literal

import numpy as np

from holdfast._names import listing, nearest
from holdfast.errors import InvalidInputError

MISSING: Any = inspect.Parameter.empty
"""Stands for an annotation or a default that is not there."""

_UNIONS = (typing.Union, types.UnionType)
_FROM_TEXT = (decimal.Decimal, fractions.Fraction, uuid.UUID)
_SEQUENCES: dict[Any, Any] = {list: list, Sequence: list, Iterable: list, tuple: tuple}
_SETS = {set: set, frozenset: frozenset, AbstractSet: frozenset}


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """One parameter.

    Attributes
    ----------
    name : str
        Its name.
    kind : Any
        Its annotation; `inspect.Parameter.empty` where there is none.
    default : callable or None
        Makes its default; None where it has to be given.
    """

    name: str
    kind: Any = MISSING
    default: Callable[[], Any] | None = None


def cast(value: Any, kind: Any, where: str) -> Any:
    """Return a value as its annotation asks for it.

    Parameters
    ----------
    value : Any
        What the user passes, or what was stored.
    kind : Any
        The annotation; of none, the value is taken as it is.
    where : str
        What it is, for messages: ``"simulate: dt"``.

    Raises
    ------
    InvalidInputError
        If the value is of another type, or would lose a part: 2.5 as a whole number.
    """
    kind = _bare(kind)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is MISSING or kind is Any or kind is object:
        return value
    if origin in _UNIONS:
        return _union(value, arguments, where)
    if origin is Literal:
        return _literal(value, arguments, where)
    if kind is None or kind is type(None):
        return value if value is None else _refuse(value, "None", where)
    made = _container(value, origin or kind, arguments, where)
    if made is not MISSING:
        return made
    if not isinstance(kind, type):
        raise InvalidInputError(f"{where} is annotated {kind}, which is not understood")
    return _simple(value, kind, where)


def _bare(kind: Any) -> Any:
    """Return what an annotation stands for, without what only a type checker cares about."""
    while True:
        if typing.get_origin(kind) is typing.Annotated:
            kind = typing.get_args(kind)[0]
        elif isinstance(kind, typing.NewType):
            kind = kind.__supertype__
        elif type(kind).__name__ == "TypeAliasType":  # ``type X = ...``, Python 3.12
            kind = kind.__value__
        elif isinstance(kind, typing.TypeVar):
            kind = kind.__bound__ or Any
        else:
            return kind


def _union(value: Any, kinds: Sequence[Any], where: str) -> Any:
    if any(_bare(kind) is type(value) for kind in kinds):
        return value  # before 1 is made 1.0 for ``float | int``
    for kind in kinds:
        try:
            return cast(value, kind, where)
        except InvalidInputError:
            continue
    return _refuse(value, " or ".join(map(_called, kinds)), where)


def _literal(value: Any, choices: Sequence[Any], where: str) -> Any:
    for choice in choices:
        if type(choice) is type(value) and choice == value:
            return choice
        if isinstance(choice, enum.Enum) and choice.value == value:
            return choice
    hint = nearest(value, [c for c in choices if isinstance(c, str)]) if type(value) is str else ""
    return _refuse(value, " or ".join(map(repr, choices)), where, hint)


def _container(value: Any, kind: Any, arguments: Sequence[Any], where: str) -> Any:
    """Return a value as a container, `MISSING` if `kind` is none."""
    if kind is np.ndarray:
        return _array(value, arguments, where)
    if kind in _SEQUENCES:
        items = _items(value, kind, where)
        if kind is tuple and arguments and arguments[-1] is not Ellipsis:
            return _fixed(items, arguments, where)
        return _SEQUENCES[kind](_each(items, arguments, where))
    if kind in _SETS:
        return _SETS[kind](_each(_items(value, kind, where), arguments, where))
    if kind in (dict, Mapping) or typing.is_typeddict(kind):
        if not isinstance(value, Mapping):
            return _refuse(value, "dict", where)
        item = arguments[1] if len(arguments) == 2 else MISSING
        return {key: cast(v, item, f"{where}[{key!r}]") for key, v in value.items()}
    return MISSING


def _items(value: Any, kind: Any, where: str) -> list[Any]:
    if isinstance(value, np.ndarray):
        return list(value.tolist())
    if isinstance(value, list | tuple | range | AbstractSet):
        return list(value)
    return _refuse(value, _called(kind), where)  # type: ignore[no-any-return]  # it raises


def _each(items: Iterable[Any], arguments: Sequence[Any], where: str) -> list[Any]:
    kind = arguments[0] if arguments else MISSING
    return [cast(item, kind, f"{where}[{i}]") for i, item in enumerate(items)]


def _fixed(items: Sequence[Any], kinds: Sequence[Any], where: str) -> tuple[Any, ...]:
    if len(items) != len(kinds):
        raise InvalidInputError(f"{where} takes {len(kinds)} values, not {len(items)}")
    pairs = zip(items, kinds, strict=True)
    return tuple(cast(item, kind, f"{where}[{i}]") for i, (item, kind) in enumerate(pairs))


def _array(value: Any, arguments: Sequence[Any], where: str) -> Any:
    dtype = typing.get_args(arguments[1])[0] if len(arguments) == 2 else None
    numeric = isinstance(dtype, type) and issubclass(dtype, np.generic)
    try:
        array = np.asarray(value, dtype=dtype if numeric else None)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"{where} cannot be an array: {error}") from None
    return array


def _simple(value: Any, kind: type, where: str) -> Any:
    """Return a value as a class that holds no parameters of its own kind."""
    if is_config(kind):
        return cast_config(value, kind, where)
    if isinstance(value, enum.Enum) and not issubclass(kind, enum.Enum):
        value = value.value
    if issubclass(kind, enum.Enum):
        return _member(value, kind, where)
    if issubclass(kind, bool | np.bool_):
        return kind(value) if isinstance(value, bool | np.bool_) else _refuse(value, "bool", where)
    if issubclass(kind, int | np.integer):
        return kind(_whole(value, where))
    if issubclass(kind, float | np.floating):
        return kind(_real(value, where))
    if issubclass(kind, complex | np.complexfloating):
        accepted = isinstance(value, int | float | complex | np.number)
        return kind(value) if accepted and not _is_bool(value) else _refuse(value, "complex", where)
    if issubclass(kind, str):
        return kind(value) if isinstance(value, str) else _refuse(value, "str", where)
    return _object(value, kind, where)


def _object(value: Any, kind: type, where: str) -> Any:
    """Return a value as one of the classes that JSON holds as text, number or list."""
    if issubclass(kind, pathlib.PurePath) and isinstance(value, str | pathlib.PurePath):
        return kind(value)
    if isinstance(value, kind):
        return value
    try:
        if kind in _FROM_TEXT and isinstance(value, str | int):
            return kind(str(value))
        if kind in (dt.datetime, dt.date, dt.time) and isinstance(value, str):
            return kind.fromisoformat(value)
        if kind is dt.timedelta and isinstance(value, int | float) and not _is_bool(value):
            return dt.timedelta(seconds=value)
    except (ValueError, ArithmeticError, TypeError, AttributeError):
        return _refuse(value, kind.__name__, where)
    if issubclass(kind, tuple) and hasattr(kind, "_fields") and isinstance(value, list | tuple):
        hints = typing.get_type_hints(kind)
        return kind(*_fixed(value, [hints.get(n, MISSING) for n in kind._fields], where))
    return _refuse(value, kind.__name__, where)


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool | np.bool_)


def _whole(value: Any, where: str) -> int:
    if isinstance(value, int | np.integer) and not _is_bool(value):
        return int(value)
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return int(value)
    return _refuse(value, "int", where)  # type: ignore[no-any-return]  # it raises


def _real(value: Any, where: str) -> float:
    if isinstance(value, float | np.floating):
        return float(value)
    if isinstance(value, int | np.integer) and not _is_bool(value):
        try:
            exact = int(float(value)) == int(value)
        except OverflowError:
            exact = False
        if exact:
            return float(value)
        return _refuse(value, "float (which cannot hold this number)", where)  # type: ignore[no-any-return]
    return _refuse(value, "float", where)  # type: ignore[no-any-return]  # it raises


def _member(value: Any, kind: type[enum.Enum], where: str) -> enum.Enum:
    if isinstance(value, kind):
        return value
    for member in kind:
        if type(member.value) is type(value) and member.value == value:
            return member
    choices = ", ".join(repr(member.value) for member in kind)
    return _refuse(value, f"one of {choices}", where)  # type: ignore[no-any-return]  # it raises


def _refuse(value: Any, wanted: str, where: str, hint: str = "") -> Any:
    shown = repr(value)
    shown = shown if len(shown) <= 60 else shown[:59] + "…"
    raise InvalidInputError(f"{where} must be {wanted}, not {shown} ({type(value).__name__}){hint}")


def _called(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind).removeprefix("typing.")


# Configs


def is_config(kind: Any) -> bool:
    """Whether a class is a dataclass or a pydantic model."""
    return isinstance(kind, type) and (
        dataclasses.is_dataclass(kind) or hasattr(kind, "model_fields")
    )


def config_fields(kind: type) -> dict[str, Field]:
    """Return the fields of a config that its constructor takes.

    Raises
    ------
    InvalidInputError
        If an annotation names something that cannot be found.
    """
    if not dataclasses.is_dataclass(kind):
        models: Mapping[str, Any] = kind.model_fields  # type: ignore[attr-defined]  # is_config
        return {
            name: Field(
                name,
                info.annotation,
                None
                if info.is_required()
                else lambda i=info: i.get_default(call_default_factory=True),  # type: ignore[misc]
            )
            for name, info in models.items()
        }
    hints = hints_of(kind)
    return {
        f.name: Field(f.name, hints.get(f.name, MISSING), _default_of(f))
        for f in dataclasses.fields(kind)
        if f.init
    }


def _default_of(field: "dataclasses.Field[Any]") -> Callable[[], Any] | None:
    if field.default is not dataclasses.MISSING:
        return lambda: field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory
    return None


def hints_of(thing: Any, known: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the annotations of a function or class, texts among them resolved.

    Parameters
    ----------
    thing : function or class
        What is annotated.
    known : mapping, optional
        Names that annotations may use though they are imported for type checkers only.

    Raises
    ------
    InvalidInputError
        If one names something that cannot be found where it was written.
    """
    try:
        return typing.get_type_hints(thing, localns=known and dict(known), include_extras=True)
    except NameError as error:
        raise InvalidInputError(
            f"the annotations of {getattr(thing, '__qualname__', thing)} cannot be read ({error}); "
            "import what they name, not only for type checkers"
        ) from None


def config_values(value: Any) -> dict[str, Any] | None:
    """Return the values of a config's fields; None if it is no config."""
    if isinstance(value, type):
        return None
    if dataclasses.is_dataclass(value):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}
    if hasattr(value, "model_dump"):
        return {name: getattr(value, name) for name in type(value).model_fields}
    return None


def cast_config(value: Any, kind: type, where: str) -> Any:
    """Return a config made from its fields by name, the others being its defaults.

    Raises
    ------
    InvalidInputError
        If there is no such field, one is missing or of another type, or the class itself refuses.
    """
    if isinstance(value, kind):
        value = config_values(value)
    if not isinstance(value, Mapping):
        return _refuse(value, kind.__name__, where)
    fields = config_fields(kind)
    check_names(value, fields, where)
    given = dict(value)
    if dataclasses.is_dataclass(kind):
        given = {n: cast(v, fields[n].kind, f"{where}.{n}") for n, v in value.items()}
    try:
        return kind(**given)
    except (ValueError, TypeError) as error:  # pydantic's ValidationError is a ValueError
        raise InvalidInputError(f"{where}: {error}") from error


def check_names(given: Iterable[Any], known: Iterable[str], where: str) -> None:
    """Refuse names that are not known, with the nearest that is.

    Raises
    ------
    InvalidInputError
        If there is such a name.
    """
    names = list(known)
    for name in given:
        if name not in names:
            raise InvalidInputError(
                f"{where} has no parameter {name!r}; it has {listing(names)}"
                f"{nearest(str(name), names)}"
            )
