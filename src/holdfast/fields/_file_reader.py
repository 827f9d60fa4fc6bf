"""`FileReader`: the fields of an HDF5 file in py-pde's layout, live or not.

Two datasets hold one row for each field, ``data`` and ``times``; attributes of the file hold JSON.
The two are written one after the other, so that a field is there when both have its row.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast._plain import from_plain, to_plain
from holdfast.errors import FormatError, InvalidInputError, MissingFileError
from holdfast.fields._forms import Array
from holdfast.fields._hooks import Stored
from holdfast.hdf5 import AppendReader, Box

DATA, TIMES, LENGTH = "data", "times", "data_length"
"""``data_length`` is how many rows count, where py-pde has made the datasets longer beforehand."""


class FileReader:
    """Reads fields from a file, whether it is being written or not.

    Parameters
    ----------
    path : Path
        The file; it need not be there yet.

    Attributes
    ----------
    known : int
        How many fields the last look found.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader: AppendReader | None = None
        self._found: AppendReader | None = None
        self._inode: int | None = None
        self.known = 0

    def refresh(self) -> bool:
        """Look again; tell whether the file is another one than before.

        Raises
        ------
        FormatError
            If it is no HDF5 file, or one without fields.
        """
        inode = _inode(self._path)
        replaced = self._inode not in (None, inode)
        self._inode = inode
        if self._reader is None or replaced:
            try:
                self._reader = AppendReader(self._path)
            except MissingFileError:
                self._reader = None
        else:
            self._reader.refresh()
        self._found = self._with_fields(self._reader)
        self.known = 0 if self._found is None else self._length(self._found)
        return replaced

    def _with_fields(self, reader: AppendReader | None) -> AppendReader | None:
        """Return the reader if there are fields, or are to be."""
        if reader is None:
            return None
        missing = {DATA, TIMES} - set(reader.names)
        if not missing:
            return reader
        if len(missing) == 2 and reader.names:
            raise FormatError(
                f"{self._path} holds no fields: it has the datasets {', '.join(reader.names)}, and "
                "neither data nor times; open it with h5py or StreamsReader"
            )
        return None

    def _length(self, reader: AppendReader) -> int:
        rows = min(reader.length(DATA), reader.length(TIMES))
        known = self._known_length(reader)
        return rows if known is None else min(rows, known)

    @property
    def counts_rows(self) -> bool:
        """Whether the file says how many rows count."""
        return self._found is not None and self._known_length(self._found) is not None

    def _known_length(self, reader: AppendReader) -> int | None:
        known = _decoded(reader.attributes().get(LENGTH))
        return known if isinstance(known, int) else None

    @property
    def live(self) -> bool:
        """Whether a process has the file open for writing."""
        return self._reader is not None and self._reader.live

    def times(self) -> npt.NDArray[np.float64]:
        """Return the times of all fields of the last look."""
        reader = self._found
        if reader is None:
            return np.empty(0)
        return np.asarray(reader.read(TIMES, 0, self.known), np.float64)

    def data(self, start: int, stop: int) -> Array:
        """Return the values of fields by number."""
        reader = self._found
        if reader is None:
            raise MissingFileError(f"{self._path} is not there any more")
        return reader.read(DATA, start, stop)

    def box(self, start: int, stop: int, box: Box) -> Array:
        """Return a box of the values of fields by number: see `AppendReader.read_box`."""
        reader = self._found
        if reader is None:
            raise MissingFileError(f"{self._path} is not there any more")
        return reader.read_box(DATA, start, stop, box)

    def stored(self) -> Stored | None:
        """Return what is known of the fields; None where there are none."""
        reader = self._found
        if reader is None:
            return None
        kind = reader.kind(DATA)
        info = {key: _decoded(value) for key, value in reader.attributes().items()}
        info.pop(LENGTH, None)
        return Stored(info, kind.shape, kind.dtype)

    def forget(self) -> None:
        """Look at the file anew next time."""
        self._reader = self._found = self._inode = None
        self.known = 0


def _inode(path: Path) -> int | None:
    try:
        return os.stat(path).st_ino
    except (FileNotFoundError, NotADirectoryError):
        return None


def encoded(value: Any) -> str:
    """Return plain data as the JSON text of an attribute."""
    return json.dumps(value)


def _decoded(value: Any) -> Any:
    """Return what an attribute holds; text that is no JSON, and numbers, as they are."""
    if isinstance(value, str | bytes):
        try:
            return from_plain(json.loads(value))
        except ValueError:
            return value if isinstance(value, str) else value.decode(errors="replace")
    try:
        return to_plain(value, "attribute")
    except InvalidInputError:
        return str(value)
