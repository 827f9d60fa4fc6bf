"""Going on with a run that was interrupted, in its directory."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from holdfast._atomic import replace_bytes
from holdfast._names import TEMPORARY_PREFIX, inside
from holdfast._plain import dump_json, to_plain
from holdfast._sync import Durability
from holdfast.errors import StateError
from holdfast.run._create import alone
from holdfast.run._environment import environment
from holdfast.run._layout import LOG, METADATA
from holdfast.run._log import make_line
from holdfast.run._metadata import now, read_metadata, state_of


def resume_run(
    path: Path, fields: Mapping[str, Any], durability: Durability, let_go: Callable[[], None]
) -> dict[str, Any]:
    """Make this process the writer of an interrupted run, and return its new metadata.

    The log becomes another file with the same beginning: should the old writer be alive after all,
    it finds that out before its next save.

    Raises
    ------
    StateError
        If the run is in another state.
    """
    with alone(path):
        meta = read_metadata(path)
        state = state_of(path, meta)
        if state != "interrupted":
            raise StateError(f"run {path} is {state}; only an interrupted run is resumed")
        let_go()
        for leftover in path.rglob(f"{TEMPORARY_PREFIX}*"):
            if leftover.is_file():
                leftover.unlink()  # of the killed process; nothing in it was ever accepted
        meta |= {
            **fields,
            "resumed_at": now(),
            "environment": to_plain(environment(), "environment"),
        }
        _continue_log(path, durability)
        replace_bytes(path / METADATA, dump_json(meta), durability)
        return meta


def _continue_log(path: Path, durability: Durability) -> None:
    log = inside(path, LOG)
    before = log.read_bytes() if log.exists() else b""
    ended = before if before.endswith(b"\n") or not before else before + b"\n"
    line = f"{make_line(f'run {path.name} resumed', 'INFO')}\n"
    replace_bytes(log, ended + line.encode("utf-8", "backslashreplace"), durability)
