"""Which schemas a task had when runs were made, so that a miss can say what has changed since.

``.schemas/<task>/<hash>.json`` in a store is one schema. The metadata of every run hold its schema
too; this folder only saves reading them all, and can be lost without harm.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from holdfast._atomic import create_bytes
from holdfast._plain import dump_json, from_plain
from holdfast._sync import Durability
from holdfast.canonical import canonical_text
from holdfast.errors import AlreadyExistsError
from holdfast.store._task import Task


def remember(folder: Path, task: Task) -> None:
    """Note the schema of a task whose run begins; best effort."""
    path = folder / task.slug / f"{_hash(task.schema.described)}.json"
    if not path.exists():
        with contextlib.suppress(AlreadyExistsError, OSError):
            create_bytes(path, dump_json(task.schema.described), Durability())


def changes(folder: Path, task: Task, given: set[str]) -> list[str]:
    """Return what has changed in a task since earlier runs that could make a run be missed.

    Parameters
    ----------
    folder : Path
        The schemas of a store.
    task : Task
        As it is now.
    given : set of str
        Parameters that the user passed, whose defaults therefore do not matter.
    """
    told: dict[str, None] = {}
    for earlier in _earlier(folder / task.slug, _hash(task.schema.described)):
        told |= dict.fromkeys(differences(earlier, task, given))
    return list(told)


def differences(earlier: Mapping[str, Any], task: Task, given: set[str]) -> Iterator[str]:
    """Yield what differs between an earlier schema of a task and its present one."""
    now = task.schema.described
    for name in sorted(now.keys() - earlier.keys() - task.added.keys()):
        if "default" in now[name]:
            yield (
                f"parameter {name} is new; earlier runs are found again if the task declares how "
                f"it behaved without it, such as added={{{name!r}: {_default(now[name])!r}}}"
            )
    for name in sorted(earlier.keys() - now.keys()):
        yield f"parameter {name} was removed; runs made with it are other runs"
    for name in sorted(earlier.keys() & now.keys() - given):
        before, after = earlier[name], now[name]
        if not isinstance(before, Mapping) or "default" not in before:
            continue
        if canonical_text(before["default"]) != canonical_text(after.get("default")):
            yield (
                f"the default of {name} was {_default(before)!r} and is {_default(after)!r} now; "
                f"for the earlier runs pass {name}={_default(before)!r}"
            )


def _default(entry: Mapping[str, Any]) -> Any:
    return from_plain(entry.get("default"))


def _hash(described: Mapping[str, Any]) -> str:
    return hashlib.blake2b(canonical_text(described).encode(), digest_size=8).hexdigest()


def _earlier(folder: Path, present: str) -> Iterator[dict[str, Any]]:
    try:
        names = sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        if name.endswith(".json") and name != f"{present}.json":
            with contextlib.suppress(OSError, ValueError):
                value = json.loads((folder / name).read_bytes())
                if isinstance(value, dict):
                    yield value
