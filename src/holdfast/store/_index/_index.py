"""`Index`: finds the runs of a store, and can be thrown away at any time."""

import contextlib
import os
import sqlite3
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from holdfast.errors import HoldfastError, HoldfastWarning, StateError
from holdfast.query import Sql
from holdfast.store._index._build import connect, fill_from
from holdfast.store._index._database import Database
from holdfast.store._index._place import INDEX
from holdfast.store._index._refresh import refresh, stale, take_in
from holdfast.store._index._select import columns_of, condition, folders_of
from holdfast.store._index._sql import query_table
from holdfast.tables import Table

Result = TypeVar("Result")

CHECKED_AT_MOST = 1000
"""Answers of so many runs or fewer are compared with the files of each run before they are given.
"""


class Index:
    """The catalogue of a store's runs.

    Every answer is that of the run directories as they are: folders that came or went are seen, and
    runs that have not completed are looked at each time. Threads may share an index.

    Parameters
    ----------
    directory : path
        The store. It may be read-only, and need not exist (yet): it then has no runs.

    Notes
    -----
    What must never be concluded from an index stands in ``design/013-index.md``.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = Path(directory).absolute()  # os.chdir must not lead elsewhere
        self._database = Database(self.directory)
        self._named: dict[str, str] = {}
        self._kept: tuple[object, Mapping[str, Sequence[Any]]] | None = None

    @property
    def sqlite_file(self) -> Path:
        """The SQLite file, up to date, for other tools to read.

        It is ``index.sqlite`` in the store, or in the user's cache where the store cannot be
        written or lies on a network file system.

        Raises
        ------
        StateError
            If no place can hold the file.
        """
        self.refresh()
        if self._database.path is None and self.directory.is_dir():
            raise StateError(
                f"the index of {self.directory} is in memory only, since neither the store nor the "
                "cache can be written; set XDG_CACHE_HOME to a folder that can"
            )
        return self._database.path or self.directory / INDEX

    def note(self, path: str | os.PathLike[str]) -> None:
        """Take in a run that this process has begun, changed or ended.

        A hint that costs a fraction of a millisecond: what goes wrong with it is ignored, and a
        later question finds the run by itself.

        Parameters
        ----------
        path : path
            The run directory, in this store.
        """
        folder = Path(path).name
        with contextlib.suppress(HoldfastError, OSError, sqlite3.Error):
            inode = os.stat(self.directory / folder).st_ino
            self._database.run(
                lambda connection: take_in(
                    connection, self.directory, [(folder, inode)], noted=True
                )
            )

    def refresh(self, *, full: bool = False) -> None:
        """Take in what has changed on disk.

        Parameters
        ----------
        full : bool
            Look at the files of every run; without, those of complete runs are taken to be as they
            were.
        """
        self._asked(lambda _: None, full=full)

    def rebuild(self) -> None:
        """Throw the index away, and build it anew from the run directories."""
        self._database.rebuild()

    def close(self) -> None:
        """Let go of the file; further questions open it again."""
        self._kept = None
        self._database.close()

    # Questions

    def find(self, where: str | None = None, /, **filters: Any) -> list[Path]:
        """Return the directories of the runs that satisfy an expression and filters, oldest first.

        Runs whose metadata cannot be read are left out with a warning that names them, unless the
        question is about the ``state``.

        Parameters
        ----------
        where : str, optional
            An expression such as ``"dt < 0.1 and state == 'complete'"``; see `holdfast.query`.
        **filters : Any
            Values by column, with operators after two underscores: ``dt__lt=0.1``,
            ``solver__order=2`` (the parameter ``solver.order``), ``group="lab/*"``.

        Raises
        ------
        InvalidInputError
            If it cannot be understood, or asks for a column that no run has.
        """

        def answer(connection: sqlite3.Connection) -> list[str]:
            chosen, asked = condition(connection, where, filters)
            unreadable = not asked.isdisjoint({"state", "problem", "run.state", "run.problem"})
            found = folders_of(connection, chosen, unreadable=unreadable)
            if self._brought_up(connection, found):
                chosen, asked = condition(connection, where, filters)
                found = folders_of(connection, chosen, unreadable=unreadable)
            return [folder for folder, _ in found]

        return [self.directory / folder for folder in self._asked(answer, warn=True)]

    def table(self, where: str | None = None, /, **filters: Any) -> Table:
        """Return the runs that satisfy an expression and filters, as `find` does, as a `Table`.

        Its columns are ``run_id``, ``task``, ``state``, parameters, metrics, ``status``, ``group``,
        ``replicate``, ``seed``, ``drawn_seed``, ``started``, ``finished``, ``runtime`` (seconds),
        ``reason`` and ``directory``. A parameter that is called like one of ours has the column
        ``params.<name>``, a metric called like another column ``metrics.<name>``. Damaged runs are
        in it, with a warning that names them.
        """

        def answer(connection: sqlite3.Connection) -> Table:
            chosen, _ = condition(connection, where, filters)
            if self._brought_up(connection, folders_of_few(connection, chosen)):
                chosen, _ = condition(connection, where, filters)
            return Table.of_columns(self._columns(connection, chosen), self.directory.name)

        return self._asked(answer, warn=True)

    def sql(self, query: str) -> Table:
        """Return the answer to a query in SQL, which cannot change anything.

        Parameters
        ----------
        query : str
            One statement about the tables that ``docs/index.md`` describes.

        Raises
        ------
        InvalidInputError
            If it cannot be understood, or would do more than read.
        """
        return self._asked(lambda connection: query_table(self._database.path or connection, query))

    def to_dataframe(self) -> Any:
        """Return all runs as a pandas ``DataFrame``."""
        return self.table().to_dataframe()

    def to_arrow(self) -> Any:
        """Return all runs as a pyarrow ``Table``."""
        return self.table().to_arrow()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Give all runs to any library that speaks the Arrow PyCapsule interface."""
        return self.table().__arrow_c_stream__(requested_schema)

    @property
    def problems(self) -> dict[str, str]:
        """What is wrong with runs, by folder: damaged files, doubled identities."""
        return self._asked(problems_of)

    def __repr__(self) -> str:
        return f"Index({str(self.directory)!r})"

    # Within

    def _asked(
        self,
        answer: Callable[[sqlite3.Connection], Result],
        *,
        full: bool = False,
        warn: bool = False,
    ) -> Result:
        """Answer from an index that is up to date, and name damaged runs if told to."""

        def work(connection: sqlite3.Connection) -> tuple[Result, dict[str, str]]:
            if self.directory.is_dir():
                refresh(connection, self.directory, full=full)
            found = answer(connection)
            return found, problems_of(connection) if warn else {}

        found, problems = self._database.run(work)
        new = {folder: told for folder, told in problems.items() if self._named.get(folder) != told}
        self._named |= new
        warn_of(new, stacklevel=4)
        return found

    def _columns(self, connection: sqlite3.Connection, chosen: Sql) -> Mapping[str, Sequence[Any]]:
        """Return the columns of a table, those of the last one if nothing has changed since."""
        # Asked before the rows are read: a change in between shows the next time.
        (others,) = connection.execute("PRAGMA data_version").fetchone()
        version = (connection, connection.total_changes, others, chosen)
        kept = self._kept
        if kept is None or kept[0] != version:
            kept = self._kept = version, columns_of(connection, chosen, str(self.directory))
        return kept[1]

    def _brought_up(self, connection: sqlite3.Connection, found: list[tuple[str, str]]) -> bool:
        """Read the runs of a small answer whose files have changed; tell whether there are any."""
        if len(found) > CHECKED_AT_MOST:
            return False
        changed = stale(self.directory, found)
        take_in(connection, self.directory, [(folder, None) for folder in changed])
        return bool(changed)


