"""`LogReader`, which reads a run, live or ended, and never writes."""

import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from holdfast._names import inside, listing, nearest, safe_name
from holdfast._plain import load_json
from holdfast.errors import (
    FormatError,
    HoldfastError,
    HoldfastWarning,
    InvalidInputError,
    MissingFileError,
    NotFoundError,
)
from holdfast.journal import is_empty
from holdfast.records import Records, record_file
from holdfast.run._arrays import Array, load_npy, load_npz, npz_members
from holdfast.run._files import entries, files
from holdfast.run._layout import (
    ARTIFACTS,
    ATTEMPTS,
    DATA,
    LOG,
    METADATA,
    PLOTS,
    RECORDS,
    STREAMS,
    run_id_of,
)
from holdfast.run._log import LogLine, follow_log, read_log
from holdfast.run._messages import MessageReading
from holdfast.run._metadata import State, read_metadata, state_of
from holdfast.run._params import load_params
from holdfast.run._pickles import unpickle
from holdfast.run._summary import glance, summary_html, summary_text
from holdfast.run._trajectories import read_trajectory, trajectories

if TYPE_CHECKING:
    from holdfast.fields import FileStorage
    from holdfast.streams import Stream, StreamsReader


class LogReader(MessageReading):
    """Reads one run directory.

    Parameters
    ----------
    path : path
        The run directory. It may be on read-only media, and its run may still be going on; every
        property shows what is there when it is asked for.

    Raises
    ------
    MissingFileError
        If there is no such directory.
    FormatError
        If it is not a run: it holds no ``metadata.json``.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()  # so that a later change of folder does not matter
        if not self.path.is_dir():
            raise MissingFileError(f"there is no run directory {self.path}; check the path")
        if not (self.path / METADATA).is_file():
            raise FormatError(
                f"{self.path} is not a run directory: it has no {METADATA}; pass the folder of one "
                "run (log_<run_id>)"
            )

    # What the run says of itself

    @property
    def run_id(self) -> str:
        """The run id; where metadata cannot be read, what the folder's name tells."""
        try:
            return str(self.meta.get("run_id", run_id_of(self.path)))
        except (HoldfastError, OSError):
            return run_id_of(self.path)

    @property
    def meta(self) -> dict[str, Any]:
        """What ``metadata.json`` holds.

        Raises
        ------
        FormatError
            If the file is damaged.
        """
        return read_metadata(self.path)

    @property
    def status(self) -> str:
        """The status as written: initialized, complete or failed."""
        return str(self.meta["status"])

    @property
    def state(self) -> State:
        """What became of the run: running, interrupted, complete or failed.

        An initialized run is running if its process lives, or, where that cannot be seen from here,
        if its heartbeat is fresh; otherwise it was interrupted.
        """
        return state_of(self.path, self.meta)

    @property
    def params(self) -> dict[str, Any]:
        """The parameters, ``{}`` if none were saved."""
        return load_params(self.path)

    def load_params(self) -> dict[str, Any]:
        """Return the parameters, as `params` does."""
        return self.params

    @property
    def attempts(self) -> "list[LogReader]":
        """Earlier attempts at this run, oldest first."""
        numbers = [int(e) for e in entries(self.path / ATTEMPTS) if e.isdigit()]
        paths = [self.path / ATTEMPTS / str(number) for number in sorted(numbers)]
        return [LogReader(path) for path in paths if (path / METADATA).is_file()]

    # What it holds

    @property
    def arrays(self) -> list[str]:
        """Names of all arrays, sorted; a member of a bundle is ``"bundle:key"``.

        A damaged bundle is left out with a `HoldfastWarning`.
        """
        names = []
        for name in files(self.path / DATA):
            if name.endswith(".npy"):
                names.append(name.removesuffix(".npy"))
            elif name.endswith(".npz"):
                names += self._members(name.removesuffix(".npz"))
        return sorted(names)

    def _members(self, bundle: str) -> list[str]:
        try:
            members = npz_members(inside(self.path, f"{DATA}/{bundle}.npz"))
        except (FormatError, InvalidInputError) as error:  # one bad file does not hide the others
            warnings.warn(f"left out of the arrays: {error}", HoldfastWarning, stacklevel=4)
            return []
        return [f"{bundle}:{key}" for key in members]

    @property
    def artifacts(self) -> list[str]:
        """Names of all JSON artifacts, sorted, without their ending."""
        return [n.removesuffix(".json") for n in self.artifact_files if n.endswith(".json")]

    @property
    def artifact_files(self) -> list[str]:
        """Names of all artifacts of every kind, sorted, with their endings."""
        return sorted(files(self.path / ARTIFACTS))

    @property
    def plots(self) -> list[str]:
        """File names of all plots, sorted."""
        return sorted(files(self.path / PLOTS))

    @property
    def streams(self) -> list[str]:
        """Names of all streams, sorted."""
        return list(self._streams()) if self._has_streams() else []

    def stream(self, name: str) -> "Stream":
        """Return a stream, which follows its writer while the run is live.

        Raises
        ------
        NotFoundError
            If there is none of this name.
        FormatError
            If the file of the streams is damaged.
        """
        if not self._has_streams():
            raise NotFoundError(f"run {self.path} has no stream {name!r}; it holds no streams")
        return self._streams()[name]

    def _streams(self) -> "StreamsReader":
        from holdfast.streams import StreamsReader  # loads h5py

        return StreamsReader(inside(self.path, f"{DATA}/{STREAMS}"))

    def _has_streams(self) -> bool:
        path = self.path / DATA / STREAMS
        return path.exists() or not is_empty(path.with_name(f"{STREAMS}-journal"))

    @property
    def trajectories(self) -> list[str]:
        """Names of all trajectories, sorted."""
        return trajectories(self.path)

    def trajectory(self, name: str) -> "FileStorage":
        """Return fields over time, which follow their writer while the run is live.

        Raises
        ------
        NotFoundError
            If there is none of this name.
        """
        return read_trajectory(self.path, name)

    @property
    def record_scopes(self) -> list[str]:
        """Names of all tables of records, sorted."""
        names = files(self.path / RECORDS)
        return [name.removesuffix(".jsonl") for name in names if name.endswith(".jsonl")]

    def records(self, scope: str = "default") -> Records:
        """Return a table of records, which follows its writer while the run is live.

        Raises
        ------
        MissingFileError
            If there is none of this name.
        """
        path = inside(self.path, f"{RECORDS}/{record_file(scope)}")
        self._require(path, "table of records", scope, lambda: self.record_scopes)
        return Records(path, ended=lambda: self.state != "running")

    def load_array(self, name: str) -> Array:
        """Read an array.

        Parameters
        ----------
        name : str
            As `arrays` lists it: ``"energy"``, ``"states/T_step100"`` or ``"trajectory:x"``.

        Raises
        ------
        MissingFileError
            If there is no such array or bundle.
        NotFoundError
            If the bundle has no such member.
        FormatError
            If the file is damaged.
        """
        path = self._file(DATA, name, ".npy")
        bundle, colon, key = name.rpartition(":")
        if path.is_file() or not colon:
            self._require(path, "array", name, lambda: self.arrays)
            return load_npy(path)
        path = self._file(DATA, bundle, ".npz")
        self._require(path, "bundle", bundle, lambda: self.arrays)
        try:
            return load_npz(path, key)
        except KeyError:
            members = npz_members(path)
            raise NotFoundError(
                f"bundle {bundle!r} in {self.path} has no array {key!r}; it holds "
                f"{listing(members)}{nearest(key, members)}"
            ) from None

    def load_arrays(self, name: str) -> dict[str, Array]:
        """Read all arrays of a bundle, by their names in it.

        Raises
        ------
        MissingFileError
            If there is no such bundle.
        FormatError
            If the file is damaged.
        """
        path = self._file(DATA, name, ".npz")
        self._require(path, "bundle", name, lambda: self.arrays)
        return {key: load_npz(path, key) for key in npz_members(path)}

    def load_json(self, name: str) -> Any:
        """Read a JSON artifact.

        Raises
        ------
        MissingFileError
            If there is none of this name.
        FormatError
            If the file is damaged.
        """
        path = self._artifact(name, ".json")
        return load_json(path.read_bytes(), str(path))

    def load_text(self, name: str) -> str:
        """Read a text artifact.

        Raises
        ------
        MissingFileError
            If there is none of this name.
        """
        return self._artifact(name, ".txt").read_bytes().decode("utf-8", "surrogateescape")

    def load_bytes(self, name: str) -> bytes:
        """Read any artifact as bytes, by its name with its ending.

        Raises
        ------
        MissingFileError
            If there is none of this name.
        """
        return self._artifact(name, "").read_bytes()

    def load_pickle(self, name: str, *, trust: bool = False) -> Any:
        """Read a pickled artifact, which runs code that the file chooses.

        Parameters
        ----------
        name : str
            The name without its ending.
        trust : bool
            Has to be True: say so only for files whose origin you know.

        Raises
        ------
        InvalidInputError
            If `trust` is not given.
        MissingFileError
            If there is none of this name.
        FormatError
            If the file is damaged, or a class it needs cannot be imported.
        """
        return unpickle(self._artifact(name, ".pkl"), trust=trust)

    def load_artifact(self, name: str, *, trust: bool = False) -> Any:
        """Read any artifact by its name with its ending.

        JSON gives its value, ``.txt`` text, ``.pkl`` the object (with `trust`), all else bytes.
        """
        ending = PurePosixPath(name).suffix
        stem = name.removesuffix(ending)
        match ending:
            case ".json":
                return self.load_json(stem)
            case ".txt":
                return self.load_text(stem)
            case ".pkl":
                return self.load_pickle(stem, trust=trust)
        return self.load_bytes(name)

    def log_lines(self) -> list[LogLine]:
        """Return the messages of ``log.txt``."""
        path = inside(self.path, LOG)
        return read_log(path) if path.exists() else []

    def follow_log(self) -> Iterator[LogLine]:
        """Yield the messages of ``log.txt``, those to come included, until the run has ended."""
        return follow_log(inside(self.path, LOG), lambda: self.state != "running")

    def __getitem__(self, relative: str) -> Path:
        """Return the path of a file in the run, which need not exist.

        Raises
        ------
        InvalidInputError
            If it leads out of the run.
        """
        return inside(self.path, safe_name(relative, "path"))

    # How it looks

    def __repr__(self) -> str:
        return glance(self, "LogReader")

    def __str__(self) -> str:
        return summary_text(self)

    def _repr_html_(self) -> str:
        return summary_html(self)

    # Files by name

    def _file(self, folder: str, name: str, ending: str) -> Path:
        return inside(self.path, f"{folder}/{safe_name(name, 'name', suffix=ending)}{ending}")

    def _artifact(self, name: str, ending: str) -> Path:
        path = self._file(ARTIFACTS, name, ending)
        self._require(path, "artifact", name + ending, lambda: self.artifact_files)
        return path

    def _require(
        self, path: Path, kind: str, name: str, known: Callable[[], Iterable[str]]
    ) -> None:
        if not path.is_file():
            there = list(known())
            raise MissingFileError(
                f"run {self.path} has no {kind} {name!r}; it holds {listing(there)}"
                f"{nearest(name, there)}"
            )
