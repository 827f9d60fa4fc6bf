"""The parameters of a task: read from its signature, resolved from what the user passes."""

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from holdfast._plain import from_plain
from holdfast.canonical import (
    MISSING,
    Field,
    canonical,
    cast,
    cast_config,
    check_names,
    config_fields,
    hints_of,
    is_config,
)
from holdfast.errors import InvalidInputError
from holdfast.run import Logbook

Plain = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Schema:
    """What a task takes.

    Attributes
    ----------
    where : str
        Name of the task, for messages.
    fields : mapping
        Its parameters by name.
    positional : tuple of str
        Those that can only be passed by position.
    open : bool
        Whether it takes parameters of any name (``**kwargs``).
    config : type or None
        The dataclass or pydantic model whose fields are the parameters.
    config_name : str or None
        The argument that takes the config; None if the task itself is the config.
    logbook : str or None
        The argument that takes the run's `Logbook`.
    described : dict
        The fields as plain data: type as text, default in canonical form.
    attributes : bool
        Whether the parameters are set as attributes, since the class has no ``__init__``.
    """

    where: str
    fields: Mapping[str, Field]
    positional: tuple[str, ...] = ()
    open: bool = False
    config: type | None = None
    config_name: str | None = None
    logbook: str | None = None
    described: Plain = field(default_factory=dict)
    attributes: bool = False

    def resolve(self, given: Mapping[str, Any]) -> Plain:
        """Return all parameters in canonical form: defaults filled in, types cast.

        Raises
        ------
        InvalidInputError
            If a parameter is unknown, missing, of another type, or has no canonical form.
        """
        if not self.open:
            check_names(given, self.fields, self.where)
        if self.config is not None:
            self._require(given)
            values = cast_config(given, self.config, self.where)
            plain: Plain = canonical(values, self.where)
            return plain
        self._require(given)
        known = {
            name: canonical(_value(f, given, self._at(name)), self._at(name))
            for name, f in self.fields.items()
        }
        free = {n: canonical(v, self._at(n)) for n, v in given.items() if n not in self.fields}
        return known | free

    def some(self, given: Mapping[str, Any]) -> Plain:
        """Return some of the parameters in canonical form, without those that were left out.

        Raises
        ------
        InvalidInputError
            As `resolve` does.
        """
        if not self.open:
            check_names(given, self.fields, self.where)
        if self.config is None:
            return {
                n: canonical(_restored(self.fields.get(n), v, self._at(n)), self._at(n))
                for n, v in given.items()
            }
        whole = self.resolve(given)
        return {name: whole[name] for name in given}

    def _require(self, given: Mapping[str, Any]) -> None:
        missing = [n for n, f in self.fields.items() if f.default is None and n not in given]
        if missing:
            books = not self.logbook and not {"log", "logbook"}.isdisjoint(missing)
            hint = ", or annotate it as Logbook to be given the run's" if books else ""
            raise InvalidInputError(
                f"{self.where} needs the parameter {', '.join(map(repr, missing))}, which has no "
                f"default; pass a value{hint}"
            )

    def arguments(self, plain: Mapping[str, Any]) -> tuple[list[Any], Plain]:
        """Return positional and keyword arguments for resolved parameters, new or stored."""
        if self.config is not None:
            config = cast_config(from_plain(dict(plain)), self.config, self.where)
            return ([], {self.config_name: config}) if self.config_name else ([config], {})
        values = {
            name: _restored(self.fields.get(name), from_plain(item), self._at(name))
            for name, item in plain.items()
        }
        return [values.pop(name) for name in self.positional], values

    def _at(self, name: str) -> str:
        return f"{self.where}: {name}"


def _value(field: Field, given: Mapping[str, Any], where: str) -> Any:
    if field.name in given:
        return _restored(field, given[field.name], where)
    return _default_value(field, where)


def _restored(field: Field | None, value: Any, where: str) -> Any:
    if field is None:
        return value
    if value is None and field.default is not None and field.default() is None:
        return None  # ``dt: float = None`` says less than it means
    return cast(value, field.kind, where)


def _default_value(field: Field, where: str) -> Any:
    if field.default is None:
        raise InvalidInputError(f"{where} has no default")
    value = field.default()
    return None if value is None else cast(value, field.kind, where)


def _described(fields: Mapping[str, Field], where: str) -> Plain:
    """Return the schema as plain data: type as text, default in canonical form."""
    told: Plain = {}
    for name, item in fields.items():
        kind = "any" if item.kind is MISSING else inspect.formatannotation(item.kind)
        told[name] = {"type": kind}
        if item.default is not None:
            at = f"{where}: the default of {name}"
            told[name]["default"] = canonical(_default_value(item, at), at)
    return told


