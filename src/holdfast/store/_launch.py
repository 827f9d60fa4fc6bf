"""Launching runs: claim, begin, call the task, finish. See ``design/012-claims.md``."""

import time
from collections.abc import Iterable
from concurrent.futures import Executor, Future, as_completed
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

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


@dataclass(frozen=True, slots=True)
class Launch:
    """A run that this process has begun and has to finish."""

    run: Run
    log: Logbook
    claim: Claim
    seed: int


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
        store.claims.tidy(run.id)  # of a process that was killed between its last two steps
        return
    run.task.grown(run.plain)  # a run that cannot go on is left as it is
    until = None if timeout is None else time.monotonic() + timeout
    pause, waited = FIRST_LOOK, False
    while True:
        begun = store.claims.holder(run.id) or _begun(run, waited=waited)
        if begun is None:
            return
        if isinstance(begun, Launch):
            _work(begun)
            return
        if if_claimed == "skip":
            return
        _refuse_waiting(run, begun, if_claimed, until)
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


# Beginning


def _begun(run: Run, *, waited: bool) -> Launch | Holder | None:
    """Claim and begin a run; tell who else has it; None if nothing is to be done."""
    claims = run.store.claims
    with claims.locked(run.id):
        claim = claims.take(run.id)
        if isinstance(claim, Holder):
            return claim
        try:
            begun = _begin(run, claim, waited=waited)
        except BaseException:
            claim.release()
            raise
        if not isinstance(begun, Launch):
            claim.release()
            return begun
    run.store.note(begun.log.path)
    return begun


def _begin(run: Run, claim: Claim, *, waited: bool) -> Launch | Holder | None:
    path = run.store.locate(run.name)
    how, told = "new", {}
    if path is not None:
        reader = LogReader(path)
        meta = reader.meta
        state = state_of(path, meta)
        if state == "complete":
            return None
        if state == "running":
            if writer_of(meta) != this_process():
                return Holder(writer_of(meta))
            # This process has let go of the claim, so it works on the run no more.
            fail_run(path, "its end could not be recorded")
            state = "failed"
        if state == "failed" and waited and claim.is_first:
            raise StateError(
                f"{run!r} failed in the process that was waited for "
                f"({meta.get('failure_reason', 'no reason given')}); launch it again to retry"
            )
        told = told_task(reader)
        writer = writer_of(meta)
        # Whoever cannot be seen may still have the run's files open.
        dead = writer is not None and is_alive(writer) is False
        how = "resume" if state == "interrupted" and dead and run.task.resume else "retry"
    return _opened(run, claim, how, told)


def _opened(run: Run, claim: Claim, how: Any, earlier: dict[str, Any]) -> Launch:
    drawn = earlier.get("drawn_seed") if how == "resume" else None
    if run.seed is None and drawn is None:
        drawn = draw()
    task, told = run.task, _told(run, earlier) | {"drawn_seed": drawn}
    remember(run.store.schemas, task)
    path = run.store.place(run.name)
    log = open_run(path, how, params=run.params, fields={"task": told})
    return Launch(run, log, claim, drawn if run.seed is None else run.seed)  # type: ignore[arg-type]  # one of the two is there


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


def _work(begun: Launch) -> None:
    run, log = begun.run, begun.log
    outer = _launching.set(_launching.get() | {log.path})
    try:
        run.write_pending(log.path)
        with captured(log.path / "artifacts" / OUTPUT, Durability()), seeded(begun.seed):
            value = run.call(log)
        _finish(begun, value)
    except BaseException as error:
        if begun.claim.is_ours:
            _fail(begun, error)
        raise
    finally:
        _launching.reset(outer)
    run.store.note(log.path)


def _finish(begun: Launch, value: Any) -> None:
    if not begun.claim.is_ours:
        raise StateError(
            f"a forked child returned from the task of {begun.run!r}, which its parent finishes; "
            "end such a child by os._exit() within the task"
        )
    with begun.run.store.claims.locked(begun.run.id):
        begun.claim.check()
        save_result(begun.log, value, pickled=begun.run.task.pickle)
        begun.log.mark_complete()
        begun.claim.release()


def _fail(begun: Launch, error: BaseException) -> None:
    """Mark a run failed, unless it is somebody else's by now."""
    try:
        with begun.run.store.claims.locked(begun.run.id):
            if begun.claim.holds():
                begun.log.__exit__(type(error), error, error.__traceback__)
            abandon_run(begun.log)
            begun.claim.release()
    except (HoldfastError, OSError) as second:
        begun.claim.let_go()
        error.add_note(f"While the end of {begun.run!r} was being recorded: {second}")
    begun.run.store.note(begun.log.path)
    error.add_note(f"in {begun.run!r}, {begun.log.path}")
