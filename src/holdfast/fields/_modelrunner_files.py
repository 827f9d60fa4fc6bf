"""py-modelrunner's storages, which only this file imports, read without what they would run.

py-modelrunner loads pickles that it meets: in attributes, in arrays of objects, for dtypes in text
files. Here everything is looked at before py-modelrunner does, and what cannot be known to be
harmless is refused unless `trust` is given.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from holdfast.errors import (
    FormatError,
    HoldfastError,
    InvalidInputError,
    MissingDependencyError,
    MissingFileError,
)
from holdfast.fields._forms import Array
from holdfast.fields._harmless import PICKLED, harmless, refuse_pickle, without_pickles

_TEXT = (".json", ".yaml", ".yml")
_ENDINGS = (".hdf5", ".h5", ".hdf", ".zarr", ".zip", *_TEXT, "")
_INTERNAL = "__"
"""How names of attributes begin that py-modelrunner keeps for itself."""


@dataclass(slots=True)
class Held:
    """What is in a storage of py-modelrunner.

    Attributes
    ----------
    group : modelrunner StorageGroup
        The storage.
    where : str
        What messages call it.
    trust : bool
        Whether pickles in it may be loaded.
    """

    group: Any
    where: str
    trust: bool

    def has(self, *loc: str) -> bool:
        """Tell whether there is something of a name."""
        with self._understood():
            self._refuse_links(loc)
            return list(loc) in self.group

    def names(self) -> list[str]:
        """Return what there is."""
        with self._understood():
            return list(self.group.keys())

    def attributes(self, *loc: str) -> dict[str, Any]:
        """Return the attributes of a place.

        Raises
        ------
        InvalidInputError
            If there is a pickle, and `trust` was not given.
        FormatError
            If they are damaged.
        """
        with self._understood():
            if self.trust:
                return dict(self.group.read_attrs(list(loc)))
            return {
                name: json.loads(text, object_hook=self._hook(f"attribute {name!r}"))
                for name, text in self._raw_attributes(loc).items()
                if not name.startswith(_INTERNAL)
            }

    def _hook(self, what: str) -> Callable[[dict[str, Any]], Any]:
        return lambda made: without_pickles(made, f"{self.where}: {what}")

    def array(self, *loc: str, rows: range | None = None) -> Array:
        """Return an array, or some of its rows.

        Raises
        ------
        InvalidInputError
            If it holds pickles, and `trust` was not given, or links out of the file.
        FormatError
            If it is damaged.
        """
        self.check(*loc)
        with self._understood():
            if rows is None:
                return np.asarray(self.group.read_array(list(loc)))
            return np.stack([self.group.read_array(list(loc), index=row) for row in rows])

    def check(self, *loc: str) -> None:
        """Refuse an array that could not be read, or added to, without running what it holds.

        Raises
        ------
        InvalidInputError
            If it holds pickles, and `trust` was not given, or links out of the file.
        """
        with self._understood():
            self._refuse_links(loc)
            found = self._item(loc)
            if getattr(found, "external", None) or getattr(found, "is_virtual", False):
                self._refuse_link("/".join(loc))
            if not self.trust:
                name = f"{self.where}: the array {'/'.join(loc)!r}"
                _refuse_pickles(found, self._raw_attributes(loc), name)

    def _refuse_links(self, loc: tuple[str, ...]) -> None:
        node: Any = getattr(self.group._storage, "_file", None)  # noqa: SLF001 - HDF5 only
        for name in self._parts(loc) if node is not None else ():
            if name not in node.keys():  # noqa: SIM118 - `in` would follow the link
                return
            if type(node.get(name, getlink=True)).__name__ != "HardLink":
                self._refuse_link(name)
            node = node[name]

    def _refuse_link(self, name: str) -> NoReturn:
        raise InvalidInputError(
            f"{self.where}: {name!r} is a link, which is not followed; copy what it leads to there"
        )

    def _parts(self, loc: tuple[str, ...]) -> list[str]:
        parts: list[str] = self.group._get_loc(list(loc))  # noqa: SLF001 - it has no public name
        return parts

    def _item(self, loc: tuple[str, ...]) -> Any:
        return self.group._storage[self._parts(loc)]  # noqa: SLF001 - undecoded, as it stands there

    def _raw_attributes(self, loc: tuple[str, ...]) -> dict[str, Any]:
        storage = self.group._storage  # noqa: SLF001 - undecoded, as they stand there
        return dict(storage._read_attrs(self._parts(loc)))  # noqa: SLF001 - as above

    def _understood(self) -> contextlib.AbstractContextManager[None]:
        return _understood(self.where)

    def close(self) -> None:
        """Write what waits, and let go of the file."""
        self.group._storage.close()  # noqa: SLF001 - the group of a storage has no close


def _refuse_pickles(array: Any, attributes: dict[str, Any], name: str) -> None:
    if isinstance(array, dict):  # of a text file
        harmless(array["dtype"], name)
        return
    coded = any("pickle" in repr(codec).lower() for codec in _codecs(array))
    if attributes.get(PICKLED) or array.dtype.kind == "O" or coded:
        refuse_pickle(name)


def _codecs(array: Any) -> list[Any]:
    """Return what decodes a Zarr array; nothing of others."""
    metadata = getattr(array, "metadata", None)
    return [getattr(metadata, name, None) for name in ("filters", "compressor", "codecs")]


def open_file(path: Path, mode: str, *, trust: bool) -> Held:
    """Open a file or folder of py-modelrunner.

    Raises
    ------
    MissingFileError
        If it is not there.
    InvalidInputError
        If its ending cannot be, or it holds a pickle and `trust` is not given.
    FormatError
        If it is damaged.
    """
    ending = path.suffix.lower()
    if ending not in _ENDINGS:
        raise InvalidInputError(
            f"{path}: py-modelrunner does not keep arrays in {ending}; end the name in .hdf5, "
            ".zarr or .json"
        )
    if mode == "read" and not path.exists():
        raise MissingFileError(f"there is no modelrunner storage {path}; check the name")
    storages = import_modelrunner().storage
    with _understood(str(path)):
        if ending in _TEXT:
            made = _text_storage(path, mode, trust=trust)
        else:
            made = storages.open_storage(path, mode=mode)._storage  # noqa: SLF001 - to look into it
        return Held(storages.StorageGroup(made), str(path), trust)


def _text_storage(path: Path, mode: str, *, trust: bool) -> Any:
    """Open a storage in text: read without pickles, written as lists of numbers."""
    storages = import_modelrunner().storage
    is_json = path.suffix.lower() == ".json"
    base: Any = storages.JSONStorage if is_json else storages.YAMLStorage

    class Text(base):  # type: ignore[misc] # py-modelrunner has no types
        def _read_data_from_fp(self, fp: Any) -> Any:
            if trust or not is_json:
                return super()._read_data_from_fp(fp)
            return json.load(fp, object_hook=lambda made: without_pickles(made, str(path)))

        def _write_data_to_fp(self, fp: Any, data: Any) -> None:
            # Its own forms of large arrays are pickles in JSON, and not read back from YAML.
            super()._write_data_to_fp(fp, _as_lists(data))

    return Text(path, mode=mode)


def _as_lists(data: Any) -> Any:
    if isinstance(data, dict):
        return {name: _as_lists(value) for name, value in data.items()}
    if isinstance(data, list):
        return [_as_lists(value) for value in data]
    return data.tolist() if isinstance(data, np.ndarray) else data


@contextlib.contextmanager
def _understood(where: str) -> Iterator[None]:
    """Say of what is damaged that it is."""
    try:
        yield
    except HoldfastError:
        raise
    except _damaged() as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise FormatError(
            f"{where} is damaged, or no modelrunner storage: {error}; restore it from a copy"
        ) from None


def _damaged() -> tuple[type[Exception], ...]:
    """Return what the packages raise that read files."""
    from zipfile import BadZipFile

    from yaml import YAMLError

    python = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
    return (*python, OSError, BadZipFile, YAMLError)


def import_modelrunner() -> Any:
    """Return py-modelrunner.

    Raises
    ------
    MissingDependencyError
        If it is not installed.
    """
    try:
        import modelrunner
    except ImportError:
        raise MissingDependencyError(
            "ModelrunnerStorage needs py-modelrunner; install it with: pip install py-modelrunner"
        ) from None
    return modelrunner
