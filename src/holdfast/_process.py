"""Who is writing, and whether that process still lives.

A pid alone proves nothing: pids are recycled, restart after a reboot, and differ between
containers and hosts. An `Identity` therefore holds the pid with its start time, the boot, the pid
namespace and the host. Judged from elsewhere (another host, another container) only a heartbeat
can tell.
"""

import os
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from holdfast.errors import StateError

HEARTBEAT_INTERVAL = 30.0
"""Seconds between two signs of life of a writer."""

HEARTBEAT_STALE = 300.0
"""Seconds without a sign of life after which a writer elsewhere counts as dead.

Several minutes, because a solver may hold the interpreter for long and network file systems lag.
"""


@dataclass(frozen=True, slots=True)
class Identity:
    """One process on one boot of one machine.

    Attributes
    ----------
    host : str
        Host name.
    pid : int
        Process id within its pid namespace.
    process_start : int or None
        Start time in clock ticks since boot (Linux), which tells recycled pids apart.
    boot_id : str or None
        Identity of the boot (Linux).
    pid_namespace : str or None
        The pid namespace (Linux); containers have their own.
    """

    host: str
    pid: int
    process_start: int | None = None
    boot_id: str | None = None
    pid_namespace: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Identity | None":
        """Read what `to_dict` gave; None where it says too little to judge by."""
        host, pid = data.get("host"), data.get("pid")
        if not isinstance(host, str) or not isinstance(pid, int) or not 0 < pid < 2**31:
            return None
        return cls(
            host, pid, data.get("process_start"), data.get("boot_id"), data.get("pid_namespace")
        )


def _start_time(pid: int) -> int | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The command stands in parentheses and may itself hold spaces and parentheses.
    after = fields[fields.rindex(b")") + 2 :].split()
    state, start = after[0], int(after[19])
    return None if state in (b"Z", b"X") else start  # a zombie writes nothing any more


@lru_cache(maxsize=1)
def boot_id() -> str | None:
    """Return the identity of this boot, None where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None


@lru_cache(maxsize=4)
def _identity_of(pid: int) -> Identity:
    try:
        namespace: str | None = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = None
    return Identity(socket.gethostname(), pid, _start_time(pid), boot_id(), namespace)


def this_process() -> Identity:
    """Return the identity of the calling process."""
    return _identity_of(os.getpid())


def is_alive(identity: Identity) -> bool | None:
    """Tell whether a process lives; None when that cannot be seen from here.

    Another host or another pid namespace cannot be seen into. Another boot is not proof of death
    either: hosts may share a name (``localhost``) on a shared file system.
    """
    here = this_process()
    if (identity.host, identity.boot_id, identity.pid_namespace) != (
        here.host,
        here.boot_id,
        here.pid_namespace,
    ):
        return None
    if identity.process_start is None:
        return _responds(identity.pid)
    started = _start_time(identity.pid)
    if started is None and _is_hidden(identity.pid):
        return None
    return started == identity.process_start


def _is_hidden(pid: int) -> bool:
    """Whether a process of another user lives that ``/proc`` does not show (mounted hidepid)."""
    if os.path.exists(f"/proc/{pid}"):
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except ProcessLookupError:
        return False
    return False


def _responds(pid: int) -> bool | None:
    if os.name != "posix":
        return None  # there, signal 0 would end the process
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def is_fresh(last_sign: float, *, now: float | None = None) -> bool:
    """Tell whether a sign of life, in seconds since the epoch, is recent enough to trust."""
    return (time.time() if now is None else now) - last_sign < HEARTBEAT_STALE


class ForkGuard:
    """Remembers the process that made an object, and refuses the object's use in a forked child.

    A child inherits file offsets, buffers and locks; writing through them would tear what the
    parent writes.
    """

    __slots__ = ("_pid",)

    def __init__(self) -> None:
        self._pid = os.getpid()

    def __bool__(self) -> bool:
        """Whether the caller is the process that made the object."""
        return os.getpid() == self._pid

    def check(self, what: str) -> None:
        """Raise in a forked child.

        Raises
        ------
        StateError
            If the calling process is not the one that made the object.
        """
        if os.getpid() != self._pid:
            raise StateError(
                f"{what} belongs to process {self._pid} and cannot be written by its forked child "
                f"{os.getpid()}; return the values to the parent, or open one of its own there"
            )
