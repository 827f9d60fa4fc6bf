"""`Entry`: one run directory as the index keeps it; damage is told in it, not raised."""

import datetime as dt
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from holdfast._names import inside, safe_name
from holdfast._plain import dump_json, load_json, to_plain
from holdfast._process import Identity, is_alive
from holdfast.errors import FormatError
from holdfast.query import encoded
from holdfast.run import LogReader, run_id_of
from holdfast.store._index._scan import (
    ALWAYS,
    IF_CHANGED,
    METRICS_FILE,
    NEVER,
    RESULT_FILE,
    lies_still,
    signature,
)

_ENDED = ("complete", "failed")
_DAMAGE = (ValueError, OSError)
"""What reading one run may raise: ours, or what YAML says to the 31st of June."""

MOST_TEXT = 200
"""The longest text of a result that the index keeps; what is longer is data, not a value."""

_NO_FOLLOW = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a named pipe must not keep us waiting
    | getattr(os, "O_BINARY", 0)
)


_PIECE = 1 << 14


@dataclass(slots=True)
class Entry:
    """What the index keeps of one folder.

    Attributes
    ----------
    folder : str
        Its name in the store.
    inode : int or None
        As the listing of the store told it.
    signature : str or None
        That of the files it was read from; None without metadata: it is no run (yet).
    look : int
        When to look at it again.
    fields : dict
        The columns of ``runs`` apart from `folder`, ``params`` and ``metrics``.
    params, metrics : dict
        Values by name, as they were nested.
    """

    folder: str
    inode: int | None = None
    signature: str | None = None
    look: int = IF_CHANGED
    fields: dict[str, Any] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)


def read_entry(
    directory: str | os.PathLike[str],
    folder: str,
    inode: int | None = None,
    *,
    noted: bool = False,
) -> Entry:
    """Read what a folder says of itself.

    Parameters
    ----------
    directory : path
        The store.
    folder : str
        The name of the folder in it, or any path.
    inode : int, optional
        As the listing of the store told it.
    noted : bool
        Whether whoever changed the run tells of it, and will again; a complete run is then final.
    """
    path = os.path.join(directory, folder)
    # Before the files are read: a change from now on shows.
    entry = Entry(folder, inode, signature(path))
    if entry.signature is None:
        return entry
    problems: list[str] = []
    entry.fields = {"state": "unreadable"}
    try:
        meta = _metadata(path)
        entry.fields |= _fields(meta)
        entry.fields["state"], entry.look = _state(path, meta)
        entry.params = _params(path, meta)
    except FileNotFoundError:
        return Entry(folder, inode)  # it went away meanwhile
    except _DAMAGE as error:
        problems.append(str(error))
    else:
        _check_folder(folder, entry, problems)
        entry.metrics = _metrics(path, meta, problems) | _result(path)
    if "run_id" not in entry.fields:
        entry.fields["run_id"] = _text(run_id_of(Path(path)))
    if problems:
        entry.fields["problem"] = _text("; ".join(problems))
    elif entry.fields["status"] == "complete" and (noted or lies_still(path)):
        entry.look = NEVER
    return entry


def _metadata(path: str) -> dict[str, Any]:
    """Read metadata fast; whatever is unusual is left to `LogReader`, which says what is wrong."""
    try:
        content = _content(f"{path}/metadata.json")
        meta = msgspec.json.decode(content)
    except FileNotFoundError:
        raise
    except (OSError, msgspec.MsgspecError, RecursionError):
        return LogReader(path).meta
    usual = isinstance(meta, dict) and b'"$' not in content
    return (
        meta if usual and meta.get("status") in (*_ENDED, "initialized") else LogReader(path).meta
    )


