"""Who executes a job, and whether that executor is dead."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

from holdfast._process import Identity, is_alive, this_process

_ENDED = frozenset(
    {
        *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL"),
        *("OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT"),
    }
)


def executor_id() -> str:
    """Return who runs this process: its SLURM job (of an array: its task), or its pid."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    if array and task:
        return f"slurm:{array}_{task}"
    job = os.environ.get("SLURM_JOB_ID")
    return f"slurm:{job}" if job else f"pid:{os.getpid()}"


def process() -> dict[str, Any]:
    """Return the identity of this process as it stands in a journal."""
    return this_process().to_dict()


def is_dead(executor: str | None, recorded: Mapping[str, Any] | None) -> bool:
    """Whether the executor of a job is known to be dead; what cannot be seen counts as alive."""
    identity = Identity.from_dict(recorded) if recorded else None
    if identity is not None and is_alive(identity) is not None:
        return is_alive(identity) is False
    if executor is not None and executor.startswith("slurm:"):
        return _slurm_ended(executor.removeprefix("slurm:"))
    return False


def _slurm_ended(job: str) -> bool:
    """Ask SLURM; a job it does not know any more has ended, an answer it does not give is none."""
    if not job.replace("_", "").isdigit() or shutil.which("squeue") is None:
        return False
    command = ["squeue", "--noheader", "--format=%T", "--states=all", f"--jobs={job}"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    if answer.returncode:
        return "Invalid job id" in answer.stderr
    states = set(answer.stdout.split())
    return bool(states) and states <= _ENDED
