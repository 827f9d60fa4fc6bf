"""Launching runs: claim, begin, call the task, finish. See ``design/012-claims.md``."""

import contextlib
import time
from collections.abc import Iterable
from concurrent.futures import Executor, Future, as_completed
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from holdfast._plain import from_plain
from holdfast._process import is_alive, this_process
from holdfast._sync import Durability
from holdfast.errors import HoldfastError, InvalidInputError, LockedError, StateError
from holdfast.run import Logbook, LogReader, abandon_run, fail_run, open_run, state_of, writer_of
from holdfast.store._claims import Claim, Holder
from holdfast.store._groups import group_of
from holdfast.store._output import OUTPUT, captured
from holdfast.store._results import save_result
from holdfast.store._run import IfClaimed, Run
from holdfast.store._runs import Runs
from holdfast.store._schemas import remember
from holdfast.store._seeds import draw, seeded
from holdfast.store._told import told_task

FIRST_LOOK, LAST_LOOK = 0.01, 1.0
"""Seconds between two looks at who has a run: at first, and after a while."""

_launching: "ContextVar[frozenset[Path]]" = ContextVar("holdfast_launching", default=frozenset())


@dataclass(slots=True)
class Launch:
    """A run that this process claims, begins, and has to finish then."""

    run: Run
    claim: Claim
    log: Logbook | None = None
    seed: int = 0


def launch(
    runs: Iterable[Run], executor: Executor | None = None, *, if_claimed: IfClaimed = "wait"
) -> Runs:
    """Launch several runs; when one fails, the others go on.

    Parameters
    ----------
    runs : iterable of Run
        What `get` returned.
    executor : concurrent.futures.Executor, optional
        Where to call the tasks, such as a ``ProcessPoolExecutor``; one after the other in this
        process if left out. Runs are sent to it by pickle, so their tasks have to be importable
        there.
    if_claimed : {"wait", "skip", "fail"}
        What to do about runs that another process has; see `Run.launch`.

    Returns
    -------
    Runs
        All of them.

    Raises
    ------
    StateError
        After all have ended, if some failed; the message names them.
    """
    every = Runs(runs)
    for run in every:
        run.bind(run.store)  # which the threads and processes of an executor cannot know
    if executor is None:
        failed: dict[Run, BaseException] = {
            run: error for run in every if (error := _tried(run, if_claimed))
        }
    else:
        failed = _launched_in(executor, every, if_claimed)
    if failed:
        shown = "; ".join(f"{run.name}: {error}" for run, error in list(failed.items())[:3])
        more = f"; and {len(failed) - 3} more" if len(failed) > 3 else ""
        raise StateError(
            f"{len(failed)} of {len(every)} runs failed: {shown}{more}; launch them again to retry"
        ) from next(iter(failed.values()))
    return every


def _tried(run: Run, if_claimed: IfClaimed) -> Exception | None:
    try:
        run.launch(if_claimed)
    except Exception as error:  # noqa: BLE001 - a task may raise anything, and others go on
        return error
    return None


def _launched_in(executor: Executor, runs: Runs, if_claimed: IfClaimed) -> dict[Run, BaseException]:
    futures: dict[Future[Exception | None], Run] = {}
    failed: dict[Run, BaseException] = {}
    try:
        for run in runs:
            futures[executor.submit(_tried, run, if_claimed)] = run
        for future in as_completed(futures):
            error = future.exception() or future.result()
            if error is not None:
                failed[futures[future]] = error
            else:
                futures[future].launched()
    except BaseException:
        for future in futures:
            future.cancel()
        raise
    return failed


def launch_run(run: Run, if_claimed: IfClaimed, timeout: float | None) -> None:
    """Launch one run; see `Run.launch`."""
    if if_claimed not in get_args(IfClaimed):
        raise InvalidInputError(f"if_claimed={if_claimed!r}: choose 'wait', 'skip' or 'fail'")
    store = run.store
    run.bind(store)
    if run.is_finished():
        with contextlib.suppress(OSError):  # on a read-only disk it stays
            store.claims.tidy(run.id)  # of a process that was killed between its last two steps
        return
    run.task.grown(run.plain)  # a run that cannot go on is left as it is
    until = None if timeout is None else time.monotonic() + timeout
    pause, waited = FIRST_LOOK, False
    while True:
        holder = store.claims.holder(run.id) or _made(run, waited=waited)
        if holder is None or if_claimed == "skip":
            return
        _refuse_waiting(run, holder, if_claimed, until)
        waited = True
        time.sleep(pause)
        pause = min(pause * 1.5, LAST_LOOK)


def _refuse_waiting(run: Run, holder: Holder, if_claimed: IfClaimed, until: float | None) -> None:
    if run.directory in _launching.get():
        raise StateError(f"{run!r} is launched by itself, and would wait for its own end")
    if if_claimed == "fail" or (until is not None and time.monotonic() >= until):
        raise LockedError(
            f"{run!r} is being made by {holder}; wait for its end, or launch with if_claimed='wait'"
        )


