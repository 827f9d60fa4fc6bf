"""Claims: of several processes that launch one run, one has it. See ``design/012-claims.md``."""

import contextlib
import errno
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from holdfast._atomic import create_bytes, make_folder
from holdfast._names import TEMPORARY_PREFIX
from holdfast._plain import dump_json
from holdfast._process import ForkGuard, Identity, is_alive, is_fresh, this_process
from holdfast._sync import Durability, heartbeat, stop_heartbeat
from holdfast.errors import AlreadyExistsError, LockedError, StateError

CLAIMS = ".claims"
"""The folder of a store that holds them."""

LOCK_TIMEOUT = 60.0
"""Seconds to wait for a process that holds the lock of a claim, which it does for moments."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Whoever has a run now.

    Attributes
    ----------
    process : Identity or None
        The process; None if its claim cannot be read.
    """

    process: Identity | None

    def __str__(self) -> str:
        if self.process is None:
            return "another process"
        return f"process {self.process.pid} on {self.process.host}"


_in_use: set[str] = set()
"""The nonces of the claims that this process works under. One that an interrupt made it leave is
not among them, and counts as that of a dead process."""


class Claim:
    """The right to launch a run, once it is taken, until it is released or somebody takes over.

    It is made before it is taken, so that who takes it can be ready for an interrupt by then.

    Parameters
    ----------
    folder : Path
        The folder of the run's claims.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "0"  # which none is called that is taken
        self._nonce = secrets.token_hex(16)
        self._guard = ForkGuard()
        self._descriptor = -1

    def take(self, number: int, durability: Durability) -> bool:
        """Take the claim of this number; return whether it was to be had."""
        self.path = self.path.with_name(str(number))
        content = dump_json({"nonce": self._nonce, "owner": this_process().to_dict()}, indent=0)
        _in_use.add(self._nonce)
        try:
            create_bytes(self.path, content, durability)
        except AlreadyExistsError:  # no lock here, or NFS told its own winner so
            if not self._is_own():
                return False
        self._descriptor = os.open(self.path, os.O_RDONLY)
        heartbeat(self._beat)
        return True

    @property
    def is_ours(self) -> bool:
        """Whether this process has taken the claim and not let go of it; no forked child has."""
        return bool(self._guard) and self._nonce in _in_use

    @property
    def is_first(self) -> bool:
        """Whether nobody died with the run: the claim before it, if any, was released."""
        return self.path.name == "1"

    def holds(self) -> bool:
        """Whether this is still the highest claim; asked under the lock."""
        numbers = _numbers(self.path.parent)
        return bool(numbers) and numbers[-1] == int(self.path.name) and self._is_own()

    def _is_own(self) -> bool:
        return _read(self.path).get("nonce") == self._nonce

    def check(self) -> None:
        """Refuse to go on for a claim that was taken over.

        Raises
        ------
        StateError
            If it was.
        """
        if not self.holds():
            raise StateError(
                f"this process was taken for dead, and its run {self.path.parent.name} was taken "
                "over by another; nothing of it is recorded here"
            )

    def release(self) -> None:
        """Remove the claim and those below it; called under the lock."""
        self.let_go()
        if self.holds():
            _remove(self.path.parent)

    def let_go(self) -> None:
        """Stop beating, and leave the rest as it is."""
        _in_use.discard(self._nonce)
        stop_heartbeat(self._beat)
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _beat(self) -> None:
        # By the descriptor: the path may by now be another claim of the same number.
        if self._descriptor >= 0:
            os.utime(self._descriptor)


class Claims:
    """The claims in one folder.

    Parameters
    ----------
    folder : Path
        Made by the first claim.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._durability = Durability()

    @contextmanager
    def locked(self, identity: str) -> Iterator[None]:
        """Let no other process claim, take over or finish a run within the block.

        Raises
        ------
        LockedError
            If another process holds the lock and does not let go of it.
        OSError
            If the store cannot be written.
        """
        path = self.folder / "locks" / f"{identity[:2]}.lock"
        lock = FileLock(path, timeout=LOCK_TIMEOUT)
        try:
            with _writing(self.folder.parent):
                make_folder(path.parent, self._durability)
                lock.acquire()
            yield
        except Timeout:
            raise LockedError(
                f"{path} is held by another process, which does not go on (stopped?); continue or "
                "end that process"
            ) from None
        finally:
            lock.release()  # also if an interrupt came before `acquire` returned

    def claim(self, identity: str) -> Claim:
        """Return a claim of a run that is not taken yet."""
        return Claim(self.folder / identity)

    def take(self, claim: Claim) -> Holder | None:
        """Take a claim, or tell who has the run; called under the lock.

        A claim whose process is dead is taken over.
        """
        folder = claim.path.parent
        holder = self.holder(folder.name)
        if holder is not None:
            return holder
        if claim.take((_numbers(folder) or [0])[-1] + 1, self._durability):
            return None
        claim.let_go()
        return self.holder(folder.name) or Holder(None)

    def holder(self, identity: str) -> Holder | None:
        """Return who has a run; None if nobody has who lives."""
        folder = self.folder / identity
        for number in reversed(_numbers(folder)):
            path = folder / str(number)
            with contextlib.suppress(FileNotFoundError):  # released between two looks
                told = _read(path)
                owner = Identity.from_dict(told.get("owner") or {})
                if owner == this_process() and told.get("nonce") not in _in_use:
                    return None
                return Holder(owner) if _lives(owner, path) else None
        return None

    def identities(self) -> list[str]:
        """Return the identities of all runs that have a claim, living or not."""
        try:
            names = os.listdir(self.folder)
        except FileNotFoundError:
            return []
        return sorted(name for name in names if name != "locks")

    def tidy(self, identity: str) -> bool:
        """Remove what a dead process left of the claims of a finished run; return whether it did.

        The caller has seen the run finished.
        """
        if not (self.folder / identity).exists():
            return False
        with self.locked(identity):
            if self.holder(identity) is not None:
                return False
            _remove(self.folder / identity)
            return True


@contextmanager
def _writing(store: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        raise OSError(
            error.errno,
            f"nothing can be launched in {store}: {str(error.strerror).lower()}; launch in a store "
            "that can be written: with Store(...)",
        ) from None


def _lives(owner: Identity | None, path: Path) -> bool:
    alive = is_alive(owner) if owner else None
    return is_fresh(path.stat().st_mtime) if alive is None else alive


def _numbers(folder: Path) -> list[int]:
    try:
        return sorted(int(name) for name in os.listdir(folder) if name.isdigit())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _read(path: Path) -> dict[str, Any]:
    """Return what a claim says; nothing if it is damaged or gone."""
    try:
        value = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _remove(folder: Path) -> None:
    """Remove all claims of a run, lowest number first, so that the highest is the last to go."""
    with contextlib.suppress(FileNotFoundError):
        for leftover in folder.glob(f"{TEMPORARY_PREFIX}*"):
            leftover.unlink(missing_ok=True)
        for number in _numbers(folder):
            (folder / str(number)).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # somebody is claiming it anew
        folder.rmdir()
