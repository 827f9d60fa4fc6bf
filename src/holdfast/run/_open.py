"""Runs in folders that somebody else names, as a store does."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from holdfast._sync import SyncMode
from holdfast.run._logbook import Logbook
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


def abandon_run(log: Logbook) -> None:
    """Stop writing a run without marking it; every later call on its logbook is refused."""
    log._session.supersede()  # noqa: SLF001 - of this room
