"""Types with named fields: dataclasses, typed dictionaries, named tuples; generic ones, too."""

import dataclasses
import typing
from collections import abc
from typing import Any

from holdfast._names import listing, nearest
from holdfast.config._places import ConversionError, inside, wrong

ToType = abc.Callable[[Any, Any, str], Any]


@dataclasses.dataclass(frozen=True, slots=True)
class _Fields:
    """What a type holds: the annotation of each field, and the fields it cannot be without."""

    hints: dict[str, Any]
    required: frozenset[str]


def has_fields(kind: type) -> bool:
    """Whether a type has named fields."""
    return (
        dataclasses.is_dataclass(kind)
        or typing.is_typeddict(kind)
        or (issubclass(kind, tuple) and hasattr(kind, "_field_defaults"))
    )


def to_fields(value: Any, kind: Any, place: str, to_type: ToType) -> Any:
    """Make an instance of a type with fields, or of one with its parameters, from a mapping."""
    base: type = typing.get_origin(kind) or kind
    if not typing.is_typeddict(base) and isinstance(value, base):
        return value
    fields = _fields_of(kind, base)
    if isinstance(value, list | tuple) and issubclass(base, tuple):
        value = dict(zip(fields.hints, value, strict=False))
    if not isinstance(value, abc.Mapping):
        raise wrong(place, f"a mapping for {base.__name__}", value)
    unknown = [str(key) for key in value if key not in fields.hints]
    if unknown:
        raise ConversionError(
            inside(place, unknown[0]),
            f"is no field of {base.__name__}{nearest(unknown[0], fields.hints)} "
            f"(its fields: {listing(fields.hints)})",
        )
    given = {
        str(name): to_type(item, fields.hints[name], inside(place, str(name)))
        for name, item in value.items()
    }
    missing = [name for name in fields.hints if name in fields.required and name not in given]
    if missing:
        raise ConversionError(
            place, f"{listing(missing)} missing; {base.__name__} has no default for it"
        )
    return _made(base, given, place)


def _fields_of(kind: Any, base: type) -> _Fields:
    hints = typing.get_type_hints(base, include_extras=True)
    parameters = _parameters(kind)
    if dataclasses.is_dataclass(base):
        # Those that only __init__ takes (InitVar) are not among dataclasses.fields().
        names: dict[str, Any] = base.__dataclass_fields__
        kept = {
            name: field
            for name, field in names.items()
            if typing.ClassVar not in (hints[name], typing.get_origin(hints[name]))
        }
        required = frozenset(name for name, field in kept.items() if _is_required(field))
        hints = {name: hints[name] for name in kept}
    elif typing.is_typeddict(base):
        required = base.__required_keys__  # type: ignore[attr-defined]  # every TypedDict has them
    else:
        required = frozenset(hints) - frozenset(getattr(base, "_field_defaults", ()))
    return _Fields({name: _filled(hint, parameters) for name, hint in hints.items()}, required)


def _parameters(kind: Any) -> dict[Any, Any]:
    """Return what the type variables of a type and of its bases stand for."""
    base = typing.get_origin(kind) or kind
    own = dict(zip(getattr(base, "__parameters__", ()), typing.get_args(kind), strict=False))
    found = dict(own)
    for above in getattr(base, "__orig_bases__", ()):
        if typing.get_origin(above) is not None:
            found |= {k: _filled(v, own) for k, v in _parameters(above).items()}
    return found


def _filled(hint: Any, parameters: dict[Any, Any]) -> Any:
    if isinstance(hint, dataclasses.InitVar):
        return _filled(hint.type, parameters)
    if isinstance(hint, typing.TypeVar):
        return parameters.get(hint, hint)
    free = getattr(hint, "__parameters__", ())
    if isinstance(hint, type) or not any(variable in parameters for variable in free):
        return hint
    return hint[tuple(parameters.get(variable, variable) for variable in free)]


def _is_required(field: "dataclasses.Field[Any]") -> bool:
    nothing = dataclasses.MISSING
    return field.init and field.default is nothing and field.default_factory is nothing


def _made(kind: type, given: dict[str, Any], place: str) -> Any:
    fields = getattr(kind, "__dataclass_fields__", {})
    later = {name: item for name, item in given.items() if name in fields and not fields[name].init}
    try:
        made = kind(**{name: item for name, item in given.items() if name not in later})
    except (TypeError, ValueError) as error:  # its own __post_init__ refuses the values
        raise ConversionError(place, f"{kind.__name__} refuses its values: {error}") from error
    for name, item in later.items():
        object.__setattr__(made, name, item)
    return made
