"""`Experiment`, a named set of runs over parameters, each a `Logbook` of its own."""

import os
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from holdfast._atomic import make_folder
from holdfast._names import safe_component, safe_name
from holdfast._sync import Durability, SyncMode
from holdfast.errors import AlreadyExistsError, HoldfastWarning, InvalidInputError, StateError
from holdfast.run import Logbook
from holdfast.sweeps._execute import Retry, Sweep, retried
from holdfast.sweeps._grid import Grid, Params, as_params, combinations
from holdfast.sweeps._ids import holds, run_id
from holdfast.sweeps._index import Index
from holdfast.sweeps._outcome import Outcome
from holdfast.sweeps._reader import INDEX, RUNS, ExperimentReader
from holdfast.sweeps._rows import METRICS_FILE, Reading, read_row
from holdfast.sweeps._runs import Ending, Runs, ending_of
from holdfast.tables import Table


class Experiment:
    """A named set of runs over parameters, in ``<base_dir>/<name>/runs/log_<run_id>``.

    Any number of processes may add runs to the same experiment at once.

    Parameters
    ----------
    name : str
        One part of a path; run ids begin with it.
    base_dir : path
        The folder that holds experiments; made when missing.
    sync : {"background", "always"}
        When files reach the disk itself; see `Logbook`.
    **options
        Further keywords for the `Logbook` of each run, such as ``capture_logging=True``.

    Raises
    ------
    InvalidInputError
        If the name cannot be a folder's.
    OSError
        If the folder cannot be written.

    Examples
    --------
    >>> experiment = Experiment("squares")
    >>> for log in experiment.grid(x=[1, 2]):
    ...     with log:
    ...         log.json("metrics", {"y": log.params()["x"] ** 2})
    >>> print(experiment.table().only(["x", "status", "y"]))
    x  status    y
    1  complete  1
    2  complete  4
    """

    def __init__(
        self,
        name: str,
        base_dir: str | os.PathLike[str] = "outputs",
        *,
        sync: SyncMode = "background",
        **options: Any,
    ) -> None:
        self.name = safe_component(name, "experiment name")
        self.path = Path(os.path.abspath(base_dir)) / name
        self._options = {"sync": sync, **options}
        durability = Durability(sync)
        self._runs = Runs(self.name, self.path / RUNS)
        make_folder(self._runs.folder, durability)
        self._index = Index(self.path / INDEX, durability)
        self._mended = False

    # Adding runs

    def add(
        self,
        params: Mapping[str, Any] | None = None,
        /,
        *,
        skip_existing: bool = False,
        retry: Retry = (),
        **kwargs: Any,
    ) -> Logbook | None:
        """Begin the run of some parameters.

        Parameters
        ----------
        params : mapping, optional
            Parameters whose names a keyword cannot be, such as ``retry``.
        skip_existing : bool
            Return None if there is a run of these parameters.
        retry : bool, str or collection of str
            States in which an existing run is made anew, its old attempt kept in
            ``attempts/<n>/``: ``"failed"``, ``"interrupted"``, both, or True for both. A run that
            Ctrl-C or SIGTERM ended says ``failed`` and counts as both.
        **kwargs
            Parameters.

        Returns
        -------
        Logbook or None
            The run's logbook; None if it is skipped.

        Raises
        ------
        AlreadyExistsError
            If there is such a run and it is neither skipped nor retried.
        InvalidInputError
            If a parameter cannot be stored.
        """
        name, log = self._begin({**(params or {}), **kwargs}, retried(retry))
        if log is None and not skip_existing:
            raise AlreadyExistsError(self._runs.in_the_way(name))
        return log

    def grid(
        self,
        axes: Mapping[str, Iterable[Any]] | None = None,
        /,
        *,
        skip_existing: bool = False,
        retry: Retry = (),
        **kwargs: Iterable[Any],
    ) -> Iterator[Logbook]:
        """Yield a logbook for each combination of values, in order, the last axis fastest.

        Parameters
        ----------
        axes : mapping, optional
            Axes whose names a keyword cannot be.
        skip_existing, retry
            As for `add`; skipped runs are not yielded.
        **kwargs : iterable
            Values by parameter.

        Raises
        ------
        InvalidInputError
            If an axis is no sequence of values.
        AlreadyExistsError
            As `add` does.
        """
        for params in combinations({**(axes or {}), **kwargs}):
            log = self.add(params, skip_existing=skip_existing, retry=retry)
            if log is not None:
                yield log

    def run(
        self,
        function: Callable[..., object],
        grid: Grid,
        /,
        *,
        workers: int | None = None,
        executor: Executor | None = None,
        progress: bool = False,
        retry: Retry = "interrupted",
    ) -> Outcome:
        """Call ``function(log, **params)`` for every combination that has no run yet.

        A call that raises is recorded as a failed run, and the others go on; so they do when a
        worker process dies.

        Parameters
        ----------
        function : callable
            Takes the run's `Logbook` and the parameters by keyword. For worker processes it has to
            be importable: defined in a module, or in a script whose work stands below
            ``if __name__ == "__main__":``.
        grid : mapping or iterable of mapping
            Values by parameter, of which all combinations are run; or the combinations themselves.
        workers : int, optional
            Number of processes; 1 runs everything in this one. The number of usable cores when left
            out.
        executor : concurrent.futures.Executor, optional
            Where to run instead.
        progress : bool
            Whether to show a progress bar.
        retry : bool, str or collection of str
            As for `add`.

        Returns
        -------
        Outcome
            The run ids that are complete, failed, interrupted, and skipped, and why runs failed.

        Raises
        ------
        InvalidInputError
            If the grid cannot be read.
        StateError
            If worker processes cannot start.
        """
        states = retried(retry)
        outcome = Outcome()
        tasks = self._tasks(combinations(grid), states, outcome)
        options = tuple(sorted(self._options.items()))
        work = partial(_work, self.name, self.path.parent, options, function)
        sweep = Sweep(tasks, work, self._runs.look, states)
        sweep.run(outcome, workers, executor, progress=progress)
        return outcome

    def _tasks(
        self, sets: Iterable[Params], states: Collection[str], outcome: Outcome
    ) -> dict[str, Params]:
        """Return the parameters that are to be run by their run ids, and note the others."""
        tasks: dict[str, Params] = {}
        plains: dict[str, Params] = {}
        for params in sets:
            plain = as_params(params)
            try:
                name, existing = self._runs.find(plain)
                found = ending_of(existing) if existing else None
            except (ValueError, OSError) as error:  # one damaged run does not stop the sweep
                name = run_id(self.name, plain)
                found = Ending("", "unreadable", str(error))
                warnings.warn(f"run {name} is skipped: {error}", HoldfastWarning, stacklevel=3)
            if name in tasks and not holds(plains[name], plain):
                name = run_id(self.name, plain, hashed=True)
            if found and not found.is_retried(states):
                outcome.skip(name, found.state)
            else:
                tasks[name], plains[name] = params, plain
        return tasks

    def _begin(
        self, params: Params, states: Collection[str], name: str | None = None
    ) -> tuple[str, Logbook | None]:
        """Begin a run, or begin it anew if it is in one of `states`; None if it is left as it is.

        `name` says which id a new run gets.
        """
        plain = as_params(params)
        while True:
            found, existing = self._runs.find(plain)
            if existing is None:
                found = name or found
            elif not ending_of(existing).is_retried(states):
                return found, None
            try:
                log = self._open(found, params, retry=existing is not None)
            except AlreadyExistsError:
                name = None  # another process was faster, maybe with other parameters: look again
            except StateError:
                if existing is None or ending_of(existing).is_retried(states):
                    raise  # it has another reason than that another process was faster
            else:
                if existing is not None:  # only now: else another process might have recorded it
                    self._forget(found)
                return found, log

    def _forget(self, name: str) -> None:
        """Remove the row of an earlier attempt, if that can be done."""
        try:
            self._index.forget(name)
        except OSError as error:
            # The run has begun: raising would leave it to nobody. Readers see that the row is old.
            warnings.warn(
                f"the row of run {name} in {self._index.path} is that of its last attempt "
                f"until the run ends: {error}",
                HoldfastWarning,
                stacklevel=4,
            )

    def _open(self, name: str, params: Params, *, retry: bool) -> Logbook:
        options: dict[str, Any] = {**self._options, "callback": self._marked, "retry": retry}
        return Logbook(name, self._runs.folder, params, **options)

    def _marked(self, log: Logbook) -> None:
        self.record(log)
        if callback := self._options.get("callback"):
            callback(log)

    # The index

    def record(self, log: Logbook, metrics_file: str = METRICS_FILE) -> None:
        """Write the row of a run into ``index.csv``; called by itself when a run is marked.

        Parameters
        ----------
        log : Logbook
            A run of this experiment.
        metrics_file : str
            The JSON file in the run that holds its metrics.

        Raises
        ------
        InvalidInputError
            If the run belongs elsewhere, or the file would.
        """
        if log.path.parent != self._runs.folder:
            raise InvalidInputError(f"run {log.path} does not belong to experiment {self.path}")
        if metrics_file != METRICS_FILE:
            log.meta(metrics_file=safe_name(metrics_file, "metrics file"))
        if not self._mended:
            self._mended = True
            self._mend(log.run_id)
        self._index.record(read_row(log.run_id, log.path), self._ended)

    def reindex(self) -> None:
        """Write ``index.csv`` anew from the run directories."""
        self._index.rebuild(lambda: self._ended(use_index=False, quiet=False))

    def _mend(self, but: str) -> None:
        """Bring the index up to the runs, which it may lag behind since a writer was killed."""
        known = {name: found for name, found in self._index.read().items() if name != but}
        runs = {r.row.run_id: r for r in self._ended() if r.row.run_id != but}
        unknown = any(r.signature and known.get(name) != r for name, r in runs.items())
        if unknown or known.keys() - runs.keys():
            self._index.rebuild(self._ended)

    def _ended(self, *, use_index: bool = True, quiet: bool = True) -> list[Reading]:
        readings = self.reader.readings(use_index=use_index, quiet=quiet)
        return [reading for reading in readings if reading.row.state != "running"]

    # Reading

    @property
    def reader(self) -> ExperimentReader:
        """A reader of the experiment."""
        return ExperimentReader(self.path)

    def table(self, where: str | None = None, /, **equals: Any) -> Table:
        """Return the runs as a `Table`; see `ExperimentReader.table`."""
        return self.reader.table(where, **equals)

    def to_dataframe(self) -> Any:
        """Return the runs as a pandas ``DataFrame``."""
        return self.table().to_dataframe()

    def to_arrow(self) -> Any:
        """Return the runs as a pyarrow ``Table``."""
        return self.table().to_arrow()

    def select(self, where: str | None = None, /, **equals: Any) -> Any:
        """Return some runs as a pandas ``DataFrame``; see `ExperimentReader.select`."""
        return self.reader.select(where, **equals)

    def __repr__(self) -> str:
        return f"Experiment({self.name!r}, {str(self.path)!r}, {self.reader.glance()})"

    def __str__(self) -> str:
        return str(self.reader)

    def _repr_html_(self) -> str:
        return self.reader._repr_html_()


@lru_cache(maxsize=8)
def _experiment(name: str, base_dir: Path, options: tuple[tuple[str, Any], ...]) -> Experiment:
    """Return the experiment that the runs of a sweep in this process share.

    One that has seen the index once takes in what is new; a new one for each run would read it all.
    """
    return Experiment(name, base_dir, **dict(options))


def _work(
    name: str,
    base_dir: Path,
    options: tuple[tuple[str, Any], ...],
    function: Callable[..., object],
    task: str,
    params: Params,
    retry: Collection[str],
) -> str | None:
    """Do one run, in whatever process; return its state, None if another process has it."""
    experiment = _experiment(name, base_dir, options)
    _, log = experiment._begin(params, retry, task)  # noqa: SLF001 - of this module
    if log is None:
        return None
    try:
        with log:
            function(log, **params)
    except (Exception, SystemExit):
        if log.status != "failed":
            raise  # what went wrong stands nowhere
    return log.status
