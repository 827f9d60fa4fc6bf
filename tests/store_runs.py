"""Runs laid into a store as tasks leave them, by means of a logbook alone, and what edits them."""

import json
import shutil
import sys
import textwrap
from pathlib import Path
from typing import Any

from holdfast import Logbook, LogReader, Run
from holdfast.canonical import identity
from holdfast.store import _task
from holdfast.store._index import Index


def begin(store: Path, task: str = "simulate", /, **params: Any) -> Logbook:
    """Begin a run of a task; `group` and `seed` are not parameters but the run's own."""
    own = {name: params.pop(name) for name in ("group", "seed", "replicate") if name in params}
    digits = identity(task, params, seed=own.get("seed"), replicate=own.get("replicate", 0))
    fields = {
        "name": task,
        "identity": digits,
        "params": params,
        "replicate": 0,
        "seed": None,
        "drawn_seed": None,
        "schema": {},
        "code": "c0de",
        "group": None,
        "group_pattern": None,
    } | own
    made = Logbook(f"{task}-{digits}", store, params=params)
    made.meta(task=fields)
    return made


def finish(store: Path, task: str = "simulate", /, **params: Any) -> Path:
    """Make a run that has completed."""
    metrics = params.pop("metrics", None)
    log = begin(store, task, **params)
    if metrics is not None:
        log.json("metrics", metrics)
    log.mark_complete()
    return log.path


def kill(path: Path) -> None:
    """Make a run look as if its process had died: by a start time that no process has."""
    file = path / "metadata.json"
    meta = json.loads(file.read_bytes())
    meta["environment"]["process_start"] = 1
    file.write_text(json.dumps(meta))


def delete(path: Path) -> None:
    """Remove a run by hand."""
    shutil.rmtree(path)


def answers(index: Index) -> dict[str, tuple[Any, ...]]:
    """Return what an index says of each run, by folder."""
    return {
        Path(row["directory"]).name: (row["state"], row.get("dt"), row["task"])
        for row in index.table()
    }


def truth(store: Path) -> dict[str, tuple[Any, ...]]:
    """Return the same, read from each run directory."""
    found = {}
    for path in store.iterdir():
        if not path.name.startswith(".") and (path / "metadata.json").is_file():
            run = LogReader(path)
            found[path.name] = (
                run.state,
                run.params.get("dt"),
                run.meta.get("task", {}).get("name"),
            )
    return found


def edit_metadata(run: Run, **changes: Any) -> None:
    """Change by hand what the metadata of a run tell of its task."""
    path = run.directory / "metadata.json"
    meta = json.loads(path.read_bytes())
    meta["task"] |= changes
    path.write_text(json.dumps(meta))


def module(name: str, text: str) -> None:
    """Write a module of the project, and let an earlier one of its name be forgotten."""
    Path(f"{name}.py").write_text(textwrap.dedent(text))
    sys.modules.pop(name, None)
    _task._known.pop(name, None)
