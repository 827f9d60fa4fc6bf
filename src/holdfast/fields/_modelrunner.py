"""`ModelrunnerStorage`: fields over time kept by py-modelrunner, which only this file imports."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast._atomic import temporary_beside
from holdfast._names import listing, nearest, safe_component
from holdfast._sync import fsync_path
from holdfast.errors import (
    FormatError,
    InvalidInputError,
    MissingDependencyError,
    MissingFileError,
    NotFoundError,
    StateError,
)
from holdfast.fields._base import StorageBase, WriteMode
from holdfast.fields._exit import closed_at_exit, no_longer_open
from holdfast.fields._forms import Array, Layout
from holdfast.fields._hooks import Stored

DEFAULT_FOLDER = "modelrunner"
"""Where `upload` keeps runs when no folder is named."""

ENDING = ".hdf5"
_NOT_OPENED = (".sqldb", ".lmdb")
_TAGS = "tags"
_DATA, _TIME, _KIND = "data", "time", "item_type"


class ModelrunnerStorage(StorageBase):
    """Keeps fields over time as a trajectory of py-modelrunner, or as runs in a folder of such.

    Parameters
    ----------
    storage : path or modelrunner StorageGroup, optional
        Where the trajectory is: a file (``.hdf5``, ``.h5``, ``.hdf``, ``.zarr``, ``.zip``,
        ``.json``, ``.yaml``, ``.yml``; a folder without an ending is a Zarr store) or an open
        storage.
        Without it, `upload` and `download` keep runs in a folder.
    loc : str
        Name of the trajectory in the storage.
    info : mapping, optional
        Plain values to keep with the fields.
    write_mode : str
        As `StorageBase` takes it. What is in an open storage, or in a file with other things,
        cannot be removed, so that truncating is refused there.
    allow_backwards : bool
        Whether a field may be earlier than the one before it.
    folder : path, optional
        Where runs are kept; ``modelrunner`` in the current folder if left out.

    Raises
    ------
    InvalidInputError
        If an option cannot be.
    MissingDependencyError
        If py-modelrunner is not installed.

    Notes
    -----
    Fields are in the file when writing has ended: py-modelrunner keeps nothing for a killed
    process. Where that matters, write a `FileStorage` and `upload` it.

    py-modelrunner loads pickles that it finds in a file's attributes: open only files you trust.
    """

    def __init__(
        self,
        storage: Any = None,
        *,
        loc: str = "trajectory",
        info: Mapping[str, Any] | None = None,
        write_mode: WriteMode = "truncate_once",
        allow_backwards: bool = False,
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(info=info, write_mode=write_mode, allow_backwards=allow_backwards)
        _module()
        is_path = isinstance(storage, str | os.PathLike)
        self._path = Path(os.path.abspath(storage)) if is_path else None
        self._group = None if is_path else storage
        self._folder = Path(os.path.abspath(DEFAULT_FOLDER if folder is None else folder))
        self._loc = loc
        self._open: Any = None
        self._writer: Any = None

    # Runs

    def upload(self, data: Any, *, tags: Iterable[str] | None = None) -> str:
        """Keep a field, or several over time, as a run.

        Parameters
        ----------
        data : field, storage or sequence of fields
            What to keep.
        tags : sequence of str, optional
            Words by which `runs` finds it.

        Returns
        -------
        str
            The run id that `download` takes.

        Raises
        ------
        InvalidInputError
            If there is no field.
        OSError
            If the disk is full; there is no run then.
        """
        words = [tags] if isinstance(tags, str) else [str(tag) for tag in tags or ()]
        run_id = os.urandom(6).hex()
        self._folder.mkdir(parents=True, exist_ok=True)
        target = self._folder / f"{run_id}{ENDING}"
        temporary = temporary_beside(target).with_suffix(ENDING)
        try:
            with ModelrunnerStorage(temporary, info={**self._info, _TAGS: words}) as run:
                for time, field in _pairs(data):
                    run.append(field, time)
                empty = not len(run)
            if empty:
                raise InvalidInputError("upload takes at least one field; this is an empty storage")
            fsync_path(temporary)
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        return run_id

    def download(self, run_id: str, index: int | None = None) -> Any:
        """Return a field of a run: the one with a number, or the last.

        Raises
        ------
        NotFoundError
            If there is no such run.
        IndexError
            If it has no such field.
        """
        with self.run(run_id) as run:
            return run[-1 if index is None else index]

    def run(self, run_id: str) -> "ModelrunnerStorage":
        """Return a whole run, for reading.

        Raises
        ------
        NotFoundError
            If there is no such run.
        """
        safe_component(run_id, "run id", suffix=ENDING)
        path = self._folder / f"{run_id}{ENDING}"
        if not path.is_file():
            known = self._run_ids()
            raise NotFoundError(
                f"{self._folder} has no run {run_id!r}; it holds {listing(known)}"
                f"{nearest(run_id, known)}"
            )
        return ModelrunnerStorage(path, write_mode="readonly")

    def runs(self, tag: str | None = None) -> list[str]:
        """Return the ids of runs, sorted: all, or those with a tag."""
        return [name for name in self._run_ids() if tag is None or tag in self._tags_of(name)]

    def _run_ids(self) -> list[str]:
        return sorted(path.stem for path in self._folder.glob(f"[!.]*{ENDING}"))

    def _tags_of(self, run_id: str) -> list[str]:
        with self.run(run_id) as run:
            return list(run.info.get(_TAGS, []))

    # What the contract asks for

    def _where(self) -> str:
        return repr(str(self._path or self._group or self._folder))

    def _reading(self) -> Any:
        """Return the open storage; None where there is none yet."""
        if self._group is not None:
            return self._group
        if self._open is None and self._path is not None and self._path.exists():
            self._open = _opened(self._path, "read")
        return self._open

    def _holds(self, storage: Any) -> bool:
        if storage is None or self._loc not in storage:
            return False
        return _DATA in storage.open_group(self._loc)

    def _stored(self) -> Stored | None:
        storage = self._reading()
        if not self._holds(storage):
            return None
        attributes = dict(storage.read_attrs(self._loc))
        if attributes.pop(_KIND, "array") != "array":
            raise FormatError(f"{self!r} holds Python objects, not arrays; read it by modelrunner")
        values = storage.read_array([self._loc, _DATA], index=0)
        return Stored(attributes, values.shape, values.dtype)

    def _begin(self, layout: Layout, *, truncate: bool) -> None:  # noqa: ARG002 - the first field tells
        if self._path is None and self._group is None:
            raise StateError("name a storage to write a trajectory; without one, use upload()")
        held = self._holds(self._reading())
        mode = "full"
        if truncate and held:
            if self._group is not None or self._others():
                raise StateError(
                    f"{self!r} holds a trajectory at {self._loc!r}, which modelrunner cannot "
                    "remove; choose another loc, or write_mode='append'"
                )
            mode = "truncate"
        self._let_go()
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._open = _opened(self._path, mode)
        storage = self._reading()
        self._writer = _module().storage.TrajectoryWriter(
            storage, self._loc, attrs=self._info, mode=None
        )
        closed_at_exit(self)

    def _append_data(self, data: Array, time: float) -> None:
        self._writer.append(np.ascontiguousarray(data), time)

    def _end(self) -> None:
        if self._writer is not None:
            self._reading().write_attrs(self._loc, self._info)
            self._writer = None
        self._let_go()
        no_longer_open(self)

    def _let_go(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def close(self) -> None:
        """End writing, and let go of the file."""
        super().close()
        self._let_go()

    def _erase(self) -> None:
        if self._group is not None or (self._path is not None and self._others()):
            raise StateError(
                f"{self!r} cannot be cleared: modelrunner removes nothing; choose another loc"
            )
        writing, self._writer = self._writer is not None, None
        self._let_go()
        if self._path is not None and self._path.exists():
            _opened(self._path, "truncate").close()
        if writing and self._layout is not None:
            self._begin(self._layout, truncate=False)

    def _others(self) -> bool:
        storage = self._reading()
        return storage is not None and any(
            name != self._loc
            for name in storage.keys()  # noqa: SIM118 - iterating gives what is held
        )

    def _read_times(self) -> npt.NDArray[np.float64]:
        storage = self._reading()
        if not self._holds(storage):
            return np.empty(0)
        return np.asarray(storage.read_array([self._loc, _TIME]), np.float64)

    def _read_data(self, start: int, stop: int) -> Array:
        storage = self._reading()
        frames = [storage.read_array([self._loc, _DATA], index=row) for row in range(start, stop)]
        return np.stack(frames) if frames else self._nothing()


def _pairs(data: Any) -> Iterable[tuple[float | None, Any]]:
    if isinstance(data, StorageBase):
        return data.items
    if isinstance(data, list | tuple):
        return [(None, field) for field in data]
    return [(None, data)]


def _opened(path: Path, mode: str) -> Any:
    if path.suffix.lower() in _NOT_OPENED:
        raise InvalidInputError(
            f"{path}: py-modelrunner takes this ending and does not open it with Zarr 3; end the "
            "name in .hdf5, .zarr or .json"
        )
    try:
        return _module().storage.open_storage(path, mode=mode)
    except FileNotFoundError:
        raise MissingFileError(f"there is no modelrunner storage {path}; check the name") from None
    except TypeError as error:
        raise InvalidInputError(f"{path}: {error}; end the name in .hdf5, .zarr or .json") from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise FormatError(f"{path} is no modelrunner storage: {error}") from None


def _module() -> Any:
    try:
        import modelrunner
    except ImportError:
        raise MissingDependencyError(
            "ModelrunnerStorage needs py-modelrunner; install it with: pip install py-modelrunner"
        ) from None
    return modelrunner
