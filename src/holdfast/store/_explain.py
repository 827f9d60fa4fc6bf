"""Why a `get` hits or misses: the run itself, and those of the same task that differ least."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast._plain import from_plain
from holdfast._text import short
from holdfast.canonical import canonical_text
from holdfast.errors import HoldfastError, HoldfastWarning
from holdfast.run import LogReader
from holdfast.store._parameters import Plain
from holdfast.store._run import Run
from holdfast.store._schemas import differences
from holdfast.store._task import slug_of
from holdfast.store._told import told_params, told_task

MOST_NEAR = 3
"""How many of the nearest runs are told."""

ABSENT = "absent"
"""Stands for the value of a parameter that a run does not have."""


@dataclass(frozen=True, slots=True)
class Near:
    """A run of the same task that is not the one looked for.

    Attributes
    ----------
    path : Path
        Its directory.
    state : str
        running, interrupted, complete or failed.
    differs : dict
        For each parameter that differs (also ``replicate`` and ``seed``): the value looked for, and
        the run's.
    schema : tuple of str
        What has changed in the task's parameters since it was made.
    code_changed : bool
        Whether the code has.
    """

    path: Path
    state: str
    differs: dict[str, tuple[Any, Any]]
    schema: tuple[str, ...]
    code_changed: bool

    def __str__(self) -> str:
        parts = [
            f"{name} is {short(theirs)}, not {short(wanted)}"
            for name, (wanted, theirs) in self.differs.items()
        ]
        parts += [*self.schema, *(["its code was another"] if self.code_changed else [])]
        return f"{self.path.name} ({self.state}): " + "; ".join(parts or ["nothing differs"])


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a run is found or not.

    Attributes
    ----------
    run : Run
        The run that was looked for.
    state : str or None
        running, interrupted, complete or failed; None if it is not there.
    code_changed : bool or None
        Whether the code has changed since it was made; None if it is not there.
    near : tuple of Near
        If it is not there: the runs of the task that differ least.
    total : int
        How many runs of the task there are.
    """

    run: Run
    state: str | None
    code_changed: bool | None
    near: tuple[Near, ...]
    total: int

    @property
    def is_hit(self) -> bool:
        """Whether the run is there."""
        return self.state is not None

    def __str__(self) -> str:
        if self.is_hit:
            changed = "; the code has changed since" if self.code_changed else ""
            return f"{self.run.name} is {self.state}, in {self.run.directory}{changed}"
        shown = ", ".join(f"{name}={short(v)}" for name, v in self.run.params.items())
        text = f"there is no run of {self.run.task_name} with {shown or 'no parameters'}"
        if self.run.replicate:
            text += f" (replicate {self.run.replicate})"
        if not self.near:
            return f"{text}; there are {self.total or 'no'} runs of this task. launch() makes it"
        nearest = "\n".join(f"  {near}" for near in self.near)
        return f"{text}; launch() makes it. The nearest of {self.total} runs:\n{nearest}"


def explain(target: Any, params: Any = None, /, **more: Any) -> Explanation:
    """Tell why `get` finds a run or does not.

    Parameters
    ----------
    target : Run, callable or str
        A run that `get` returned; or a task, as for `get`.
    params, **more
        As for `get`.

    Returns
    -------
    Explanation
        Data to look at; its text is for people.
    """
    run = target
    if not isinstance(target, Run):
        from holdfast.store._get import get

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", HoldfastWarning)  # what they say is in the answer
            run = get(target, params, **more)
    if run.is_started():
        return Explanation(run, run.reader.state, run.code_changed, (), 1)
    near = list(filter(None, (_near(run, path) for path in _same_task(run))))
    near.sort(key=lambda n: (len(n.differs) + len(n.schema), n.code_changed, n.path.name))
    return Explanation(run, None, None, tuple(near[:MOST_NEAR]), len(near))


def _same_task(run: Run) -> list[Path]:
    slug = slug_of(run.task_name)
    return [p for p in run.store.runs() if p.name.rpartition("-")[0] == slug]


def _near(run: Run, path: Path) -> Near | None:
    """Return in what a run differs; None if it is another task's, or cannot be read."""
    try:
        reader = LogReader(path)
        told, state = told_task(reader), reader.state
        theirs = told_params(reader, told)
    except (HoldfastError, OSError) as error:
        warnings.warn(f"left out: {error}", HoldfastWarning, stacklevel=4)
        return None
    if told["name"] != run.task_name:
        return None
    differs = _differing(run.plain, theirs)
    for name, value in (("replicate", run.replicate), ("seed", run.seed)):
        if told.get(name) != value:
            differs[name] = (value, told.get(name))
    earlier = told.get("schema")
    schema = tuple(differences(earlier, run.task, set())) if isinstance(earlier, dict) else ()
    about = tuple(text for text in schema if any(f" {name} " in text for name in differs))
    return Near(path, state, differs, about, told.get("code") != run.task.code)


def _differing(wanted: Plain, theirs: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = [*wanted, *(name for name in theirs if name not in wanted)]
    pairs = {name: (wanted.get(name, ABSENT), theirs.get(name, ABSENT)) for name in names}
    return {
        name: (from_plain(a), from_plain(b))
        for name, (a, b) in pairs.items()
        if canonical_text(a) != canonical_text(b)
    }
