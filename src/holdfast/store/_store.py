"""`Store`, which keeps runs in one folder."""

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.errors import FormatError
from holdfast.run import METADATA
from holdfast.store._claims import CLAIMS, Claims
from holdfast.store._context import top
from holdfast.store._contract import AbstractStore
from holdfast.store._groups import group_of
from holdfast.store._task import identity_in

if TYPE_CHECKING:
    from holdfast.store._index import Index
    from holdfast.store._run import Run
    from holdfast.tables import Table

DEFAULT_DIRECTORY = "./storage"
DEFAULT_GROUP = "%Y_%U_%a"

SCHEMAS = ".schemas"
"""The folder of a store for the schemas of its tasks."""


class Store(AbstractStore):
    """A folder of runs, each in a directory named by its task and its identity.

    In a ``with`` block it is the active store: there `get` looks, and runs launch. Blocks may be
    nested, and each thread has its own.

    Parameters
    ----------
    directory : path
        The folder; made by the first run.
    default_group : str, optional
        The pattern, with ``strftime`` codes, of the group of runs that are given none; None for no
        group.

    Raises
    ------
    InvalidInputError
        If the group's pattern cannot be understood.

    Examples
    --------
    >>> store = Store("./my-storage")
    >>> store
    Store <./my-storage>
    >>> with store:
    ...     Store.get() is store
    True
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] = DEFAULT_DIRECTORY,
        default_group: str | None = DEFAULT_GROUP,
    ) -> None:
        self._shown = os.fspath(directory)
        self.directory = Path(os.path.abspath(directory))
        self.default_group = default_group
        if default_group is not None:
            group_of(default_group)  # refuses what no run could be given
        self._index: Index | None = None
        self._claims = Claims(self.directory / CLAIMS)

    @staticmethod
    def get() -> AbstractStore:
        """Return the active store: of the innermost block of this thread, else ``./storage``."""
        return top() or _default(Path.cwd())

    # What every store does

    def place(self, name: str) -> Path:
        """Return where the run directory of this name is, or would be."""
        return self.directory / name

    def locate(self, name: str) -> Path | None:
        """Return the run directory of this name; None if there is none.

        Raises
        ------
        FormatError
            If there is something of this name that has no metadata.
        """
        path = self.directory / name
        if os.path.isfile(path / METADATA):
            return path
        if not os.path.lexists(path) or _is_empty(path):
            return None
        if os.path.isfile(path / METADATA):  # it came between these looks, and whole
            return path
        raise FormatError(
            f"{path} is no run, or has lost its {METADATA}; restore it from a copy, or move it "
            "away to launch the run anew"
        )

    def runs(self) -> Iterator[Path]:
        """Yield the directories of all runs."""
        try:
            names = os.listdir(self.directory)
        except FileNotFoundError:
            return
        for name in names:
            path = self.directory / name
            if identity_in(name) and os.path.isfile(path / METADATA):
                yield path

    def note(self, path: Path) -> None:
        """Tell the index that a run has begun or ended."""
        self.index.note(path)

    @property
    def claims(self) -> Claims:
        """The claims of the runs of this folder."""
        return self._claims

    @property
    def schemas(self) -> Path:
        """The folder of schemas."""
        return self.directory / SCHEMAS

    # The index

    @property
    def index(self) -> "Index":
        """The SQLite catalogue of the runs, opened when it is first asked for."""
        if self._index is None:
            from holdfast.store._index import Index  # loads sqlite3

            self._index = Index(self.directory)
        return self._index

    @property
    def sqlite_file(self) -> Path:
        """The file of the catalogue, which any SQLite program reads."""
        return self.index.sqlite_file

    def find(self, where: str | None = None, /, **filters: Any) -> "list[Run]":
        """Return the runs that satisfy an expression and filters.

        Parameters
        ----------
        where : str, optional
            An expression such as ``"dt < 0.1 and state == 'complete'"``.
        **filters
            Values by name; ``dt__lt=0.1`` for other comparisons, ``group="lab/*"`` for patterns.

        Raises
        ------
        InvalidInputError
            If the expression cannot be read.
        """
        from holdfast.store._run import Run

        return [Run.from_storage(path) for path in self.index.find(where, **filters)]

    def table(self, where: str | None = None, /, **filters: Any) -> "Table":
        """Return runs as a `Table`: one row each, with parameters and state."""
        return self.index.table(where, **filters)

    def sql(self, query: str) -> "Table":
        """Return what a ``select`` over the catalogue gives; nothing can be written by it.

        Raises
        ------
        InvalidInputError
            If the query is wrong, or writes.
        """
        return self.index.sql(query)

    def to_dataframe(self, where: str | None = None, /, **filters: Any) -> Any:
        """Return runs as a pandas ``DataFrame``.

        Raises
        ------
        MissingDependencyError
            If pandas is not installed.
        """
        return self.table(where, **filters).to_dataframe()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Give the table of all runs to any library that speaks the Arrow PyCapsule interface."""
        return self.table().to_arrow().__arrow_c_stream__(requested_schema)

    def close(self) -> None:
        """Let go of the catalogue; it is opened again when it is needed."""
        index, self._index = self._index, None
        if index is not None:
            index.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__} <{self._shown}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self.directory), self.default_group)


def _is_empty(path: Path) -> bool:
    try:
        return not os.listdir(path)
    except NotADirectoryError:
        return False
    except FileNotFoundError:  # removed meanwhile, unless it is a symlink to nothing
        return not os.path.lexists(path)


@lru_cache(maxsize=8)
def _default(folder: Path) -> Store:
    """Return the store of a current folder, one for all who have it in this process."""
    store = Store(folder / "storage")
    store._shown = DEFAULT_DIRECTORY  # noqa: SLF001 - of this class
    return store
