"""`Run`, what `get` returns: a run, there or not yet, together with its task."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from holdfast._plain import from_plain
from holdfast.canonical import canonical_text, identity
from holdfast.errors import StateError
from holdfast.run import Logbook, LogReader
from holdfast.store._beside import Beside
from holdfast.store._contract import AbstractStore
from holdfast.store._groups import Group, group_of
from holdfast.store._moments import Moment
from holdfast.store._parameters import Plain
from holdfast.store._results import load_result
from holdfast.store._store import Store
from holdfast.store._task import Task, folder_name, identity_in
from holdfast.store._told import told_params, told_task

IfClaimed = Literal["wait", "skip", "fail"]
"""What a launch does when another process has the run: wait for it, leave it, raise."""


class Run(Beside):
    """A run that is there, or that a launch would make. Made by `get` and `Run.from_storage`.

    A run that is not there yet is launched in the store that is active then.

    Attributes
    ----------
    task_name : str
        Full name of its task.
    replicate : int
        Which of several runs with the same parameters, counted from 0.
    seed : int or None
        The seed that was asked for.
    """

    def __init__(
        self,
        task: Task | str,
        params: Plain,
        replicate: int = 0,
        seed: int | None = None,
        *,
        name: str | None = None,
        store: AbstractStore | None = None,
    ) -> None:
        super().__init__()
        self._task = task if isinstance(task, Task) else None
        self.task_name = task.name if isinstance(task, Task) else task
        self.replicate, self.seed = replicate, seed
        self._plain = params
        self._name = name or folder_name(self.task_name, params, replicate, seed)
        self._store = store
        self._pattern: str | None = None

    @classmethod
    def from_storage(cls, path: str | Path) -> "Run":
        """Return the run in a directory.

        Raises
        ------
        MissingFileError
            If there is no such directory.
        FormatError
            If it holds no run of a task, or its metadata are damaged.
        """
        reader = LogReader(path)
        told = told_task(reader)
        return cls(
            told["name"],
            told_params(reader, told),
            told.get("replicate", 0),
            told.get("seed"),
            name=reader.path.name,
            store=Store(reader.path.parent),
        )

    # What it is

    @property
    def id(self) -> str:
        """Its identity: 32 hexadecimal digits that follow from task, parameters and replicate."""
        of_name = identity_in(self._name)
        return of_name or identity(
            self.task_name, self._plain, replicate=self.replicate, seed=self.seed
        )

    @property
    def name(self) -> str:
        """Name of its directory."""
        return self._name

    @property
    def task(self) -> Task:
        """The task it is a run of, imported if need be.

        Raises
        ------
        NotFoundError
            If the task cannot be found by its name.
        """
        if self._task is None:
            from holdfast.store._get import find_task

            self._task = find_task(self.task_name)
        return self._task

    @property
    def params(self) -> dict[str, Any]:
        """All its parameters, resolved: defaults filled in, types cast."""
        restored: dict[str, Any] = from_plain(self._plain)
        return dict(restored)

    @property
    def directory(self) -> Path:
        """Its run directory; if it is not there yet, where a launch would make it now."""
        return self.store.place(self._name)

    @property
    def store(self) -> AbstractStore:
        """The store it is in; if it is not there yet, the one that is active now."""
        return self._store or Store.get()

    def bind(self, store: AbstractStore) -> None:
        """Let the run belong to a store from now on, as its launch does."""
        self._store = store

    @property
    def reader(self) -> LogReader:
        """A reader of its directory.

        Raises
        ------
        StateError
            If the run is not there yet.
        """
        there = self._there()
        if there is None:
            raise StateError(f"{self!r} has not been launched; launch() it first")
        return LogReader(there)

    def _there(self) -> Path | None:
        return self.store.locate(self._name)

    @property
    def plain(self) -> Plain:
        """Its parameters in canonical form, as they are hashed."""
        return self._plain

    def has(self, params: Mapping[str, Any]) -> bool:
        """Whether it has these parameters, given in canonical form."""
        return all(
            name in self._plain and canonical_text(self._plain[name]) == canonical_text(value)
            for name, value in params.items()
        )

    def next_replicate(self) -> "Run":
        """Return the first run with these parameters, from this replicate on, that is not there."""
        number = self.replicate
        while True:
            name = folder_name(self.task_name, self._plain, number, self.seed)
            if self.store.locate(name) is None:
                return Run(self.task, self._plain, number, self.seed)
            number += 1

    # How it is

    def is_started(self) -> bool:
        """Whether its directory is there."""
        return self._there() is not None

    def is_active(self) -> bool:
        """Whether a process is working on it."""
        return self._state() == "running"

    def is_finished(self) -> bool:
        """Whether it is complete, with a result."""
        return self._state() == "complete"

    def is_failed(self) -> bool:
        """Whether its task raised an exception."""
        return self._state() == "failed"

    def is_incomplete(self) -> bool:
        """Whether it has begun and neither goes on nor is complete: interrupted or failed."""
        return self._state() in ("interrupted", "failed")

    def _state(self) -> str | None:
        there = self._there()
        return None if there is None else LogReader(there).state

    def started_at(self) -> Moment | None:
        """Return when it was started, None if it was not."""
        return self._moment("start_time")

    def finished_at(self) -> Moment | None:
        """Return when it was finished, None if it was not."""
        return self._moment("end_time") if self.is_finished() else None

    def _moment(self, field: str) -> Moment | None:
        there = self._there()
        text = LogReader(there).meta.get(field) if there else None
        return Moment.of(dt.datetime.fromisoformat(text)) if isinstance(text, str) else None

    @property
    def code_changed(self) -> bool | None:
        """Whether the code of the task differs from what made the run; None if it was not made."""
        there = self._there()
        return None if there is None else told_task(LogReader(there)).get("code") != self.task.code

    @property
    def drawn_seed(self) -> int | None:
        """The seed that was drawn for it, None if one was asked for or it was not launched."""
        there = self._there()
        return None if there is None else told_task(LogReader(there)).get("drawn_seed")

    # Launching

    def launch(self, if_claimed: IfClaimed = "wait", timeout: float | None = None) -> "Run":
        """Make the run: nothing if it is complete, else from its start or from where it stopped.

        An interrupted run goes on in its directory; of a failed one, what it left is kept in
        ``attempts/<n>/``. Of several processes that launch the same run, one calls the task.

        Parameters
        ----------
        if_claimed : {"wait", "skip", "fail"}
            What to do if another process has the run: wait for its end, return at once, or raise.
        timeout : float, optional
            Seconds to wait at most.

        Returns
        -------
        Run
            This run.

        Raises
        ------
        LockedError
            If another process has the run, and `if_claimed` is ``"fail"`` or the time is over.
        StateError
            If the process that was waited for failed, or this one was taken over from.
        Exception
            What the task raises. The run is then failed.
        """
        from holdfast.store._launch import launch_run

        launch_run(self, if_claimed, timeout)
        return self

    def call(self, log: Logbook) -> Any:
        """Call the task for this run; a step of its launch."""
        return self.task.call(self._plain, log)

    @property
    def result(self) -> Any:
        """What the task returned: values, arrays or text as they were, tuples as lists.

        Raises
        ------
        StateError
            If the run is not complete.
        MissingFileError, FormatError
            If the result is gone, or damaged.
        InvalidInputError
            If it is a pickle; see `load_result`.
        """
        return self.load_result()

    def load_result(self, *, trust: bool = False) -> Any:
        """Return the result as `result` does.

        Parameters
        ----------
        trust : bool
            Read it even if it is a pickle, which runs code that the file chooses.
        """
        reader = self.reader
        state = reader.state
        if state != "complete":
            reason = reader.meta.get("failure_reason")
            why = f" ({reason})" if reason else ""
            raise StateError(
                f"{self!r} is {state}{why} and has no result; launch() makes it, or goes on with it"
            )
        return load_result(reader, trust=trust)

    # Groups

    def group_as(self, pattern: str) -> "Run":
        """Put the run into a group before it is launched.

        Parameters
        ----------
        pattern : str
            Text with ``strftime`` codes, such as ``"lab-reports/%Y"``.

        Raises
        ------
        InvalidInputError
            If the pattern cannot be understood.
        StateError
            If the run has been launched.
        """
        group_of(pattern)
        if self.is_started():
            raise StateError(f"{self!r} has been launched; its group stays {self.group!r}")
        self._pattern = pattern
        return self

    @property
    def group(self) -> Group | None:
        """Its group; before the launch, the one that it would get now."""
        there = self._there()
        if there is None:
            pattern = self.group_pattern()
            return None if pattern is None else group_of(pattern)
        told = told_task(LogReader(there))
        return Group(told["group"], told.get("group_pattern") or "") if told.get("group") else None

    def group_pattern(self) -> str | None:
        """Return the pattern of the group that a launch would give now."""
        return self._pattern or self.store.default_group

    # How it looks

    def __repr__(self) -> str:
        return f"Run [{self._name}]"

    def _repr_html_(self) -> str:
        there = self._there()
        return LogReader(there)._repr_html_() if there else f"<code>{self!r}: not launched</code>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and self.directory == other.directory

    def __hash__(self) -> int:
        return hash(self._name)
