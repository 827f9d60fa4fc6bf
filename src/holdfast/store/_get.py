"""`get`, which finds a run by its task and parameters, or says which run a launch would make."""

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, overload

from holdfast.canonical import canonical_text
from holdfast.errors import (
    HoldfastError,
    HoldfastWarning,
    IntegrityError,
    InvalidInputError,
    NotFoundError,
)
from holdfast.run import LogReader
from holdfast.store._contract import AbstractStore
from holdfast.store._explain import explain
from holdfast.store._modules import find
from holdfast.store._parameters import Plain
from holdfast.store._run import Run
from holdfast.store._runs import Runs
from holdfast.store._schemas import changes
from holdfast.store._seeds import check_replicate, check_seed
from holdfast.store._store import Store
from holdfast.store._task import Task, folder_name, known_tasks, slug_of, task_of
from holdfast.store._told import told_params, told_task
from holdfast.store._versions import merged

S = TypeVar("S", bound=AbstractStore)


class Get:
    """What `get` is: a function, with others for special wishes beside it."""

    @overload
    def __call__(self, target: type[S], params: Any = None, /, **options: Any) -> S: ...
    @overload
    def __call__(
        self,
        target: Callable[..., Any],
        params: Any = None,
        /,
        *,
        replicate: int = 0,
        seed: int | None = None,
        **more: Any,
    ) -> Run: ...
    @overload
    def __call__(
        self,
        target: str,
        params: Any = None,
        /,
        *,
        replicate: int = 0,
        seed: int | None = None,
        **more: Any,
    ) -> Any: ...
    def __call__(
        self,
        target: Any,
        params: Any = None,
        /,
        *,
        replicate: int = 0,
        seed: int | None = None,
        **more: Any,
    ) -> Any:
        """Return the run of a task with some parameters; or a store.

        Nothing is written. If there is no such run, ``launch()`` of what is returned makes it.

        Parameters
        ----------
        target : callable or str
            A task: a function, a class with ``__call__``, or the name of its module, which is
            looked for in the current folder and among the importable ones. Or a class of stores,
            or the name of its module.
        params : mapping, dataclass, str, or list of these, optional
            Parameters, merged left to right; ``"~name"`` is a version that the task declares. Those
            left out have their defaults.
        replicate : int
            Which of several runs with the same parameters.
        seed : int, optional
            Seed of `random` and NumPy's global generator, a part of the run's identity. Without it
            one is drawn and recorded, outside identity.
        **more
            Parameters by keyword.

        Returns
        -------
        Run or AbstractStore
            The run, there or not yet; or the store.

        Raises
        ------
        InvalidInputError
            If a parameter is unknown, missing or of another type.
        NotFoundError
            If there is no module of this name.
        FormatError
            If the run is there and its metadata are damaged.
        IntegrityError
            If the run's directory holds other parameters than its name says.

        Warns
        -----
        HoldfastWarning
            If the code has changed since the run was made; or if the run is not there, and earlier
            runs of the task were made with other defaults.

        Examples
        --------
        >>> from holdfast import get, task
        >>> @task(name="double")
        ... def double(x: float = 1.0) -> float:
        ...     return 2 * x
        >>> get(double, {"x": 4}).is_finished()
        False
        >>> get(double, {"x": 4}).launch().result
        8.0
        >>> get(double, x=4.0).is_finished()
        True
        """
        found = find(target) if isinstance(target, str) else target
        if isinstance(found, type) and issubclass(found, AbstractStore):
            return _store(found, params, {**more, **_given(replicate, seed)})
        task = task_of(found)
        plain, given = task.resolve(_parts(params, more))
        return _found(task, plain, given, replicate, seed)

    def all(self, target: Any, params: Any = None, /, **more: Any) -> Runs:
        """Return every run of a task that is there, of any state, replicate and seed.

        Parameters
        ----------
        target : callable or str
            The task.
        params, **more
            Parameters that the runs have; those left out may have any value.

        Warns
        -----
        HoldfastWarning
            For every run that cannot be read; the others are returned.
        """
        task = find_task(target) if isinstance(target, str) else task_of(target)
        wanted = _partial(task, _parts(params, more))
        store = Store.get()
        runs = []
        for path in sorted(store.runs()):
            if path.name.rpartition("-")[0] != slug_of(task.name):
                continue
            try:
                run = Run.from_storage(path)
            except (HoldfastError, OSError) as error:
                warnings.warn(f"left out: {error}", HoldfastWarning, stacklevel=2)
                continue
            if run.task_name == task.name and run.has(wanted):
                run.bind(store)
                runs.append(run)
        return Runs(runs)

    def or_fail(self, target: Any, params: Any = None, /, **more: Any) -> Run:
        """Return the run as `get` does, if it is complete.

        Raises
        ------
        NotFoundError
            If it is not; the message says what is there instead, and why it is none.
        """
        run = self(target, params, **more)
        if not isinstance(run, Run):
            raise InvalidInputError("get.or_fail() takes a task, not a store")
        if not run.is_finished():
            raise NotFoundError(str(explain(run)))
        return run

    def new(self, target: Any, params: Any = None, /, **more: Any) -> Run:
        """Return the next replicate: a run with these parameters that is not there yet."""
        run = self(target, params, **more)
        if not isinstance(run, Run):
            raise InvalidInputError("get.new() takes a task, not a store")
        return run.next_replicate()

    def __repr__(self) -> str:
        return "<function get>"


