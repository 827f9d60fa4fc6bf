"""The journal: one checksummed line for each change, and the jobs that follow from them.

A line is eight hexadecimal digits (CRC-32 of the rest), a space, and a JSON object whose ``op``
says what happened. Replaying a stretch of lines over a state that has them in already gives that
state again; the protocol of folding rests on it (design/015-job-tracker.md).
"""

import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from holdfast.jobs._pace import Pace, at_once
from holdfast.jobs._state import JobState, ProcessingStatus

Line = dict[str, Any]

_FIELDS = ("executor_id", "error_message", "started_at", "completed_at")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

HEAD_BYTES = 512
"""The first line, which names the journal, is shorter than this."""


def line(**fields: Any) -> bytes:
    """Return a line of the journal."""
    content = _encode(fields)
    return b"%08x %b\n" % (zlib.crc32(content), content)


def head(stamp: "Stamp | None") -> bytes:
    """Return the first line of a new journal, with a name that no other has."""
    return line(op="base", format=1, name=os.urandom(16).hex(), yaml=stamp and stamp.to_list())


def read_line(raw: bytes) -> Line | None:
    """Read a line without its end; None if it is torn or damaged."""
    try:
        if int(raw[:8], 16) != zlib.crc32(raw[9:]) or raw[8:9] != b" ":
            return None
        found = _decode(raw[9:])
    except (ValueError, msgspec.DecodeError):
        return None
    return found if isinstance(found, dict) else None


def journal_name(beginning: bytes) -> str | None:
    """Return the name of a journal from its first bytes; None if they are not one's."""
    first = read_line(beginning.partition(b"\n")[0])
    return str(first["name"]) if first is not None and first.get("op") == "base" else None


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a tracker file looked like when it was written: size, time, and digest."""

    size: int
    mtime_ns: int
    digest: str

    def to_list(self) -> list[Any]:
        """Return it as it stands in a journal."""
        return [self.size, self.mtime_ns, self.digest]

    def looks_like(self, status: os.stat_result) -> bool:
        """Whether a file seems to be the one that was stamped."""
        return (self.size, self.mtime_ns) == (status.st_size, status.st_mtime_ns)


@dataclass(slots=True)
class Replayed:
    """The jobs as of a position in a journal.

    Attributes
    ----------
    jobs : dict
        By id.
    processes : dict
        Who runs a job, by its id: the process's identity, as far as it is known.
    name : str or None
        The journal's name.
    position : int
        The byte up to which it was read.
    stamp, folded : Stamp or None, int
        The tracker file of the last fold, and the byte up to which it holds the journal.
    lines : int
        How many lines were read.
    """

    jobs: dict[str, JobState] = field(default_factory=dict)
    processes: dict[str, Line] = field(default_factory=dict)
    name: str | None = None
    position: int = 0
    stamp: Stamp | None = None
    folded: int = 0
    lines: int = 0

    def read(self, content: bytes, pace: Pace = at_once) -> int:
        """Take in what follows `position`, and return how many lines are damaged.

        A line that is not yet ended waits for the next reading.
        """
        end = content.rfind(b"\n") + 1
        torn = 0
        for start, raw in _lines(content, end):
            pace()
            found = read_line(raw)
            if found is None:
                torn += bool(raw)
            else:
                self._apply(found, self.position + start + len(raw) + 1)
            self.lines += 1
        self.position += end
        return torn

    def replay(self, content: bytes) -> None:
        """Apply lines to what is there, without reading them as part of this journal."""
        for _, raw in _lines(content, content.rfind(b"\n") + 1):
            found = read_line(raw)
            if found is not None and found["op"] not in ("base", "folded"):
                self._change(found)

    def _apply(self, found: Line, end: int) -> None:
        if found["op"] == "base":
            self.name, self.folded = found["name"], end
            self.stamp = Stamp(*found["yaml"]) if found["yaml"] else None
        elif found["op"] == "folded":
            self.stamp, self.folded = Stamp(*found["yaml"]), found["upto"]
        else:
            if found["op"] == "job":
                self.folded = end  # the state that the tracker file of the first line holds
            self._change(found)

    def _change(self, found: Line) -> None:
        match found["op"]:
            case "add":
                self.jobs.setdefault(found["id"], JobState(found["name"], found["spec"]))
            case "job":
                self._put(found)
            case "clear":
                self.jobs.clear()
                self.processes.clear()
            case "reset":
                for identity in found["ids"]:
                    self._move(identity, ProcessingStatus.SCHEDULED, {})
            case "start":
                self._start(found)
            case "succeed" | "fail":
                self._end(found)

    def _put(self, found: Line) -> None:
        fields = {name: found.get(name) for name in _FIELDS}
        self.jobs[found["id"]] = JobState(
            found["name"], found["spec"], ProcessingStatus(found["status"]), **fields
        )
        if found.get("process"):
            self.processes[found["id"]] = found["process"]

    def _start(self, found: Line) -> None:
        fields = {"executor_id": found["executor"], "started_at": found["at"]}
        self._move(found["id"], ProcessingStatus.RUNNING, fields)
        if found.get("process"):
            self.processes[found["id"]] = found["process"]

    def _end(self, found: Line) -> None:
        job = self.jobs.get(found["id"])
        if job is not None:
            failed = found["op"] == "fail"
            status = ProcessingStatus.FAILED if failed else ProcessingStatus.SUCCEEDED
            fields = {
                "executor_id": job.executor_id,
                "started_at": job.started_at,
                "completed_at": found["at"],
                "error_message": found.get("error"),
            }
            self._move(found["id"], status, fields)

    def _move(self, identity: str, status: ProcessingStatus, fields: Mapping[str, Any]) -> None:
        job = self.jobs.get(identity)
        self.processes.pop(identity, None)
        if job is not None:
            job.status = status
            for name in _FIELDS:
                setattr(job, name, fields.get(name))

    def snapshot(self, stamp: Stamp, pace: Pace = at_once) -> bytes:
        """Return a new journal that begins with these jobs."""
        parts = [head(stamp)]
        for identity, job in self.jobs.items():
            pace()
            fields = {name: getattr(job, name) for name in _FIELDS}
            parts.append(
                line(
                    op="job",
                    id=identity,
                    name=job.job_name,
                    spec=job.specifier,
                    status=int(job.status),
                    process=self.processes.get(identity),
                    **{name: value for name, value in fields.items() if value is not None},
                )
            )
        return b"".join(parts)


def _lines(content: bytes, end: int) -> Iterator[tuple[int, bytes]]:
    start = 0
    for raw in content[:end].split(b"\n")[:-1]:
        yield start, raw
        start += len(raw) + 1
