"""`Notice`: what the process that owns a recording tells others that put into it."""

import contextlib
import json
import os
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import xxhash

from holdfast._atomic import replace_bytes
from holdfast._names import TEMPORARY_PREFIX
from holdfast._process import ForkGuard, Identity, is_alive, this_process
from holdfast._sync import Durability
from holdfast.acquisition._alive import producer_lives
from holdfast.acquisition._format import PAGE
from holdfast.acquisition._stored import READING, producer_folders

NOTICE: Final = "recording-"
"""How the names of notices begin."""

_TEXT = 300
"""Characters of an error's text, and of its file's name; they fit the page, escaped or not."""

_TRIES = 3


@dataclass(frozen=True, slots=True)
class Told:
    """What a notice says.

    Attributes
    ----------
    stopped : bool
        Whether the logger was stopped.
    problems : int
        How many problems its process has met.
    error : OSError or None
        The last of them.
    """

    stopped: bool = False
    problems: int = 0
    error: OSError | None = None


class Notice:
    """A page in a logger's folder, which exists once other processes may put.

    Parameters
    ----------
    folder : Path
        The logger's output directory.
    token : str
        Tells the recording from all others.
    """

    def __init__(self, folder: Path, token: str) -> None:
        self.token = token
        self._path = folder / f"{NOTICE}{token}"
        self._guard: ForkGuard | None = None
        self._lock = threading.RLock()
        self._told = Told()
        self._shared = False

    def own(self) -> None:
        """Let this process, but no forked child of it, be the one that tells."""
        self._guard = ForkGuard()

    @property
    def owned(self) -> bool:
        """Whether this process is the one that tells."""
        return bool(self._guard)

    def share(self) -> None:
        """Write the notice, now that another process gets a handle; without effect elsewhere.

        One that was stopped hands that over itself, and needs none until it is started again.
        """
        if not self.owned or self._shared:
            return
        with self._lock:
            self._shared = True
            if not self._told.stopped:
                with contextlib.suppress(OSError):  # tried again once there is something to tell
                    self._write()

    def tell(self, *, stopped: bool | None = None, error: OSError | None = None) -> None:
        """Tell a change, if there is anybody to hear it.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        with self._lock:
            if stopped is not None:
                self._told = replace(self._told, stopped=stopped)
            if error is not None:
                self._told = replace(self._told, problems=self._told.problems + 1, error=error)
            if self._shared:
                self._write()

    def _write(self) -> None:
        content = _packed(self._told)
        for _ in range(_TRIES):
            if not self._path.parent.is_dir():
                return  # somebody deleted the folder; it must not come back for this
            with contextlib.suppress(FileNotFoundError):  # an assembly has just tidied
                self._put_down(content)
                return

    def _put_down(self, content: bytes) -> None:
        try:
            # In place, because that needs no room on a disk that may be full.
            descriptor = os.open(self._path, os.O_WRONLY | getattr(os, "O_CLOEXEC", 0))
        except FileNotFoundError:
            replace_bytes(self._path, content, Durability())
            return
        try:
            os.write(descriptor, content)
            if not os.path.samestat(os.stat(self._path), os.fstat(descriptor)):
                raise FileNotFoundError(self._path)  # another one's, put there since
        finally:
            os.close(descriptor)

    def read(self) -> Told | None:
        """Return what it says; None where there is none, or none that is whole."""
        found = _read(self._path)
        return None if found is None else _told(found)


def problem(number: int | None, text: str, file: str | None = None) -> OSError:
    """Return an error of the system, or one that has no number, as what `put` raises."""
    if number is None:
        return OSError(text if file is None else f"{text}: {file!r}")
    return OSError(number, text, file)


def _packed(told: Told) -> bytes:
    error = told.error
    said: dict[str, Any] = {
        "owner": this_process().to_dict(),
        "stopped": told.stopped,
        "problems": told.problems,
    }
    if error is not None:
        said |= {"errno": error.errno, "text": (error.strerror or str(error))[:_TEXT]}
        said["file"] = None if error.filename is None else str(error.filename)[-_TEXT:]
    body = json.dumps(said, ensure_ascii=False).encode(errors="surrogatepass")
    return (_check(body) + b" " + body).ljust(PAGE, b"\n")


def _check(body: bytes) -> bytes:
    return xxhash.xxh3_64_hexdigest(body).encode()


def _read(path: Path) -> dict[str, Any] | None:
    try:
        descriptor = os.open(path, READING)
        try:
            page = os.read(descriptor, PAGE)
        finally:
            os.close(descriptor)
    except OSError:
        return None
    check, _, body = page.rstrip(b"\n").partition(b" ")
    if _check(body) != check:
        return None  # it is being written, or a power loss tore it
    found: dict[str, Any] = json.loads(body)
    return found


def _told(found: dict[str, Any]) -> Told:
    text = found.get("text")
    error = None if text is None else problem(found["errno"], text, found["file"])
    return Told(found["stopped"], found["problems"], error)


def remove_notices(folder: Path) -> None:
    """Delete notices of recordings that ended, if no producer lives to read them."""
    if any(producer_lives(producer) for producer in producer_folders(folder)):
        return
    for name in os.listdir(folder):
        if name.startswith((NOTICE, TEMPORARY_PREFIX)) and not _is_needed(folder / name):
            _remove(folder / name)


def _remove(path: Path) -> None:
    """Delete a notice, but not one by which its owner tells just now that it goes on."""
    aside = path.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{path.name}")
    with contextlib.suppress(FileNotFoundError):
        os.rename(path, aside)
        if _is_needed(aside):
            with contextlib.suppress(FileExistsError):  # the owner has missed it, too
                os.link(aside, path)
        aside.unlink()


def _is_needed(path: Path) -> bool:
    """Whether the recording goes on: it was not stopped, and its owner lives."""
    for _ in range(_TRIES):  # a page that is being written cannot be read for a moment
        found = _read(path)
        if found is not None:
            owner = Identity.from_dict(found["owner"])
            return not found["stopped"] and owner is not None and is_alive(owner) is True
    return False