def _made(run: Run, *, waited: bool) -> Holder | None:
    """Claim, begin, make and finish a run, if that is left to do; tell who else has it."""
    launch = Launch(run, run.store.claims.claim(run.id))
    try:
        holder = _begin(launch, waited=waited)
        if launch.log is not None:
            _work(launch, launch.log)
    except BaseException as error:
        if launch.claim.is_ours:
            _fail(launch, error)
        raise
    finally:
        launch.claim.let_go()
    return holder


# Beginning


def _begin(launch: Launch, *, waited: bool) -> Holder | None:
    """Claim and begin a run, unless it is complete; tell who else has it."""
    run, claim, claims = launch.run, launch.claim, launch.run.store.claims
    with claims.locked(run.id):
        holder = claims.take(claim)
        if holder is not None:
            return holder
        path = run.store.locate(run.name)
        state, meta = (None, {}) if path is None else _settled(path)
        if state in ("complete", "running"):
            claim.release()
            return None if state == "complete" else Holder(writer_of(meta))
        if state == "failed" and waited and claim.is_first:
            reason = meta.get("failure_reason", "no reason given")
            raise StateError(
                f"{run!r} failed in the process that was waited for ({reason}); launch it again "
                "to retry"
            )
        _open(launch, path, state)
    run.store.note(run.directory)
    return None


def _settled(path: Path) -> tuple[str, dict[str, Any]]:
    """Return the state and the metadata of a run; it is failed if this process has left it."""
    meta = LogReader(path).meta
    state = state_of(path, meta)
    if state == "running" and writer_of(meta) == this_process():
        # It has let go of the claim, so it works on the run no more.
        fail_run(path, "its end could not be recorded")
        return "failed", LogReader(path).meta
    return state, meta


def _open(launch: Launch, path: Path | None, state: str | None) -> None:
    run, earlier = launch.run, dict[str, Any]()
    how: Literal["new", "retry", "resume"] = "new"
    if path is not None:
        reader = LogReader(path)
        earlier, writer = told_task(reader), writer_of(reader.meta)
        # Whoever cannot be seen may still have the run's files open.
        dead = writer is not None and is_alive(writer) is False
        how = "resume" if state == "interrupted" and dead and run.task.resume else "retry"
    drawn: Any = earlier.get("drawn_seed") if how == "resume" else None
    if run.seed is None and drawn is None:
        drawn = draw()
    launch.seed = drawn if run.seed is None else run.seed
    told = _told(run, earlier) | {"drawn_seed": drawn}
    remember(run.store.schemas, run.task)
    launch.log = open_run(run.store.place(run.name), how, params=run.params, fields={"task": told})


def _told(run: Run, earlier: dict[str, Any]) -> dict[str, Any]:
    """Return what the metadata of a run say of its task."""
    pattern = run.group_pattern()
    group: Any = group_of(pattern).path if pattern is not None else None
    if "group" in earlier:  # a run stays in the group that its first attempt was put in
        group, pattern = earlier["group"], earlier.get("group_pattern")
    return {
        "name": run.task_name,
        "identity": run.id,
        "params": earlier.get("params", run.params),  # which its name was made from
        "replicate": run.replicate,
        "seed": run.seed,
        "schema": from_plain(run.task.schema.described),
        "code": run.task.code,
        "group": group,
        "group_pattern": pattern,
    }


# Working and finishing


def _work(launch: Launch, log: Logbook) -> None:
    run = launch.run
    outer = _launching.set(_launching.get() | {log.path})
    try:
        run.write_pending(log.path)
        with captured(log.path / "artifacts" / OUTPUT, Durability()), seeded(launch.seed):
            value = run.call(log)
    finally:
        _launching.reset(outer)
    _finish(launch, log, value)
    run.store.note(log.path)


def _finish(launch: Launch, log: Logbook, value: Any) -> None:
    run, claim = launch.run, launch.claim
    if not claim.is_ours:
        raise StateError(
            f"a forked child returned from the task of {run!r}, which its parent finishes; end "
            "such a child by os._exit() within the task"
        )
    with run.store.claims.locked(run.id):
        claim.check()
        save_result(log, value, pickled=run.task.pickle)
        log.mark_complete()
        claim.release()


def _fail(launch: Launch, error: BaseException) -> None:
    """Mark a run failed, unless it is somebody else's by now."""
    run, claim = launch.run, launch.claim
    try:
        with run.store.claims.locked(run.id):
            if claim.holds():
                _mark_failed(launch, error)
            claim.release()
    except (HoldfastError, OSError) as second:
        error.add_note(f"While the end of {run!r} was being recorded: {second}")
    if launch.log is not None:
        run.store.note(launch.log.path)
        error.add_note(f"in {run!r}, {launch.log.path}")


def _mark_failed(launch: Launch, error: BaseException) -> None:
    log, path = launch.log, launch.run.store.locate(launch.run.name)
    if log is None:  # an interrupt came before the logbook of the run did
        if path is not None:
            _settled(path)
    elif isinstance(error, Exception) or log.status != "complete":
        log.__exit__(type(error), error, error.__traceback__)
    if log is not None:
        abandon_run(log)
