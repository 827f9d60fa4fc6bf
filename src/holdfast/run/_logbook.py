"""`Logbook`, which writes a run: parameters, metadata, log, arrays, plots and artifacts."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from holdfast._atomic import make_folder, replacing
from holdfast._names import inside, safe_component, safe_name
from holdfast._plain import dump_json, fields_as_value, fields_to_plain, from_plain
from holdfast._sync import Durability, SyncMode, fsync_path
from holdfast.errors import HoldfastError
from holdfast.run._appends import Appends, Rows
from holdfast.run._ending import Endings
from holdfast.run._environment import git_diff
from holdfast.run._failure import reason_of, require_main_thread, traceback_of
from holdfast.run._layout import ARTIFACTS, DATA, LOG, METADATA, PARAMS, PLOTS, PREFIX, file_of
from holdfast.run._log import LogLine, make_line
from holdfast.run._metadata import check_fields, first_metadata, read_metadata
from holdfast.run._notes import Notes
from holdfast.run._params import dump_params, load_params, params_to_plain
from holdfast.run._reader import LogReader
from holdfast.run._saves import Saves
from holdfast.run._session import How, begin, resume
from holdfast.run._summary import glance


class Logbook(Saves, Appends, Notes, Endings):
    """Writes one run into a directory of its own, ``<base_dir>/log_<run_id>``.

    As a context manager it marks the run complete at the end, or failed with the traceback when the
    block raises. Every save is whole or absent on disk at any instant, is kept once the call has
    returned even if the process is then killed, and may come from any thread.

    Parameters
    ----------
    run_id : str or int
        Names the run; one part of a path, without separators.
    base_dir : path
        The folder that holds runs; made when missing.
    params : mapping or dataclass, optional
        Parameters to save at once, as `params` does.
    overwrite : bool
        Delete an earlier run of this id first, unless another living process writes it.
    preallocate : bool
        Make ``data/``, ``plots/`` and ``artifacts/`` even if nothing is saved in them.
    callback : callable, optional
        Called with the logbook whenever the run is marked complete or failed.
    retry : bool
        If a run of this id failed or was interrupted, keep it in ``attempts/<n>/`` and begin anew.
    sync : {"background", "always"}
        When files reach the disk itself, which matters on a power loss: within a second, or before
        each call returns.
    capture_logging : bool
        Also write what the process's ``logging`` loggers let through into ``log.txt``.
    handle_sigterm : bool
        Mark the run failed on SIGTERM, then do what the process did on SIGTERM before.
    save_diff : bool
        Keep the uncommitted changes of the program's git work tree in ``artifacts/git_diff.patch``.
    stream_options : mapping, optional
        Keywords for the run's streams: ``compression``, ``interval``, ``journal_bytes``.

    Raises
    ------
    AlreadyExistsError
        If the run exists and neither `overwrite` nor `retry` says what to do with it.
    InvalidInputError
        If the run id or a parameter cannot be stored.
    LockedError
        If the run to overwrite is being written by another process.
    StateError
        If the run to retry is complete or running.
    OSError
        If the folder cannot be written.

    Examples
    --------
    >>> with Logbook("pendulum", params={"length": 0.5}) as log:
    ...     log.info("swinging")
    ...     log.array("angle", [0.1, 0.0, -0.1])
    ...     log.json("metrics", {"period": 1.42})
    >>> log.status
    'complete'
    """

    def __init__(
        self,
        run_id: str | int,
        base_dir: str | os.PathLike[str] = "outputs",
        params: Any = None,
        overwrite: bool = False,  # noqa: FBT001, FBT002 - positions that the documents fix
        preallocate: bool = False,  # noqa: FBT001, FBT002
        callback: "Callable[[Logbook], object] | None" = None,
        *,
        retry: bool = False,
        sync: SyncMode = "background",
        capture_logging: bool = False,
        handle_sigterm: bool = False,
        save_diff: bool = False,
        stream_options: Mapping[str, Any] | None = None,
    ) -> None:
        if handle_sigterm:
            require_main_thread()
        run_id = safe_component(str(run_id), "run id", suffix=PREFIX)
        path = Path(os.path.abspath(base_dir)) / f"{PREFIX}{run_id}"
        self._set_up(run_id, path, params, callback, sync, stream_options)
        self._session = begin(
            path, self._first_files, self._durability, overwrite=overwrite, retry=retry
        )
        self._rows.stream_options.update(self._stream_options)
        try:
            self._equip(
                preallocate=preallocate,
                capture_logging=capture_logging,
                handle_sigterm=handle_sigterm,
                save_diff=save_diff,
            )
        except BaseException as error:
            with contextlib.suppress(OSError):  # a full disk, say, which is what `error` tells
                self._fail(reason_of(error), traceback_of(error))
            raise

    def _set_up(
        self,
        run_id: str,
        path: Path,
        params: Any,
        callback: "Callable[[Logbook], object] | None",
        sync: SyncMode,
        stream_options: Mapping[str, Any] | None,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        self.run_id, self.path = run_id, path
        self._durability = Durability(sync)
        self._lock = threading.RLock()
        self._callback = callback
        self._began = time.monotonic()
        self._params = params_to_plain(params)
        self._fields = fields_to_plain(fields or {}, "metadata")
        self._stream_options = dict(stream_options or {})
        self._terminating = False

    def _set_up_at(
        self,
        path: Path,
        how: How,
        params: Any,
        fields: Mapping[str, Any],
        *,
        sync: SyncMode,
        stream_options: Mapping[str, Any] | None,
    ) -> None:
        """Begin a run in a folder of any name, instead of ``__init__``; see `open_run`."""
        self._set_up(path.name, path, params, None, sync, stream_options, fields)
        if how == "resume":
            self._session, self._meta = resume(path, self._fields, self._durability)
            self._params = params_to_plain(load_params(path))
        else:
            self._session = begin(
                path, self._first_files, self._durability, overwrite=False, retry=how == "retry"
            )
        self._rows.stream_options.update(self._stream_options)

    def _first_files(self, attempt: int) -> dict[str, bytes]:
        self._meta = first_metadata(self.run_id, attempt) | self._fields
        line = f"{make_line(f'run {self.run_id} started', 'INFO')}\n"
        files = {METADATA: dump_json(self._meta), LOG: line.encode("utf-8", "backslashreplace")}
        if self._params:
            files[PARAMS["yaml"]] = dump_params(self._params, "yaml")
        return files

    def _equip(
        self, *, preallocate: bool, capture_logging: bool, handle_sigterm: bool, save_diff: bool
    ) -> None:
        if preallocate:
            for folder in (DATA, PLOTS, ARTIFACTS):
                make_folder(self.path / folder, self._durability)
        if save_diff:
            diff = git_diff()
            if diff is not None:
                self.bytes("git_diff.patch", diff)
        if capture_logging:
            self._session.capture_logging()
        if handle_sigterm:
            self._session.handle_sigterm(self._terminate)

    # What a run says of itself

    @property
    def status(self) -> str:
        """The status that stands in ``metadata.json``: initialized, complete or failed."""
        return str(read_metadata(self.path)["status"])

    @property
    def resumed(self) -> bool:
        """Whether this attempt was interrupted, and goes on with the files it left."""
        return "resumed_at" in self._meta

    @property
    def elapsed(self) -> float:
        """Seconds since the run began; once it has ended, until its end."""
        ended: float | None = self._meta.get("runtime_sec")
        return time.monotonic() - self._began if ended is None else ended

    @property
    def log_path(self) -> Path:
        """The file ``log.txt``."""
        return self.path / LOG

    @property
    def datadir(self) -> Path:
        """The folder ``data``, which holds arrays."""
        return self.path / DATA

    @property
    def plotdir(self) -> Path:
        """The folder ``plots``."""
        return self.path / PLOTS

    @property
    def artifactsdir(self) -> Path:
        """The folder ``artifacts``, which holds text, JSON, pickles and bytes."""
        return self.path / ARTIFACTS

    def __repr__(self) -> str:
        try:
            return glance(LogReader(self.path), "Logbook")
        except (HoldfastError, OSError) as error:  # the folder was moved away, say
            return f"Logbook({self.run_id!r}, {error})"

    def _repr_html_(self) -> str:
        return LogReader(self.path)._repr_html_()

    def __getitem__(self, relative: str) -> Path:
        """Return a path inside the run, its parent folders made.

        Raises
        ------
        InvalidInputError
            If the path would lead out of the run.
        """
        self._session.check()
        path = inside(self.path, safe_name(relative, "path"))
        make_folder(path.parent, self._durability)
        return path

    # Parameters and metadata

    def params(self, params: Any = None, /, ext: str = "yaml", **kwargs: Any) -> dict[str, Any]:
        """Merge parameters into those that are saved.

        Parameters
        ----------
        params : mapping or dataclass, optional
            Parameters whose names a keyword cannot be, such as ``ext``.
        ext : {"yaml", "json"}
            The form to save in; the other form is removed.
        **kwargs
            Parameters. Taken are numbers, text, arrays, paths, dates, enums, dataclasses, complex
            numbers, and lists and dictionaries of them.

        Returns
        -------
        dict
            All parameters, as a reader gets them.

        Raises
        ------
        InvalidInputError
            If a value cannot be stored or `ext` is another word; nothing is changed.
        """
        new = params_to_plain(params) | params_to_plain(kwargs)
        if ext not in PARAMS:
            dump_params({}, ext)  # says what is accepted
        with self._writing():
            if new:
                self._save_params(self._params | new, ext)
            restored: dict[str, Any] = from_plain(fields_as_value(self._params))
            return restored

    def _save_params(self, params: dict[str, Any], ext: str) -> None:
        with self._replacing(PARAMS[ext]) as file:
            file.write(dump_params(params, ext))
        self._params = params
        other = self.path / PARAMS["json" if ext == "yaml" else "yaml"]
        if other.exists():
            fsync_path(self.path / PARAMS[ext])  # or a power loss could leave neither form
            other.unlink()

    def meta(self, **fields: Any) -> None:
        """Merge fields into ``metadata.json``.

        Raises
        ------
        InvalidInputError
            If a value cannot be stored, or the field is one that the run itself writes.
        """
        check_fields(fields, self._fields)
        plain = fields_to_plain(fields, "metadata")
        with self._writing():
            self._save_meta(self._meta | plain)

    def _save_meta(self, meta: dict[str, Any], line: LogLine | None = None) -> None:
        with replacing(inside(self.path, METADATA), self._durability) as file:
            file.write(dump_json(meta))
            if line is not None:
                # Logged between the two, as a save is: the log never says what the metadata do not.
                file.flush()
                self._session.write(line)
        self._meta = meta

    # Saves, the rest of which is in `Saves`, and messages, which are in `Notes`

    @contextmanager
    def _saving(self, folder: str, name: str, ending: str, detail: str = "") -> Iterator[BinaryIO]:
        """Open the file of a save, which appears under its name when the block ends well."""
        self._session.check()
        with self._replacing(file_of(folder, name, ending), detail) as file:
            yield file

    def _write_line(self, line: LogLine) -> None:
        self._session.check()
        self._session.write(line)

    @contextmanager
    def _replacing(self, relative: str, detail: str = "") -> Iterator[BinaryIO]:
        with replacing(inside(self.path, relative), self._durability) as file:
            yield file
            # Logged before the file takes its place: if either does not fit on a full disk, the
            # old file stays.
            file.flush()
            self._session.write(make_line(f"saved {relative} {detail}".rstrip(), "INFO"))

    @property
    def _rows(self) -> Rows:
        return self._session.rows

    def _check(self) -> None:
        self._session.check()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self._session.check()
        with self._lock, self._session.hold():
            yield