def problems_of(connection: sqlite3.Connection) -> dict[str, str]:
    """Return what is wrong with runs, by folder."""
    query = "SELECT folder, problem FROM runs WHERE problem IS NOT NULL ORDER BY folder"
    return dict(connection.execute(query).fetchall())


def folders_of_few(connection: sqlite3.Connection, chosen: Sql) -> list[tuple[str, str]]:
    """Return what is to be checked of a table: nothing, if there are too many."""
    found = folders_of(connection, chosen, unreadable=True, most=CHECKED_AT_MOST + 1)
    return found if len(found) <= CHECKED_AT_MOST else []


def table_of_paths(paths: Iterable[Path], where: str) -> Table:
    """Return the table of the runs, of any folders, that satisfy an expression.

    Raises
    ------
    InvalidInputError
        If the expression cannot be read or asks for a column that no run has.
    """
    with contextlib.closing(connect(":memory:")) as connection:
        fill_from(connection, paths)
        chosen, _ = condition(connection, where, {})
        warn_of(problems_of(connection), stacklevel=3)
        return Table.of_columns(columns_of(connection, chosen, ""), "runs")


def warn_of(problems: Mapping[str, str], stacklevel: int) -> None:
    """Name damaged runs."""
    for folder, problem in problems.items():
        warnings.warn(
            f"run {folder} is left out or incomplete: {problem}",
            HoldfastWarning,
            stacklevel=stacklevel + 1,
        )
