"""`task`, which declares a function or class to be a task, and `Task`, which says all about one."""

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar, overload

from holdfast._names import listing, safe_component
from holdfast.canonical import HEX_DIGITS, canonical, canonical_text, cast, identity
from holdfast.errors import InvalidInputError
from holdfast.run import Logbook
from holdfast.store._code import fingerprint
from holdfast.store._parameters import Plain, Schema, schema_of
from holdfast.store._versions import Version, merged

T = TypeVar("T", bound=Callable[..., Any])

MARK = "__holdfast_task__"
"""The attribute of a function or class that holds its `Task`."""

MOST_SLUG = 80
"""The longest readable part of a run directory's name."""

_UNSAFE = re.compile(r"[^\w.+\-]", re.ASCII)


@dataclass(frozen=True, eq=False)
class Task:
    """A function or class whose runs are found again by their parameters.

    Attributes
    ----------
    name : str
        Its full name, a part of every identity.
    target : callable
        The function or class.
    schema : Schema
        Its parameters.
    added : mapping
        For parameters that it got later, in that order: how it behaved before.
    versions : mapping
        Named sets of parameters.
    pickle : bool
        Whether results that have no plain form are pickled.
    resume : bool
        Whether an interrupted run goes on with its files.
    """

    name: str
    target: Callable[..., Any]
    schema: Schema
    added: Mapping[str, Any]
    versions: Mapping[str, Version]
    pickle: bool = False
    resume: bool = True

    @cached_property
    def code(self) -> str:
        """Fingerprint of the code, as of the first look."""
        return fingerprint(self.target)

    @property
    def slug(self) -> str:
        """The name as it begins the names of run directories."""
        return slug_of(self.name)

    def resolve(self, params: Any) -> tuple[Plain, set[str]]:
        """Return all parameters in canonical form, and the names of those that were given.

        Raises
        ------
        InvalidInputError
            If they cannot be the parameters of this task.
        """
        given = merged(params, self.versions, self.name)
        return self.schema.resolve(given), set(given)

    def forms(self, plain: Plain) -> list[Plain]:
        """Return the parameters as they are, and as older versions of the task would have had them.

        A version without an added parameter is one of them if the parameter's value here is how the
        task behaved then.
        """
        forms = [plain]
        for name in reversed(list(self.added)):
            last = forms[-1]
            if canonical_text(last[name]) != canonical_text(self.added[name]):
                break
            forms.append({key: value for key, value in last.items() if key != name})
        return forms

    def call(self, plain: Plain, log: Logbook) -> Any:
        """Call the function, or make an instance and call that."""
        positional, named = self.schema.arguments(self.grown(plain))
        book = {self.schema.logbook: log} if self.schema.logbook else {}
        if not isinstance(self.target, type):
            return self.target(*positional, **named, **book)
        return self._instance(positional, named)(**book)

    def grown(self, plain: Plain) -> Plain:
        """Return the parameters a run was begun with, and those that were added since.

        Raises
        ------
        InvalidInputError
            If the task has others by now, and does not say how it behaved without them.
        """
        fields = self.schema.fields
        gone = [] if self.schema.open else sorted(plain.keys() - fields.keys())
        new = sorted(fields.keys() - plain.keys() - self.added.keys())
        if gone or new:
            raise InvalidInputError(
                f"the run was begun when {self.name} had other parameters (now it has "
                f"{listing(new)} more, and {listing(gone)} less), so it cannot go on; get() a run "
                "with the present ones, or declare added={...}"
            )
        return {**plain, **{n: v for n, v in self.added.items() if n not in plain}}

    def _instance(self, positional: list[Any], named: Plain) -> Any:
        if self.schema.config is self.target:
            return positional[0]
        if not self.schema.attributes:
            return self.target(*positional, **named)
        instance = self.target()
        for name, value in named.items():
            setattr(instance, name, value)
        return instance

    def __reduce__(self) -> tuple[Any, ...]:
        from holdfast.store._modules import load_task

        if "<" in self.target.__qualname__:
            raise InvalidInputError(
                f"{self!r} is defined within a function, so no other process can import it; define "
                "it at the top of a module"
            )
        return load_task, (self.target.__module__, self.target.__qualname__)

    def __repr__(self) -> str:
        return f"Task({self.name!r})"


def slug_of(name: str) -> str:
    """Return what of a task's name stands in the names of its run directories."""
    return _UNSAFE.sub("_", name).lstrip(".-")[:MOST_SLUG] or "task"


def folder_name(task: str, params: Plain, replicate: int, seed: int | None) -> str:
    """Return the name of a run's directory."""
    return f"{slug_of(task)}-{identity(task, params, replicate=replicate, seed=seed)}"


def identity_in(folder: str) -> str | None:
    """Return the identity that the name of a run directory ends with, None if there is none."""
    digits = folder[-HEX_DIGITS:]
    is_one = folder[-HEX_DIGITS - 1 : -HEX_DIGITS] == "-" and re.fullmatch(r"[0-9a-f]+", digits)
    return digits if is_one else None


