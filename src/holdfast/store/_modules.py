"""Finding a task, or a store, by the name of its module: ``get("estimate_gravity", {...})``."""

import importlib
import importlib.metadata
import importlib.util
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from holdfast._names import listing, nearest
from holdfast.errors import InvalidInputError, NotFoundError
from holdfast.store._contract import AbstractStore
from holdfast.store._task import MARK, Task, known_tasks, task_of

STORES = "holdfast.stores"
"""The entry point group by which packages name the stores they bring."""

_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*(:[^\W\d][\w.]*)?")


def find(name: str) -> Any:
    """Return the task or store that a text names.

    In this order: a file of the project folder (the current one), an importable module, a task
    that the process has declared under this name, a store that an installed package brings.

    Parameters
    ----------
    name : str
        ``"estimate_gravity"``, ``"package.module"``, ``"package.module.function"`` or
        ``"package.module:function"``.

    Returns
    -------
    callable
        A function, a class with ``__call__``, or a class of stores.

    Raises
    ------
    NotFoundError
        If there is none.
    InvalidInputError
        If `name` is no such name, or the module has several tasks.
    """
    if not _NAME.fullmatch(name):
        if name in known_tasks():
            return known_tasks()[name].target
        raise InvalidInputError(
            f"{name!r} is no name of a module, nor of a task declared here; write 'package.module'"
        )
    module_name, _, attribute = name.partition(":")
    module = _module(module_name)
    if module is not None:
        return _attribute(module, attribute) if attribute else _only(module)
    parent, _, last = module_name.rpartition(".")
    module = _module(parent) if parent and not attribute else None
    if module is not None and hasattr(module, last):
        return _attribute(module, last)
    if name in known_tasks():
        return known_tasks()[name].target
    found = [e for e in importlib.metadata.entry_points(group=STORES) if e.name == name]
    if found:
        return found[0].load()
    raise NotFoundError(_nothing(name))


def load_task(module: str, qualname: str) -> Task:
    """Return a task that another process has, by where it is defined."""
    loaded = sys.modules.get(module) or _module(module)
    if loaded is None:
        raise NotFoundError(
            f"there is no module {module!r} in this process, whose current folder is {Path.cwd()}; "
            "start it where the module is"
        )
    return task_of(_attribute(loaded, qualname))


def _nothing(name: str) -> str:
    files = [path.stem for path in Path.cwd().glob("*.py")]
    known = [*files, *known_tasks()]
    return (
        f"there is no task {name!r}: no file {name.replace('.', '/')}.py in {Path.cwd()}, no "
        f"module of this name, and no such task declared{nearest(name, known)}"
    )


def _module(name: str) -> ModuleType | None:
    base = Path.cwd().joinpath(*name.split("."))
    for file in (base.with_suffix(".py"), base / "__init__.py"):
        if file.is_file():
            return _loaded(name, file)
    try:
        if name not in sys.modules and importlib.util.find_spec(name) is None:
            return None
    except (ModuleNotFoundError, ValueError):  # a parent is missing, or is no package
        return None
    return importlib.import_module(name)


def _loaded(name: str, file: Path) -> ModuleType:
    """Return a file of the project folder as a module, loaded once."""
    there = sys.modules.get(name)
    if there is not None and _is_file_of(there, file):
        return there
    main = sys.modules.get("__main__")
    if main is not None and _is_file_of(main, file) and hasattr(main, "__file__"):
        return main  # a script that names itself is not run a second time
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise NotFoundError(f"{file} cannot be loaded as a Python module")
    module = importlib.util.module_from_spec(spec)
    if there is None:
        sys.modules[name] = module  # pickle, dataclasses and inspect look here
    try:
        spec.loader.exec_module(module)
    except BaseException:
        if there is None:
            del sys.modules[name]
        raise
    return module


def _is_file_of(module: ModuleType, file: Path) -> bool:
    own = getattr(module, "__file__", None)
    return own is not None and Path(own).resolve() == file.resolve()


def _attribute(module: ModuleType, name: str) -> Any:
    value: Any = module
    for part in name.split("."):
        if not hasattr(value, part):
            raise NotFoundError(
                f"module {module.__name__} has no {name!r}{nearest(name, vars(module))}"
            )
        value = getattr(value, part)
    return value


def _only(module: ModuleType) -> Any:
    """Return the task or the store of a module: the one named like it, or the only one."""
    own = {n: v for n, v in vars(module).items() if _is_own(v, module)}
    named = own.get(module.__name__.rpartition(".")[2])
    if named is not None:
        return named
    found = [v for v in own.values() if MARK in vars(v)] or list(filter(_is_store, own.values()))
    if len(found) == 1:
        return found[0]
    names = listing(v.__name__ for v in found or own.values())
    problem = f"has several tasks ({names})" if found else f"has no task; it defines {names}"
    raise InvalidInputError(
        f"module {module.__name__} {problem}; mark one with @task, or name it: "
        f"'{module.__name__}:name'"
    )


def _is_own(value: Any, module: ModuleType) -> bool:
    place = getattr(value, "__module__", None)
    own = place == module.__name__ or str(place).startswith(f"{module.__name__}.")
    return own and callable(value) and hasattr(value, "__dict__") and hasattr(value, "__name__")


def _is_store(value: Any) -> bool:
    return (
        isinstance(value, type)
        and issubclass(value, AbstractStore)
        and not inspect.isabstract(value)
    )
