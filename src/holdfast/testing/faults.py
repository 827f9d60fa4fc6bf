"""Faults at the system calls that change files: an observer before each, or an error at the k-th.

An observer that copies the folder has what a crash before that call would leave. Stores to mapped
pages are no calls; they are seen in the copy.
"""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

CALLS = (
    "pwrite",
    "write",
    "ftruncate",
    "rename",
    "replace",
    "link",
    "unlink",
    "rmdir",
    "mkdir",
    "fsync",
    "posix_fallocate",
    "open",
)
"""Functions of `os` that are watched, as far as the system has them; `open` where it may make."""

_TAKE_NO_SPACE = ("unlink", "rmdir")
_WRITES = ("pwrite", "write")


@dataclass(frozen=True, slots=True)
class Call:
    """A system call.

    Attributes
    ----------
    name : str
        Its name.
    target : str
        The path it is about; of a rename or a link, the old one.
    content : bytes
        What it writes, if it writes.
    offset : int
        Where, if it is a `pwrite`.
    """

    name: str
    target: str
    content: bytes = b""
    offset: int = 0


@dataclass(slots=True)
class Faults:
    """What is to go wrong, and what was seen.

    Attributes
    ----------
    at : int or None
        Number of the call, from 0, that raises `error`; None: none.
    error : int
        Number of the error.
    lasting : bool
        Whether all later calls but `unlink` raise it, too, until `heal`.
    before, after : callable, optional
        Called with each call before it is done, and after it has succeeded.
    calls : list of (str, str)
        Names and targets of the calls seen.
    """

    at: int | None = None
    error: int = 0
    lasting: bool = False
    before: Callable[[Call], None] | None = None
    after: Callable[[Call], None] | None = None
    calls: list[tuple[str, str]] = field(default_factory=list)
    _lock: Any = field(default_factory=threading.RLock)

    def heal(self) -> None:
        """Let nothing go wrong from now on."""
        self.at = None

    def meet(self, call: Call, do: Callable[[], Any]) -> Any:
        """Do a call, or raise what is to happen instead."""
        with self._lock:
            number = len(self.calls)
            self.calls.append((call.name, call.target))
            if self._is_due(number, call.name):
                raise OSError(self.error, os.strerror(self.error), call.target)
            if self.before is not None:
                self.before(call)
            result = do()
            if self.after is not None:
                self.after(call)
            return result

    def _is_due(self, number: int, name: str) -> bool:
        if self.at is None or (self.error == errno.ENOSPC and name in _TAKE_NO_SPACE):
            return False
        return number == self.at or (self.lasting and number > self.at and name != "unlink")


@contextmanager
def injected(faults: Faults, *, below: Path) -> Iterator[Faults]:
    """Watch the calls that change files below a folder, and let them go wrong as `faults` says."""
    folder = f"{below}{os.sep}"
    linked: dict[str, str] = {}

    def watched(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **keywords: Any) -> Any:
            target = _target(args[0])
            target = linked.get(target, target)
            if not f"{target}{os.sep}".startswith(folder) or not _changes(name, args):
                return real(*args, **keywords)
            content = bytes(args[1]) if name in _WRITES else b""
            offset = args[2] if name == "pwrite" else 0
            if name == "link":  # of a file that is open the system only tells its first name
                linked[f"{target} (deleted)"] = str(os.path.abspath(args[1]))
            seen = Call(name, target, content, offset)
            return faults.meet(seen, lambda: real(*args, **keywords))

        return call

    replaced = {name: watched(name, getattr(os, name)) for name in CALLS if hasattr(os, name)}
    with mock.patch.multiple("os", **replaced):  # type: ignore[call-overload]  # names are data
        yield faults


def _changes(name: str, args: tuple[Any, ...]) -> bool:
    """Whether a call changes anything; opening changes only where it may make or cut a file."""
    if name == "open":
        return bool(args[1] & (os.O_CREAT | os.O_TRUNC))
    if name == "unlink":
        return os.path.lexists(args[0])
    return True


def _target(first: Any) -> str:
    if not isinstance(first, int):
        return str(os.path.abspath(first))
    try:
        return os.readlink(f"/proc/self/fd/{first}")
    except OSError:
        return f"descriptor {first}"
