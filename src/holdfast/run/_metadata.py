"""``metadata.json``: what it holds, reading it, and the state of a run that follows from it."""

import datetime as dt
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from holdfast._names import inside
from holdfast._plain import load_json, to_plain
from holdfast._process import Identity, is_alive, is_fresh
from holdfast.errors import FormatError, InvalidInputError
from holdfast.run._environment import environment
from holdfast.run._layout import FORMAT_VERSION, LOG, METADATA

Status = Literal["initialized", "complete", "failed"]
State = Literal["running", "interrupted", "complete", "failed"]

RESERVED = frozenset(
    [
        "run_id",
        "status",
        "start_time",
        "end_time",
        "runtime_sec",
        "failure_reason",
        "failure_traceback",
        "format_version",
        "environment",
        "attempt",
        "resumed_at",
    ]
)
"""The fields that Holdfast itself writes; ``Logbook.meta`` refuses them."""


def now() -> str:
    """Return the local time with its offset from UTC, in ISO 8601 with microseconds."""
    return dt.datetime.now().astimezone().isoformat(timespec="microseconds")


def first_metadata(run_id: str, attempt: int) -> dict[str, Any]:
    """Return what the metadata of a run say when it begins, as plain data."""
    return {
        "run_id": run_id,
        "status": "initialized",
        "start_time": now(),
        "format_version": FORMAT_VERSION,
        "attempt": attempt,
        "environment": to_plain(environment(), "environment"),
    }


def check_fields(fields: Mapping[str, Any], taken_too: Collection[str] = ()) -> None:
    """Refuse fields that would change what a run says of itself.

    Parameters
    ----------
    fields : mapping
        What the user wants to add.
    taken_too : collection of str
        Further names that are not the user's.

    Raises
    ------
    InvalidInputError
        If a name is reserved.
    """
    taken = sorted((RESERVED | set(taken_too)) & fields.keys())
    if taken:
        raise InvalidInputError(
            f"metadata field {', '.join(map(repr, taken))} is written by the run itself; "
            "choose another name, or use mark_complete() or mark_failed()"
        )


def read_metadata(run: Path) -> dict[str, Any]:
    """Read ``metadata.json`` of a run directory.

    Raises
    ------
    FileNotFoundError
        If there is none.
    FormatError
        If it is damaged.
    InvalidInputError
        If it is a symlink out of the run.
    """
    path = inside(run, METADATA)
    meta = load_json(path.read_bytes(), str(path))
    if not isinstance(meta, dict) or not isinstance(meta.get("status"), str):
        raise FormatError(
            f"{path} holds no run's metadata (an object with a status); restore it from a copy"
        )
    if meta["status"] not in get_args(Status):
        raise FormatError(
            f"{path} has the unknown status {meta['status']!r}; was it written by a later version "
            "of Holdfast? Read it with that"
        )
    return meta


def state_of(run: Path, meta: Mapping[str, Any]) -> State:
    """Derive the state of a run: whether an unfinished one is running or was interrupted.

    A writer on this machine is looked up as a process. One elsewhere is judged by its heartbeat,
    the modification time of ``log.txt``.
    """
    ended = _ended(meta)
    if ended is not None:
        return ended
    if _lives(run, meta):
        return "running"
    # The writer may have marked the run and ended between the two looks; now its word is final.
    return _ended(read_metadata(run)) or "interrupted"


def _ended(meta: Mapping[str, Any]) -> Literal["complete", "failed"] | None:
    match meta["status"]:
        case "complete":
            return "complete"
        case "failed":
            return "failed"
    return None


def _lives(run: Path, meta: Mapping[str, Any]) -> bool:
    writer = writer_of(meta)
    alive = is_alive(writer) if writer else None
    if alive is not None:
        return alive
    try:
        return is_fresh((run / LOG).stat().st_mtime)
    except FileNotFoundError:
        return False


def writer_of(meta: Mapping[str, Any]) -> Identity | None:
    """Return the process that writes or wrote a run; None where its metadata do not say."""
    environment = meta.get("environment")
    return Identity.from_dict(environment) if isinstance(environment, Mapping) else None
