"""`ExperimentReader`, which reads the runs of an experiment, live or ended, and never writes."""

import os
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, SupportsIndex

from holdfast._names import listing, nearest
from holdfast._sync import Durability
from holdfast.errors import FormatError, HoldfastWarning, MissingFileError, NotFoundError
from holdfast.run import LogReader, run_folder
from holdfast.sweeps._csv import Header
from holdfast.sweeps._index import Index
from holdfast.sweeps._rows import Reading, read_row, signature
from holdfast.tables import Table

RUNS = "runs"
INDEX = "index.csv"
_SLACK_NS = 2_000_000_000
"""Clocks of file systems are coarse and may differ from each other by this much."""

_DAMAGE = (ValueError, OSError)
"""What reading one run may raise: ours, or what YAML says to the 31st of June."""


class ExperimentReader:
    """Reads an experiment: a folder with ``index.csv`` and ``runs/``.

    Iterating gives a `LogReader` for each run, sorted by run id; ``exp[3]`` and ``exp["run id"]``
    give one. Runs whose metadata are damaged are left out with a warning that names them.

    Parameters
    ----------
    path : path
        The experiment's folder. It may be on read-only media.

    Raises
    ------
    MissingFileError
        If there is no such folder.
    FormatError
        If it is no experiment: it has no ``runs/``.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()  # os.chdir must not lead elsewhere
        if not self.path.is_dir():
            raise MissingFileError(f"there is no experiment {self.path}; check the path")
        self._runs = self.path / RUNS
        if not self._runs.is_dir():
            raise FormatError(
                f"{self.path} is not an experiment: it has no folder {RUNS}/; pass the folder that "
                "Experiment(name) made"
            )
        self._index = Index(self.path / INDEX, Durability())
        self._folders: dict[str, str] = {}
        self._seen_ns = -1

    @property
    def name(self) -> str:
        """The experiment's name."""
        return self.path.resolve().name

    @property
    def run_ids(self) -> list[str]:
        """The ids of all runs, sorted; damaged ones too."""
        return list(self._by_id())

    def _by_id(self) -> dict[str, str]:
        """Map run ids to folder names, listed anew only when the folder has changed."""
        now = os.stat(self._runs).st_mtime_ns
        if now != self._seen_ns or now > time.time_ns() - _SLACK_NS:
            with os.scandir(self._runs) as entries:
                names = [e.name for e in entries if not e.name.startswith(".") and e.is_dir()]
            # Where both log_x and x hold a run x, the one that Holdfast writes comes last and wins.
            prefix = run_folder("")
            found = sorted((n.removeprefix(prefix), n.startswith(prefix), n) for n in names)
            self._folders = {run_id: name for run_id, _, name in found}
            self._seen_ns = now
        return self._folders

    def __len__(self) -> int:
        return len(self._by_id())

    def __contains__(self, run_id: object) -> bool:
        return isinstance(run_id, str) and self._folder(run_id) is not None

    def __iter__(self) -> Iterator[LogReader]:
        for run_id, folder in self._by_id().items():
            try:
                run, _ = self._opened(folder)
            except _DAMAGE as error:
                _warn_unreadable(run_id, str(error))
                continue
            yield run

    def _opened(self, folder: str) -> tuple[LogReader, dict[str, Any]]:
        """Return a run and its metadata, which are read to see whether they are damaged."""
        run = LogReader(self._runs / folder)
        return run, run.meta

    def __getitem__(self, key: SupportsIndex | str) -> LogReader:
        """Return one run, by its place in the sorted ids or by its id.

        Raises
        ------
        IndexError
            If there are not so many runs.
        NotFoundError
            If no run has this id; it is a ``KeyError`` too.
        TypeError
            If `key` is neither.
        """
        if isinstance(key, str):
            folder = self._folder(key)
            if folder is None:
                known = self.run_ids
                raise NotFoundError(
                    f"experiment {self.path} has no run {key!r}{nearest(key, known[:1000]) or ';'} "
                    f"it holds {listing(known)}"
                )
            return LogReader(self._runs / folder)
        if isinstance(key, bool) or not hasattr(key, "__index__"):
            raise TypeError(f"runs are found by number or run id, not by {type(key).__name__}")
        folders = list(self._by_id().values())
        try:
            return LogReader(self._runs / folders[key])
        except IndexError:
            raise IndexError(
                f"experiment {self.path} has {len(folders)} runs, none with number {key}"
            ) from None

    def _folder(self, run_id: str) -> str | None:
        """Return the folder of a run, found by its name where it has the usual one."""
        folder = run_folder(run_id)
        plain = not (set("/\\\0") & set(run_id)) and run_id not in ("", ".", "..")
        if plain and os.path.isdir(os.path.join(self._runs, folder)):
            return folder
        return self._by_id().get(run_id)

    @property
    def params(self) -> dict[str, dict[str, Any]]:
        """The parameters of all runs, by run id."""
        return self._of_each(lambda run, _: run.params)

    @property
    def meta(self) -> dict[str, dict[str, Any]]:
        """The metadata of all runs, by run id."""
        return self._of_each(lambda _, meta: meta)

    def _of_each(
        self, read: Callable[[LogReader, dict[str, Any]], dict[str, Any]]
    ) -> dict[str, dict[str, Any]]:
        """Read something of every run; by the folder's run id, since copied metadata may lie."""
        found = {}
        for run_id, folder in self._by_id().items():
            try:
                found[run_id] = read(*self._opened(folder))
            except _DAMAGE as error:
                _warn_unreadable(run_id, str(error))
        return found

    # Tables

    def readings(self, *, use_index: bool = True, quiet: bool = False) -> list[Reading]:
        """Return the row of every run, live ones included.

        A row comes from ``index.csv`` if the run's files are still those it was made from, else
        from the files. Unless `quiet`, damaged runs are warned of.
        """
        indexed = self._index.read() if use_index else {}
        readings = []
        for run_id, folder in self._by_id().items():
            found = indexed.get(run_id)
            path = os.path.join(self._runs, folder)
            if not found or not found.signature or found.signature != signature(path):
                found = read_row(run_id, Path(path))
                if found.problem and not quiet:
                    _warn_unreadable(run_id, found.problem)
            readings.append(found)
        return readings

    def table(self, where: str | None = None, /, **equals: Any) -> Table:
        """Return the runs as a `Table`, those that satisfy an expression or all.

        Raises
        ------
        InvalidInputError
            If the expression cannot be read or asks for a column that does not exist.
        """
        rows = [reading.row for reading in self.readings()]
        header = Header.of(rows)
        table = Table([header.values(row) for row in rows], header.names, self.name)
        return table.select(where, **equals) if where is not None or equals else table

    def index(self) -> Iterator[dict[str, Any]]:
        """Yield the row of each run as a dictionary, with the same columns for all."""
        return iter(self.table())

    def to_dataframe(self) -> Any:
        """Return the runs as a pandas ``DataFrame``."""
        return self.table().to_dataframe()

    def to_arrow(self) -> Any:
        """Return the runs as a pyarrow ``Table``."""
        return self.table().to_arrow()

    def select(self, where: str | None = None, /, **equals: Any) -> Any:
        """Return the runs that satisfy an expression or equal values, as a pandas ``DataFrame``.

        Examples
        --------
        ``exp.select("dt < 0.1 and status == 'complete'")``, ``exp.select(dt=0.01)``
        """
        return self.table(where, **equals).to_dataframe()

    def glance(self) -> str:
        """Return how many runs there are in each state; never raises or warns, for ``repr``."""
        try:
            return _counts(self.readings(quiet=True), "{}: {}", "no runs yet")
        except OSError as error:
            return f"unreadable: {error.strerror or error}"

    def __repr__(self) -> str:
        return f"ExperimentReader({str(self.path)!r}, {self.glance()})"

    def __str__(self) -> str:
        counts = _counts(self.readings(), "{} ({})", "0 runs (none yet)")
        return f"Experiment {self.name} in {self.path}: {counts}"

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


def _counts(readings: Sequence[Reading], form: str, none: str) -> str:
    states = Counter(reading.row.state for reading in readings)
    told = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    number = "1 run" if len(readings) == 1 else f"{len(readings)} runs"
    return form.format(number, told) if told else none


def _warn_unreadable(run_id: str, problem: str) -> None:
    warnings.warn(
        f"run {run_id} is left out or incomplete: {problem}", HoldfastWarning, stacklevel=3
    )
