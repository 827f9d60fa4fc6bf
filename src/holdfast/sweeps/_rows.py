"""One run of an experiment as one flat row: its parameters, what became of it, its metrics."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from holdfast._names import inside, safe_name
from holdfast._plain import load_json, to_plain
from holdfast.errors import FormatError
from holdfast.run import LogReader

IndexStatus = Literal["complete", "missing", "error"]
METRICS_FILE = "artifacts/metrics.json"
ENDED = ("complete", "failed")


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run as the index keeps it.

    Attributes
    ----------
    run_id : str
        Its id.
    params, metrics : dict
        Flat values by name: None, bool, int, float or str.
    status : str
        ``complete`` with metrics, ``missing`` without a metrics file, ``error`` if it is damaged.
    state : str
        running, interrupted, complete, failed, or unreadable if its metadata are damaged.
    """

    run_id: str
    params: dict[str, Any] = field(default_factory=dict)
    status: str = "missing"
    state: str = "running"
    metrics: dict[str, Any] = field(default_factory=dict)


class Reading(NamedTuple):
    """A row, and how far it can be relied on.

    Attributes
    ----------
    row : RunRow
        What the files of the run say.
    signature : str or None
        That of the files it was read from; None if the row must not outlive this reading.
    problem : str or None
        What is damaged, if anything is.
    """

    row: RunRow
    signature: str | None = None
    problem: str | None = None


def read_row(run_id: str, path: Path) -> Reading:
    """Read the row of a run from its directory; damage and loss are told, not raised."""
    found = signature(str(path))  # before the files are read: a change from now on shows
    state, metrics_file = "unreadable", METRICS_FILE
    params: dict[str, Any] = {}
    problems = []
    try:
        run = LogReader(path)
        metrics_file = str(run.meta.get("metrics_file", METRICS_FILE))
        state = run.state
        params = _flat(run.params)
    except (ValueError, OSError) as error:  # ours, or what YAML says to the 31st of June
        problems.append(str(error))
    status, metrics = "missing", {}
    try:
        content = inside(path, safe_name(metrics_file, "metrics file")).read_bytes()
        metrics = _flat(load_metrics(content, path))
        status = "complete"
    except FileNotFoundError:
        pass
    except (ValueError, OSError) as error:
        status = "error"
        problems.append(str(error))
    if problems or metrics_file != METRICS_FILE or state not in ENDED:
        found = None
    row = RunRow(run_id, params, status if state != "unreadable" else "error", state, metrics)
    return Reading(row, found, "; ".join(problems) or None)


def signature(run: str) -> str | None:
    """Return a text that changes whenever the files behind a run's row do; None without metadata.

    Files are replaced by renaming, which changes the inode even where the clock of the file system
    is too coarse to tell two versions apart.
    """
    metadata = _stat(f"{run}/metadata.json")
    params = _stat(f"{run}/params.yaml") or _stat(f"{run}/params.json")
    return metadata and f"{metadata} {params} {_stat(f'{run}/{METRICS_FILE}')}"


def _stat(path: str) -> str | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return f"{found.st_ino:x}.{found.st_mtime_ns:x}.{found.st_size:x}"


def load_metrics(content: bytes, path: Path) -> dict[str, Any]:
    """Parse a metrics file.

    Raises
    ------
    FormatError
        If it is no JSON object.
    """
    metrics = load_json(content, f"metrics of {path}")
    if not isinstance(metrics, dict):
        raise FormatError(f"metrics of {path} are no JSON object of names and values")
    return metrics


def _flat(values: Mapping[Any, Any]) -> dict[str, Any]:
    return {_text(str(name)): _cell(value) for name, value in values.items()}


def _cell(value: Any) -> Any:
    if isinstance(value, complex):
        return str(value)
    plain = to_plain(value, "value")
    if isinstance(plain, list | dict):
        plain = json.dumps(plain, ensure_ascii=False)
    return _text(plain) if isinstance(plain, str) else plain


def _text(text: str) -> str:
    """Return text that UTF-8 can hold: half a surrogate pair is shown as its escape."""
    return text.encode("utf-8", "backslashreplace").decode()