get = Get()


def find_task(name: str) -> Task:
    """Return the task of a name: of its module, or as it is recorded with runs.

    Raises
    ------
    NotFoundError
        If there is none.
    """
    known = known_tasks().get(name)
    return known if known is not None else task_of(find(name))


def _parts(params: Any, more: dict[str, Any]) -> list[Any]:
    parts = list(params) if isinstance(params, list | tuple) else [params]
    return [*parts, more] if more else parts


def _given(replicate: int, seed: int | None) -> dict[str, Any]:
    options = {"replicate": replicate or None, "seed": seed}
    return {name: value for name, value in options.items() if value is not None}


def _store(kind: type[S], params: Any, options: dict[str, Any]) -> S:
    keywords = merged(params, {}, kind.__name__) | options
    try:
        return kind(**keywords)
    except TypeError as error:
        raise InvalidInputError(f"{kind.__name__} cannot be made: {error}") from error


def _found(task: Task, plain: Plain, given: set[str], replicate: int, seed: int | None) -> Run:
    replicate = check_replicate(replicate)
    seed = None if seed is None else check_seed(seed)
    store = Store.get()
    for form in task.forms(plain):
        name = folder_name(task.name, form, replicate, seed)
        path = store.locate(name)
        if path is not None:
            _check_hit(task, form, path)
            return Run(task, plain, replicate, seed, name=name, store=store)
    for change in changes(store.schemas, task, given):
        _warn(f"no such run of {task.name} is there, and {change}")
    return Run(task, plain, replicate, seed)


def _check_hit(task: Task, plain: Plain, path: Path) -> None:
    """Make sure that a run is what its name says, and tell if its code has changed."""
    reader = LogReader(path)
    told = told_task(reader)
    stored = told_params(reader, told)
    if told["name"] != task.name or canonical_text(stored) != canonical_text(plain):
        raise IntegrityError(
            f"{path} holds a run of {told['name']} with {stored}, not of {task.name} with {plain}; "
            "was it renamed, or edited? Move it away to launch the run anew"
        )
    if told.get("code") != task.code and reader.status != "failed":
        _warn(
            f"the code of {task.name} has changed since {path} was made; its result is that of the "
            "earlier code. For one of the present code use get.new(), or remove the directory"
        )


def _warn(message: str) -> None:
    """Warn at the line of the user's program, however deep below it this is."""
    depth, frame = 2, sys._getframe(1)  # noqa: SLF001 - the documented way to find the caller
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("holdfast."):
        frame, depth = frame.f_back, depth + 1
    warnings.warn(message, HoldfastWarning, stacklevel=depth)


def _partial(task: Task, parts: list[Any]) -> Plain:
    """Return some parameters in canonical form."""
    return task.schema.some(merged(parts, task.versions, task.name))