@overload
def task(target: T, /) -> T: ...
@overload
def task(
    *,
    name: str | None = None,
    added: Mapping[str, Any] | None = None,
    versions: Mapping[str, Version] | None = None,
    pickle: bool = False,
    resume: bool = True,
) -> Callable[[T], T]: ...
def task(
    target: T | None = None,
    /,
    *,
    name: str | None = None,
    added: Mapping[str, Any] | None = None,
    versions: Mapping[str, Version] | None = None,
    pickle: bool = False,
    resume: bool = True,
) -> T | Callable[[T], T]:
    """Declare a function, or a class with ``__call__``, to be a task.

    It stays what it is and can be called as before; `get` makes runs of it.

    Parameters
    ----------
    target : callable
        The function or class.
    name : str, optional
        Its full name, a part of every identity. ``<module>.<name>`` if left out, and ``<module>``
        alone where both are the same. Give one to move the function and keep its runs.
    added : mapping, optional
        For each parameter that the task got later, oldest first, the value by which it behaves as
        it did before. Runs made without the parameter are then found for that value.
    versions : mapping, optional
        Named sets of parameters for ``get(task, "~name")``; or functions that return them, for
        ``"~name(2)"``. Of a class, its static methods ``version_<name>`` are versions too.
    pickle : bool
        Keep results that are no JSON, arrays or text as a pickle. Reading one can run any code, so
        ``run.load_result(trust=True)`` has to be said then.
    resume : bool
        Whether a run that was interrupted goes on in its directory with what it had appended
        (``log.resumed`` tells the function); otherwise it begins anew, as a failed one does.

    Raises
    ------
    InvalidInputError
        If its parameters could not be found again, or another task has this name.

    Examples
    --------
    >>> @task(name="fall_time")
    ... def fall_time(height: float = 1.0, gravity: float = 9.81) -> float:
    ...     return (2 * height / gravity) ** 0.5
    >>> from holdfast import get
    >>> round(get(fall_time, {"height": 20}).launch().result, 2)
    2.02
    """

    def declare(target: T) -> T:
        made = _made(target, name, added or {}, versions or {}, pickle=pickle, resume=resume)
        setattr(target, MARK, made)
        return target

    return declare if target is None else declare(target)


def task_of(target: Any) -> Task:
    """Return the task that a function or class is, declared or not.

    Raises
    ------
    InvalidInputError
        If it is neither, or cannot be a task.
    """
    if isinstance(target, Task):
        return target
    made = vars(target).get(MARK) if hasattr(target, "__dict__") else None
    if isinstance(made, Task):
        return made
    made = _made(target, None, {}, {}, pickle=False, resume=True)
    setattr(target, MARK, made)
    return made


def _made(
    target: Any,
    name: str | None,
    added: Mapping[str, Any],
    versions: Mapping[str, Version],
    *,
    pickle: bool,
    resume: bool,
) -> Task:
    if not isinstance(target, FunctionType | type):
        hint = "; write a function that calls it" if callable(target) else ""
        raise InvalidInputError(
            f"a task is a function, or a class with __call__, not {type(target).__name__}: "
            f"{target!r:.60}{hint}"
        )
    full = _named(target, name)
    schema = schema_of(target, full)
    if isinstance(target, type):
        found = {n: getattr(target, n) for n in dir(target) if n.startswith("version_")}
        versions = {n.removeprefix("version_"): f for n, f in found.items()} | dict(versions)
    task = Task(full, target, schema, _added(added, schema), versions, pickle, resume)
    _register(task)
    return task


def _added(added: Mapping[str, Any], schema: Schema) -> Plain:
    unknown = sorted(added.keys() - schema.fields.keys())
    if unknown:
        raise InvalidInputError(
            f"{schema.where}: added={{...}} names {', '.join(unknown)}, which is no parameter"
        )
    at = f"{schema.where}: added"
    return {n: canonical(cast(v, schema.fields[n].kind, at), at) for n, v in added.items()}


def _named(target: Any, name: str | None) -> str:
    if name is not None:
        return safe_component(name, "task name")
    qualified = target.__qualname__
    if "<" in qualified:
        raise InvalidInputError(
            f"{qualified} is defined within a function, or a lambda, and has no name to be found "
            'again by; define it at the top of a module, or name it: @task(name="...")'
        )
    module = module_name(target.__module__)
    return module if module.rpartition(".")[2] == qualified else f"{module}.{qualified}"


def module_name(module: str) -> str:
    """Return the name by which other programs import a module, for the one being run too.

    A script is named as its file; a notebook and an interactive session are ``__main__``.
    """
    if module not in ("__main__", "__mp_main__"):
        return module
    main = sys.modules.get(module)
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name not in ("__main__", "__mp_main__"):
        return str(spec.name).removesuffix(".__main__")  # python -m
    file = getattr(main, "__file__", None)
    return Path(file).stem if file and Path(file).is_file() else "__main__"


_known: dict[str, Task] = {}


def _register(task: Task) -> None:
    """Refuse a second task of one name; the same function defined again is none."""
    other = _known.get(task.name)
    if other is not None and _place(other) != _place(task):
        raise InvalidInputError(
            f"two tasks are named {task.name!r}: {_shown(other)} and {_shown(task)}; they would be "
            'given each other\'s results. Name one of them otherwise: @task(name="...")'
        )
    _known[task.name] = task


def _place(task: Task) -> tuple[str, str]:
    return module_name(task.target.__module__), task.target.__qualname__


def _shown(task: Task) -> str:
    return f"{task.target.__module__}.{task.target.__qualname__}"


def known_tasks() -> Mapping[str, Task]:
    """Return the tasks that this process has declared, by name."""
    return _known
