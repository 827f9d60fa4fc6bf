"""Running the tasks of a sweep: in this process, in worker processes, or in a given executor."""

import pickle
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future, as_completed
from contextlib import contextmanager
from dataclasses import dataclass

from holdfast._workers import pool, usable_cores, watch_all
from holdfast.errors import InvalidInputError, StateError
from holdfast.sweeps._grid import Params
from holdfast.sweeps._outcome import Outcome
from holdfast.sweeps._runs import Ending

Tasks = Mapping[str, Params]
Work = Callable[[str, Params, Collection[str]], str | None]
Look = Callable[[str], Ending | None]
Retry = bool | str | Collection[str]

RETRIED = frozenset(["failed", "interrupted"])


@dataclass(frozen=True, slots=True)
class Sweep:
    """The tasks of one sweep, and how to do them.

    Attributes
    ----------
    tasks : mapping
        Parameters by run id.
    work : callable
        Does one task, given its run id, its parameters and the states to retry; returns the run's
        state, None if the run is somebody else's.
    look : callable
        Tells what became of a run, None if it does not exist.
    retry : collection of str
        States in which a run is made anew.
    """

    tasks: Tasks
    work: Work
    look: Look
    retry: Collection[str]

    def run(
        self, outcome: Outcome, workers: int | None, executor: Executor | None, *, progress: bool
    ) -> None:
        """Do all tasks and note in `outcome` what became of each.

        Raises
        ------
        InvalidInputError
            If `workers` is less than 1.
        StateError
            If no worker process can begin a task.
        """
        count = usable_cores() if workers is None else workers
        if count < 1:
            raise InvalidInputError(f"workers={workers}: at least one process is needed")
        with _bar(len(self.tasks), shown=progress) as advance:

            def done(name: str, state: str | None) -> None:
                self._note(outcome, name, state)
                advance()

            if executor is not None:
                for name in self._submit(executor, self.tasks, self.retry, done):
                    found = self.look(name)
                    done(name, found.state if found else "interrupted")
            elif count == 1:
                for name, params in self.tasks.items():
                    done(name, self.work(name, params, self.retry))
            else:
                self._in_processes(min(count, max(len(self.tasks), 1)), done)

    def _submit(
        self,
        executor: Executor,
        tasks: Tasks,
        retry: Collection[str],
        done: Callable[[str, str | None], None],
    ) -> list[str]:
        """Do tasks in an executor; return those that a dying worker took along."""
        futures: dict[Future[str | None], str] = {}
        lost = []
        try:
            for name, params in tasks.items():
                try:
                    futures[executor.submit(self.work, name, params, retry)] = name
                except BrokenExecutor:
                    lost.append(name)
            watch_all(executor)
            for future in as_completed(futures):
                try:
                    done(futures[future], future.result())
                except BrokenExecutor:
                    lost.append(futures[future])
        except BaseException:
            for future in futures:
                future.cancel()
            raise
        return lost

    def _in_processes(self, workers: int, done: Callable[[str, str | None], None]) -> None:
        """Do tasks in worker processes, going on when one dies.

        A pool whose worker died takes its other workers along. Tasks that had not begun go to a new
        pool; of those that had, any may be the culprit, so each is done again in a process of its
        own.
        """
        self._check_sendable()
        before = {name: self.look(name) for name in self.tasks}
        waiting = dict(self.tasks)
        suspects: dict[str, Params] = {}
        while waiting:
            with pool(workers) as executor:
                lost = self._submit(executor, waiting, self.retry, done)
            begun = [name for name in lost if self.look(name) != before[name]]
            if lost and not begun and len(lost) == len(waiting):
                raise StateError(
                    "the worker processes ended before they could begin; put the call below "
                    "if __name__ == '__main__': in a script, or pass workers=1"
                )
            suspects |= {name: waiting[name] for name in begun}
            waiting = {name: waiting[name] for name in lost if name not in suspects}
        for name, params in suspects.items():
            self._alone(name, params, done)

    def _check_sendable(self) -> None:
        """Refuse what cannot be sent to a process before the first run begins."""
        try:
            pickle.dumps((self.work, dict(self.tasks)))
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise InvalidInputError(
                f"the function or a parameter cannot be sent to worker processes ({error}); define "
                "the function at the top of a module, or pass workers=1"
            ) from error

    def _alone(self, name: str, params: Params, done: Callable[[str, str | None], None]) -> None:
        """Settle a task that had begun when its pool broke.

        The pool ends its other workers by SIGTERM. A run that handles it says then that it failed,
        which is no ending of its own.
        """
        states = {*self.retry, "interrupted"}
        found = self.look(name)
        if found and found.state != "interrupted" and not found.was_stopped:
            done(name, found.state)  # it had ended, and only the answer was lost
            return
        with pool(1) as executor:
            for culprit in self._submit(executor, {name: params}, states, done):
                done(culprit, "interrupted")

    def _note(self, outcome: Outcome, name: str, state: str | None) -> None:
        if state is None:
            outcome.skip_found(name, self.look(name))
            return
        found = self.look(name) if state == "failed" else None
        outcome.note(name, state, found.reason if found else None)


def retried(retry: Retry) -> frozenset[str]:
    """Return the states in which a run is made anew.

    Raises
    ------
    InvalidInputError
        If `retry` names another state.
    """
    if isinstance(retry, bool):
        return RETRIED if retry else frozenset()
    states = frozenset([retry] if isinstance(retry, str) else retry)
    if not states <= RETRIED:
        raise InvalidInputError(
            f"retry={retry!r}: choose 'failed', 'interrupted', both, True or False"
        )
    return states


@contextmanager
def _bar(total: int, *, shown: bool) -> Iterator[Callable[[], object]]:
    if not shown:
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = ("runs", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("runs", total=total)
        yield lambda: bar.advance(task)
