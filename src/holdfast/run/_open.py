"""Runs in folders that somebody else names, as a store does."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from holdfast._atomic import replace_bytes
from holdfast._names import inside
from holdfast._plain import dump_json
from holdfast._sync import Durability, SyncMode
from holdfast.run._layout import METADATA
from holdfast.run._logbook import Logbook
from holdfast.run._metadata import now, read_metadata
from holdfast.run._session import How


def open_run(
    path: Path,
    how: How = "new",
    *,
    params: Any = None,
    fields: Mapping[str, Any] | None = None,
    sync: SyncMode = "background",
    stream_options: Mapping[str, Any] | None = None,
) -> Logbook:
    """Begin a run in a folder of any name, or begin it again.

    Parameters
    ----------
    path : Path
        The run directory; its name is the run id.
    how : {"new", "retry", "resume"}
        ``new``: there is no such folder. ``retry``: what a failed or interrupted run left goes into
        ``attempts/<n>/``. ``resume``: an interrupted run goes on where it is; its parameters stay.
    params : mapping or dataclass, optional
        As for `Logbook`.
    fields : mapping, optional
        Fields that its metadata have from the first moment, and `Logbook.meta` does not change.
    sync : {"background", "always"}
        As for `Logbook`.
    stream_options : mapping, optional
        As for `Logbook`.

    Raises
    ------
    AlreadyExistsError
        If the folder of a new run is there.
    StateError
        If the state of the run does not allow it.
    """
    log = Logbook.__new__(Logbook)
    log._set_up_at(  # noqa: SLF001 - of this room
        path, how, params, fields or {}, sync=sync, stream_options=stream_options
    )
    return log


def fail_run(path: Path, reason: str) -> None:
    """Mark a run failed that this process began, and whose end could not be recorded then.

    The caller knows that nobody writes it any more.
    """
    ended = {"status": "failed", "end_time": now(), "failure_reason": reason}
    content = dump_json(read_metadata(path) | ended)
    replace_bytes(inside(path, METADATA), content, Durability())


def abandon_run(log: Logbook) -> None:
    """Stop writing a run without marking it; every later call on its logbook is refused."""
    log._session.supersede()  # noqa: SLF001 - of this room