def _fields(meta: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {"status": meta["status"], "attempt": _number(meta.get("attempt"))}
    if meta.get("run_id") is not None:
        fields["run_id"] = _text(str(meta["run_id"]))
    started = _string(meta.get("start_time"))
    fields |= {
        "started": started,
        "timestamp": _seconds(started),
        "finished": _string(meta.get("end_time")),
        "runtime": _number(meta.get("runtime_sec")),
        "reason": _string(meta.get("failure_reason")),
    }
    task = meta.get("task")
    return fields | _task_fields(task) if isinstance(task, dict) else fields


def _task_fields(task: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "task": _string(task.get("name")),
        "identity": _string(task.get("identity")),
        "replicate": _number(task.get("replicate")),
        "seed": _number(task.get("seed")),
        "drawn_seed": _number(task.get("drawn_seed")),
        "code": _string(task.get("code")),
        "group_name": _string(task.get("group")),
        "group_pattern": _string(task.get("group_pattern")),
    }


def _state(path: str, meta: Mapping[str, Any]) -> tuple[str, int]:
    """Return the state of a run, and when it may be another."""
    if meta["status"] in _ENDED:
        return meta["status"], IF_CHANGED
    state = LogReader(path).state
    environment = meta.get("environment")
    writer = Identity.from_dict(environment) if isinstance(environment, dict) else None
    dead = writer is not None and is_alive(writer) is False
    # The kernel's word that the writer is dead is final; a heartbeat's is not.
    return state, IF_CHANGED if state == "interrupted" and dead else ALWAYS


def _params(path: str, meta: Mapping[str, Any]) -> dict[str, Any]:
    task = meta.get("task")
    if isinstance(task, dict) and isinstance(task.get("params"), dict):
        return dict(task["params"])
    return LogReader(path).params


def _check_folder(folder: str, entry: Entry, problems: list[str]) -> None:
    """Take the identity from a run whose folder has another name, which is not found by it."""
    identity = entry.fields.get("identity")
    if identity is not None and not folder.endswith(f"-{identity}"):
        entry.fields["identity"] = None
        problems.append(
            f"{folder} was copied or renamed: its name does not end with the identity {identity}, "
            "so that get() does not find it; rename it back, or delete the copy"
        )


def _metrics(path: str, meta: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    try:
        name = safe_name(str(meta.get("metrics_file", METRICS_FILE)), "metrics file")
        values = _load(path, name)
        if not isinstance(values, dict):
            raise FormatError("no JSON object of names and values")
    except FileNotFoundError:
        return {}
    except _DAMAGE as error:
        problems.append(f"metrics of {path}: {error}")
        return {}
    return values


def _result(path: str) -> dict[str, Any]:
    """Return what can be asked for of a task's result: a number or text, or several by name."""
    try:
        value = _load(path, RESULT_FILE)
    except _DAMAGE:  # there is none, or its reader will say what is wrong
        return {}
    named = flat(value, "result.") if isinstance(value, dict) else [("result", value)]
    return {name: cell for name, cell in named if _can_be_asked_for(cell)}


def _can_be_asked_for(value: Any) -> bool:
    return isinstance(value, int | float) or (isinstance(value, str) and len(value) <= MOST_TEXT)


def _load(path: str, name: str) -> Any:
    """Read a JSON file of a run, which most runs do not have."""
    file = f"{path}/{name}"
    if not os.access(file, os.F_OK):
        raise FileNotFoundError
    if name.count("/") > 1 or os.path.islink(os.path.dirname(file)) or os.path.islink(file):
        file = os.path.realpath(inside(Path(path), name))  # refuses what leads out of the run
    content = _content(file)
    try:
        value = msgspec.json.decode(content)
    except (msgspec.MsgspecError, RecursionError):
        return load_json(content, name)  # takes NaN, or says what is wrong
    return load_json(content, name) if b'"$' in content else value


def _content(path: str) -> bytes:
    """Return what a file holds, which is most often little; nothing is waited for."""
    descriptor = os.open(path, _NO_FOLLOW)
    try:
        pieces = [os.read(descriptor, _PIECE)]
        while len(pieces[-1]) == _PIECE:
            pieces.append(os.read(descriptor, _PIECE))
    finally:
        os.close(descriptor)
    return b"".join(pieces)


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield values by dotted names: None, bool, int, float or text; lists are text, as JSON."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield _text(prefix + str(name)), _cell(value)


def _cell(value: Any) -> Any:
    if value is None or type(value) in (bool, int, float):
        return value
    if type(value) is str:
        return _text(value)
    if isinstance(value, complex):
        return str(value)
    plain = to_plain(value, "value")
    if isinstance(plain, list | dict):
        plain = json.dumps(plain, ensure_ascii=False)
    return _text(plain) if isinstance(plain, str) else plain


def as_json(values: Mapping[str, Any]) -> str:
    """Return values as the text that the index keeps of them."""
    try:
        return json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError):  # what JSON lacks
        pass
    return dump_json(to_plain(values, "values"), indent=0).decode().rstrip("\n")


def _text(text: str) -> str:
    """Return text that UTF-8 can hold: half a surrogate pair is shown as its escape."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _string(value: Any) -> str | None:
    return _text(value) if isinstance(value, str) else None


def _number(value: Any) -> Any:
    is_one = isinstance(value, int | float) and not isinstance(value, bool)
    return encoded(value) if is_one else None


def _seconds(time: str | None) -> float | None:
    try:
        return dt.datetime.fromisoformat(time).timestamp() if time else None
    except (ValueError, OverflowError, OSError):
        return None
