"""The tracker file itself: YAML for people, and for the ProcessingTracker it is compatible with.

Written by hand because the general writer takes fifty times as long at 100,000 jobs.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from holdfast._yaml import load_yaml
from holdfast.errors import FormatError
from holdfast.jobs._pace import Pace, at_once
from holdfast.jobs._state import JobState, ProcessingStatus

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_WORDS = frozenset(["y", "n", "yes", "no", "true", "false", "on", "off", "null"])
_UNPRINTABLE = re.compile(
    r"[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_NEXT_LINE = "\\n\\\n      "


def render(jobs: Mapping[str, JobState], pace: Pace = at_once) -> bytes:
    """Return the tracker file of these jobs."""
    lines = ["---\nfile_path: .\njobs:"]
    if not jobs:
        lines = ["---\nfile_path: .\njobs: {}"]
    for identity, job in jobs.items():
        pace()
        lines.append(
            f"  {_text(identity)}:\n"
            f"    job_name: {_text(job.job_name)}\n"
            f"    specifier: {_text(job.specifier)}\n"
            f"    status: {int(job.status)}\n"
            f"    executor_id: {_optional(job.executor_id)}\n"
            f"    error_message: {_optional(job.error_message)}\n"
            f"    started_at: {_number(job.started_at)}\n"
            f"    completed_at: {_number(job.completed_at)}"
        )
    lines.append("lock_path: ''\n...\n")
    return "\n".join(lines).encode()


def _number(value: int | None) -> str:
    return "null" if value is None else str(value)


def _optional(value: str | None) -> str:
    return "null" if value is None else _text(value)


def _text(value: str) -> str:
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    # A line of a traceback stands on a line of its own; \ keeps what it begins with.
    return '"' + _NEXT_LINE.join(_line(part) for part in value.split("\n")) + '"'


def _line(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)[1:-1]
    quoted = _UNPRINTABLE.sub(lambda m: f"\\u{ord(m[0]):04x}", quoted)
    return "\\" + quoted if quoted.startswith(" ") else quoted


def parse(content: bytes, where: str) -> dict[str, JobState]:
    """Read a tracker file, of ours or of the original.

    Raises
    ------
    FormatError
        If it is none.
    """
    data = load_yaml(content, where)
    if data is None or data == {}:
        return {}
    # Without any jobs it is another file, which adding some would overwrite.
    jobs = (data["jobs"] or {}) if isinstance(data, dict) and "jobs" in data else None
    if not isinstance(jobs, dict):
        raise FormatError(f"{where} is no tracker file: it has no mapping of jobs; restore it")
    return {str(name): _job(fields, f"{where}: job {name}") for name, fields in jobs.items()}


def _job(fields: Any, where: str) -> JobState:
    try:
        job = JobState(**fields)
        job.status = ProcessingStatus(_whole("status", job.status))
        job.job_name = _as_text("job_name", job.job_name)
        specifier: Any = job.specifier  # whatever the file holds
        job.specifier = _as_text("specifier", "" if specifier is None else specifier)
        for name, check in _OPTIONAL.items():
            value = getattr(job, name)
            setattr(job, name, value if value is None else check(name, value))
    except (TypeError, ValueError) as error:
        raise FormatError(f"{where} is not as a tracker writes it: {error}; correct it") from None
    return job


def _as_text(name: str, value: Any) -> str:
    if isinstance(value, str | int | float):  # 4711, written by hand, is a number to YAML
        return str(value)
    raise TypeError(f"{name} must be text, not of type {type(value).__name__}")


def _whole(name: str, value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise TypeError(f"{name} must be a whole number, not of type {type(value).__name__}")


_OPTIONAL = {
    "executor_id": _as_text,
    "error_message": _as_text,
    "started_at": _whole,
    "completed_at": _whole,
}
