"""`RecordWriter`, which appends rows to a table, and `Record`, in which one row is gathered."""

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from holdfast._append import AppendedFile
from holdfast._atomic import make_folder
from holdfast._process import ForkGuard
from holdfast._sync import Durability
from holdfast.records._line import check_column, encode, stamp


class RecordWriter:
    """Appends rows to one file, from any thread.

    A row is one ``write`` to a file opened for appending: rows of several threads never mix, and
    what was written outlives the process. The file is made by the first row. A row whose `save` was
    killed before it returned may be there, or not, or (above a page) in part, which readers leave
    out.

    Parameters
    ----------
    path : Path
        The file, ``<folder>/<scope>.jsonl``. One process writes it at a time.
    durability : Durability
        When rows reach the disk itself.
    check : callable
        Called before every row; raises where none may be saved any more.
    """

    def __init__(
        self, path: Path, durability: Durability, check: Callable[[], None] = lambda: None
    ) -> None:
        self._check = check
        self.path = path
        self._where = f"record {path.stem!r}"
        self._durability = durability
        self._durably, self._placed = durability.mode == "always", False
        self._guard = ForkGuard()
        self._file = AppendedFile(path)

    def row(self) -> "Record":
        """Return an empty row to be filled and saved, as often as wanted."""
        return Record(self)

    def save(self, values: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        """Append one row; without any values, nothing.

        Parameters
        ----------
        values : mapping, optional
            Values by column.
        **more : Any
            Likewise.

        Raises
        ------
        InvalidInputError
            If a value has no plain form, or a name is no text or reserved.
        StateError
            In a forked child.
        OSError
            If the disk is full, or fails to keep the row with ``sync="always"``; nothing of the row
            is then in the file, and later rows go on.
        """
        row = {**(values or {}), **more}
        if row:
            for name in row:
                check_column(name)
            self.append(row)

    def append(self, values: Mapping[str, Any]) -> None:
        """Append one row whose names are checked already, as `save` does."""
        self._guard.check(f"the table of records {self.path}")
        self._check()
        line = encode(values, self._where)
        with self._file.lock:
            if not self._file.is_open:
                self._open()
            self._file.append(stamp(line), durably=self._durably)
        if not self._durably:
            self._durability.changed(self.path)

    def close(self) -> None:
        """Close the file; later rows open it anew, each for itself."""
        if self._guard:  # in a forked child the lock may be held by a thread that is not there
            self._file.close()

    def _open(self) -> None:
        folder = self.path.parent
        make_folder(folder, self._durability)
        self._file.open()
        if not self._placed:  # also where a call that failed made the file, or the folder
            self._durability.renamed(folder)
            self._durability.renamed(self.path)
            self._placed = True

    def __repr__(self) -> str:
        return f"RecordWriter({str(self.path)!r})"


class Record(MutableMapping[str, Any]):
    """A row being gathered: a dictionary that `save` appends to its table and then empties.

    What it holds when `save` is called is what is kept: an array that is changed in place between
    assignment and `save` is kept as changed. A row belongs to one thread; others take their own.

    Parameters
    ----------
    writer : RecordWriter
        Where rows go.
    """

    def __init__(self, writer: RecordWriter) -> None:
        self._writer = writer
        self._values: dict[str, Any] = {}

    def save(self, *, force: bool = False) -> None:
        """Append the row with the present time, and empty it for the next.

        Parameters
        ----------
        force : bool
            Append it even if it is empty; otherwise an empty row is skipped.

        Raises
        ------
        InvalidInputError, StateError, OSError
            As `RecordWriter.save` does; the row then keeps its values and can be saved again.
        """
        if self._values or force:
            self._writer.append(self._values)
            self._values.clear()

    def __setitem__(self, name: str, value: Any) -> None:
        check_column(name)
        self._values[name] = value

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __delitem__(self, name: str) -> None:
        del self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Record({self._values!r})"
