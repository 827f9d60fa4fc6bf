"""`ModelrunnerStorage`: fields over time kept by py-modelrunner."""

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
    NotFoundError,
    StateError,
)
from holdfast.fields._base import StorageBase, WriteMode
from holdfast.fields._exit import closed_at_exit, no_longer_open
from holdfast.fields._forms import Array, Layout
from holdfast.fields._hooks import Stored
from holdfast.fields._modelrunner_files import Held, import_modelrunner, open_file

DEFAULT_FOLDER = "modelrunner"
"""Where `upload` keeps runs when no folder is named."""

ENDING = ".hdf5"
_NO_COMPLEX = (".yaml", ".yml")
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
    trust : bool
        Whether pickles in a file may be loaded, which can run any code. Those that hold numbers
        only are read without; what Holdfast writes has no others.

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
        trust: bool = False,
    ) -> None:
        super().__init__(info=info, write_mode=write_mode, allow_backwards=allow_backwards)
        import_modelrunner()
        is_path = isinstance(storage, str | os.PathLike)
        self._path = Path(os.path.abspath(storage)) if is_path else None
        self._given = None if is_path or storage is None else Held(storage, repr(storage), trust)
        self._folder = Path(os.path.abspath(DEFAULT_FOLDER if folder is None else folder))
        self._loc, self._trust = loc, trust
        self._open: Held | None = None
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
        return ModelrunnerStorage(path, write_mode="readonly", trust=self._trust)

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
        return repr(str(self._path or (self._given and self._given.group) or self._folder))

    def _reading(self) -> Held | None:
        """Return the open storage; None where there is none yet."""
        if self._given is not None:
            return self._given
        if self._open is None and self._path is not None and self._path.exists():
            self._open = open_file(self._path, "read", trust=self._trust)
        return self._open

    def _holding(self) -> Held | None:
        """Return the open storage where it has the trajectory."""
        held = self._reading()
        has = held is not None and held.has(self._loc) and held.has(self._loc, _DATA)
        return held if has else None

    def _stored(self) -> Stored | None:
        held = self._holding()
        if held is None:
            return None
        attributes = held.attributes(self._loc)
        if attributes.pop(_KIND, "array") != "array":
            raise FormatError(f"{self!r} holds Python objects, not arrays; read it by modelrunner")
        values = held.array(self._loc, _DATA, rows=range(1))[0]
        return Stored(attributes, values.shape, values.dtype)

    def _begin(self, layout: Layout, *, truncate: bool) -> None:
        if self._path is None and self._given is None:
            raise StateError("name a storage to write a trajectory; without one, use upload()")
        if self._path is not None and self._path.suffix.lower() in _NO_COMPLEX:
            _refuse_complex(self._path, layout)
        there = self._holding()
        mode = "full"
        if truncate and there is not None:
            if self._given is not None or self._others():
                raise StateError(
                    f"{self!r} holds a trajectory at {self._loc!r}, which modelrunner cannot "
                    "remove; choose another loc, or write_mode='append'"
                )
            mode = "truncate"
        self._let_go()
        self._writer = self._writer_in(self._opened(mode))
        closed_at_exit(self)

    def _opened(self, mode: str) -> Held:
        if self._given is not None:
            return self._given
        if self._path is None:
            raise AssertionError
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._open = open_file(self._path, mode, trust=self._trust)
        return self._open

    def _writer_in(self, held: Held) -> Any:
        """Return modelrunner's writer, which reads attributes and dtypes of what is there."""
        if held.has(self._loc) and held.has(self._loc, _DATA):
            held.attributes(self._loc)
            held.check(self._loc, _DATA)
            held.check(self._loc, _TIME)
        made = import_modelrunner().storage.TrajectoryWriter
        return made(held.group, self._loc, attrs=self._info, mode=None)

    def _append_data(self, data: Array, time: float) -> None:
        self._writer.append(np.ascontiguousarray(data), time)

    def _end(self) -> None:
        held = self._reading() if self._writer is not None else None
        if held is not None:
            held.group.write_attrs(self._loc, self._info)
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
        if self._given is not None or (self._path is not None and self._others()):
            raise StateError(
                f"{self!r} cannot be cleared: modelrunner removes nothing; choose another loc"
            )
        writing, self._writer = self._writer is not None, None
        self._let_go()
        if self._path is not None and self._path.exists():
            open_file(self._path, "truncate", trust=self._trust).close()
        if writing and self._layout is not None:
            self._begin(self._layout, truncate=False)

    def _others(self) -> bool:
        held = self._reading()
        return held is not None and any(name != self._loc for name in held.names())

    def _read_times(self) -> npt.NDArray[np.float64]:
        held = self._holding()
        return np.empty(0) if held is None else held.array(self._loc, _TIME).astype(np.float64)

    def _read_data(self, start: int, stop: int) -> Array:
        held = self._holding()
        if held is None or stop <= start:
            return self._nothing()
        return held.array(self._loc, _DATA, rows=range(start, stop))


def _pairs(data: Any) -> Iterable[tuple[float | None, Any]]:
    if isinstance(data, StorageBase):
        return data.items
    if isinstance(data, list | tuple):
        return [(None, field) for field in data]
    return [(None, data)]


def _refuse_complex(path: Path, layout: Layout) -> None:
    if layout.dtype.kind == "c":
        raise InvalidInputError(
            f"{path}: YAML has no complex numbers; end the name in .hdf5, .zarr or .json"
        )