def schema_of(target: Callable[..., Any], where: str) -> Schema:
    """Read the schema of a function, or of a class whose instances are called.

    Raises
    ------
    InvalidInputError
        If its parameters could not be found again: ``*args``, defaults that cannot be stored,
        annotations that cannot be read.
    """
    if isinstance(target, type):
        return _class_schema(target, where)
    taken, book = _signature(target, where)
    fields = {n: f for n, (f, _) in taken.items()}
    if len(fields) == 1:
        ((name, only),) = fields.items()
        if is_config(only.kind):
            inner = config_fields(only.kind)
            told = _described(inner, where)
            return Schema(where, inner, (), False, only.kind, name, book, told)  # noqa: FBT003 - open
    return _schema(target, taken, book, where)


def _schema(
    target: Callable[..., Any],
    taken: Mapping[str, tuple[Field, inspect.Parameter]],
    book: str | None,
    where: str,
) -> Schema:
    fields = {n: f for n, (f, _) in taken.items()}
    positional = tuple(n for n, (_, p) in taken.items() if p.kind is p.POSITIONAL_ONLY)
    kinds = [p.kind for p in inspect.signature(target).parameters.values()]
    is_open = inspect.Parameter.VAR_KEYWORD in kinds
    told = _described(fields, where)
    return Schema(where, fields, positional, is_open, logbook=book, described=told)


def _class_schema(target: type, where: str) -> Schema:
    method = next((vars(c)["__call__"] for c in target.__mro__ if "__call__" in vars(c)), None)
    if method is None:
        raise InvalidInputError(f"class {where} has no __call__ method, so it cannot be a task")
    taken, book = _signature(method, where, skip=1)
    needed = [n for n, (f, _) in taken.items() if f.default is None]
    if needed:
        raise InvalidInputError(
            f"{where}.__call__ takes {', '.join(needed)}; parameters of a class belong into its "
            "fields or its __init__, and __call__ takes a Logbook at most"
        )
    if is_config(target):
        fields = config_fields(target)
        told = _described(fields, where)
        return Schema(where, fields, config=target, logbook=book, described=told)
    if target.__init__ is object.__init__:  # type: ignore[misc]  # of this class
        fields = _annotated(target)
        told = _described(fields, where)
        return Schema(where, fields, logbook=book, described=told, attributes=True)
    taken, _ = _signature(target.__init__, where, skip=1)  # type: ignore[misc]  # of this class
    return _schema(target, taken, book, where)


def _annotated(target: type) -> dict[str, Field]:
    """Return the annotated attributes of a class as parameters."""
    hints = hints_of(target, {"Logbook": Logbook})
    kinds = {n: k for n, k in hints.items() if typing.get_origin(k) is not typing.ClassVar}
    return {
        name: Field(name, kind, partial(getattr, target, name) if hasattr(target, name) else None)
        for name, kind in kinds.items()
    }


def _signature(
    target: Callable[..., Any], where: str, skip: int = 0
) -> tuple[dict[str, tuple[Field, inspect.Parameter]], str | None]:
    """Return the parameters of a callable, and which of them takes the logbook."""
    if inspect.iscoroutinefunction(target) or inspect.isgeneratorfunction(target):
        raise InvalidInputError(
            f"{where} gives its result when it is awaited or iterated over, and a task gives it "
            "when it is called; use asyncio.run() within it, or return a list"
        )
    hints = hints_of(target, {"Logbook": Logbook})
    taken: dict[str, tuple[Field, inspect.Parameter]] = {}
    book = None
    for parameter in list(inspect.signature(target).parameters.values())[skip:]:
        kind = hints.get(parameter.name, MISSING)
        if parameter.kind is parameter.VAR_KEYWORD:
            continue
        if parameter.kind is parameter.VAR_POSITIONAL:
            raise InvalidInputError(
                f"{where} takes *{parameter.name}, which have no names to be found again by; "
                "take a list instead"
            )
        if Logbook in (kind, *typing.get_args(kind)):
            book = parameter.name
        else:
            taken[parameter.name] = (_field(parameter, kind), parameter)
    return taken, book


def _field(parameter: inspect.Parameter, kind: Any) -> Field:
    default = parameter.default
    if default is MISSING:
        return Field(parameter.name, kind)
    if kind is MISSING and type(default) is float:
        kind = float  # so that 1 and 1.0 are the same for ``dt=0.1`` without annotation
    return Field(parameter.name, kind, lambda: default)
