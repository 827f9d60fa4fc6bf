"""Folders that hold runs, whether they are stores or not, asked the same questions."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.store._claims import CLAIMS

if TYPE_CHECKING:
    from holdfast.tables import Table

_MARKS = ("index.sqlite", "store.json", CLAIMS)


def is_store(folder: Path) -> bool:
    """Whether a folder is a store: one that runs were launched in, or that has an index."""
    return any(os.path.exists(folder / name) for name in _MARKS)


def table_of_runs(paths: Iterable[Path], where: str) -> "Table":
    """Return the table of the runs, of any folders, that satisfy an expression.

    Its columns are those of `Store.table`, the directory as it was given. Nothing is written.

    Raises
    ------
    InvalidInputError
        If the expression cannot be read or asks for a column that no run has.
    """
    from holdfast.store._index import table_of_paths  # loads sqlite3

    return table_of_paths(paths, where)
