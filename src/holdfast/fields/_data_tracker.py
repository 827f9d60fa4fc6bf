"""`DataTracker`: feeds a storage, or tabulates what a function says of the fields."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from holdfast._atomic import replacing
from holdfast._sync import Durability
from holdfast.errors import InvalidInputError, MissingDependencyError, StateError
from holdfast.fields._calls import positions
from holdfast.fields._mpi import is_main
from holdfast.fields._trackers import StorageTracker, Tracker

EXTENSIONS = (".csv", ".json", ".pickle", ".xls", ".xlsx")


class DataTracker(Tracker):
    """Feeds a storage at chosen times, or calls a function and keeps what it returns.

    Parameters
    ----------
    func : callable, optional
        Takes a field, or a field and its time, and returns a number, an array or a dictionary.
    interrupts : interrupts
        When; see `parse_interrupts`.
    filename : path, optional
        With a function, where its results are saved at the end, see `to_file`; with a storage, a
        `FileStorage` that is written besides.
    storage : StorageBase, optional
        The storage to feed, instead of a function.
    transformation : callable, optional
        With a storage: takes a field, or a field and its time, and returns what is stored.

    Attributes
    ----------
    times : list of float
        When the function was called.
    data : list
        What it returned.

    Raises
    ------
    InvalidInputError
        If there is neither a function nor a storage, or both, or the file's kind is unknown.
    """

    def __init__(
        self,
        func: Any = None,
        interrupts: Any = 1,
        *,
        filename: str | os.PathLike[str] | None = None,
        storage: Any = None,
        transformation: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__(interrupts)
        if hasattr(func, "start_writing") and storage is None:
            func, storage = None, func
        if (func is None) == (storage is None) or not (func is None or callable(func)):
            raise InvalidInputError("DataTracker takes a function, or storage=")
        self.times: list[float] = []
        self.data: list[Any] = []
        self.filename, self.storage = filename, storage
        self._func = func
        self._positions = 0 if func is None else positions(func, 2, {})
        self._feeding: StorageTracker | None = None
        if storage is not None:
            self._feeding = StorageTracker(
                storage, self.interrupt, transformation=transformation, filename=filename
            )
        elif filename is not None:
            _check_extension(filename)

    def initialize(self, field: Any, info: Mapping[str, Any] | None = None) -> float:
        """Prepare; return the first time to be asked."""
        if self._feeding is None:
            return super().initialize(field, info)
        self._feeding.interrupt = self.interrupt  # a solver may have replaced it by a copy
        return self._feeding.initialize(field, info)

    def handle(self, field: Any, t: float) -> None:
        """Append the field, or call the function."""
        if self._feeding is not None:
            self._feeding.handle(field, t)
            return
        self.data.append(_own(self._func(*(field, t)[: self._positions])))
        self.times.append(t)

    def finalize(self, info: Mapping[str, Any] | None = None) -> None:
        """End writing, or save what the function returned."""
        if self._feeding is not None:
            self._feeding.finalize(info)
        elif self.filename is not None and is_main():
            self.to_file(self.filename)

    @property
    def dataframe(self) -> Any:
        """A ``pandas.DataFrame``: column ``time``, then one a key, item or number.

        Raises
        ------
        MissingDependencyError
            If pandas is not installed.
        StateError
            If the tracker feeds a storage.
        """
        if self._feeding is not None:
            raise StateError("this DataTracker feeds a storage; look there for its fields")
        try:
            import pandas as pd
        except ImportError:
            raise MissingDependencyError(
                "dataframe needs pandas; install it with: pip install 'holdfast[tables]'"
            ) from None
        table = pd.DataFrame(self.data)
        table.insert(0, "time", self.times)
        return table

    def to_file(self, filename: str | os.PathLike[str], **options: Any) -> None:
        """Save times and results; the file is whole or not there.

        Parameters
        ----------
        filename : path
            Its extension says how: ``.csv``, ``.json``, ``.xls``, ``.xlsx`` (by pandas), or
            ``.pickle``, a tuple of times and results.
        **options
            Passed to pandas or pickle.

        Raises
        ------
        InvalidInputError
            If the extension is another.
        MissingDependencyError
            If pandas is not installed.
        """
        extension = _check_extension(filename)
        with replacing(Path(filename), Durability("background")) as file:
            if extension == ".pickle":
                import pickle

                pickle.dump((self.times, self.data), file, **options)
            elif extension == ".csv":
                self.dataframe.to_csv(file, **options)
            elif extension == ".json":
                self.dataframe.to_json(file, **options)
            else:
                self._to_excel(file, options)

    def _to_excel(self, file: Any, options: Mapping[str, Any]) -> None:
        try:
            self.dataframe.to_excel(file, **options)
        except ImportError as error:
            raise MissingDependencyError(
                f"a table for Excel needs another package: {error}; or use .csv"
            ) from None


def _own(result: Any) -> Any:
    """Return a result that does not change with the solver's state, which it may be or show."""
    if isinstance(result, dict):
        return {key: _own(value) for key, value in result.items()}
    if isinstance(result, list):
        return [_own(value) for value in result]
    if type(result) is tuple:
        return tuple(map(_own, result))
    return result.copy() if hasattr(result, "dtype") and hasattr(result, "copy") else result


def _check_extension(filename: str | os.PathLike[str]) -> str:
    extension = Path(filename).suffix.lower()
    if extension not in EXTENSIONS:
        raise InvalidInputError(
            f"{filename} has the extension {extension!r}; use one of {', '.join(EXTENSIONS)}"
        )
    return extension
