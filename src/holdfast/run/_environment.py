"""Where and with what a run was made: machine, process, interpreter, packages, git, scheduler.

Facts of the process are gathered once per process; a run pays only for writing them.
"""

import getpass
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from holdfast._process import this_process

GIT_TIMEOUT = 5.0
"""Seconds git may take; on a huge or remote work tree the dirty flag is then left unknown."""

_SCHEDULER_IDS = re.compile(r"(SLURM|PBS)_\w*(ID|INDEX|NAME)")


@dataclass(frozen=True, slots=True)
class GitState:
    """The work tree that the program stands in.

    Attributes
    ----------
    root : Path
        Its top folder.
    commit : str
        The full hash that is checked out.
    dirty : bool or None
        Whether tracked files differ from it; None if git did not say in time.
    """

    root: Path
    commit: str
    dirty: bool | None


def environment() -> dict[str, Any]:
    """Return the facts that ``metadata.json`` keeps under ``environment``."""
    return {
        **this_process().to_dict(),
        **_process_facts(os.getpid()),
        "cwd": _working_folder(),
        "git": _git_facts(),
        "scheduler": {k: v for k, v in os.environ.items() if _SCHEDULER_IDS.fullmatch(k)},
        "packages": packages(),
    }


@lru_cache(maxsize=4)
def _process_facts(_pid: int) -> dict[str, Any]:
    return {
        "user": _user(),
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": f"{platform.system()}-{platform.release()}-{platform.machine()}",
        "executable": sys.executable,
        "argv": list(sys.argv),
    }


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a uid without an account, as in many containers
        return None


def _working_folder() -> str | None:
    try:
        return str(Path.cwd())
    except FileNotFoundError:  # it was deleted under the process
        return None


def _program_folder() -> Path | None:
    """Return the folder of the running script; of an interactive session, the current one."""
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if script and "site-packages" not in script and Path(script).is_file():
        return Path(script).resolve().parent
    cwd = _working_folder()
    return Path(cwd) if cwd else None


def git_state() -> GitState | None:
    """Return the git state of the program's folder, read once per process; None outside git."""
    folder = _program_folder()
    return _git_state(folder) if folder else None


@lru_cache(maxsize=4)
def _git_state(folder: Path) -> GitState | None:
    found = _git(folder, "rev-parse", "--show-toplevel", "HEAD")
    if found is None or len(found.splitlines()) != 2:
        return None
    root, commit = os.fsdecode(found).splitlines()
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return GitState(Path(root), commit, None if changes is None else bool(changes.strip()))


def git_diff() -> bytes | None:
    """Return the uncommitted changes of tracked files, for ``git apply``; None outside git."""
    state = git_state()
    if state is None:
        return None
    # What the user's git configuration does to a diff (colours, prefixes, tools) is undone.
    plain = ("--no-color", "--no-ext-diff", "--no-textconv", "--src-prefix=a/", "--dst-prefix=b/")
    # Not from HEAD, which may have moved since: the metadata name the commit that the patch fits.
    return _git(state.root, "diff", "--binary", *plain, state.commit)


def _git(folder: Path, *arguments: str) -> bytes | None:
    # Without optional locks, a look at the state never disturbs a git command of the user's.
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=GIT_TIMEOUT, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):  # no git here, or too slow
        return None
    return done.stdout if done.returncode == 0 else None


def _git_facts() -> dict[str, Any] | None:
    state = git_state()
    if state is None:
        return None
    return {"root": str(state.root), "commit": state.commit, "dirty": state.dirty}


def packages() -> dict[str, str]:
    """Return the versions of the installed packages whose modules the process has imported."""
    return dict(_packages_among(len(sys.modules)))


@lru_cache(maxsize=2)
def _packages_among(_count: int) -> dict[str, str]:
    imported = {name.partition(".")[0] for name in list(sys.modules)}
    owners = _module_owners(tuple(sys.path))
    found = {}
    for name in sorted(imported - sys.stdlib_module_names):
        # Distributions named otherwise than their modules (scikit-learn) often do not tell these.
        said = vars(sys.modules[name]).get("__version__") if name in sys.modules else None
        distribution, version = owners.get(name, (name, said))
        if isinstance(version, str):
            found[distribution] = version
    return dict(sorted(found.items()))


@lru_cache(maxsize=2)
def _module_owners(folders: tuple[str, ...]) -> dict[str, tuple[str, str]]:
    """Map top-level modules to (distribution, version), from the names of ``.dist-info`` folders.

    ``importlib.metadata.packages_distributions`` opens several files of each distribution and takes
    hundreds of milliseconds in a large environment.
    """
    owners: dict[str, tuple[str, str]] = {}
    for name, version, info in _distributions(folders):
        for module in _modules(name, info):
            owners.setdefault(module, (name, version))
    return owners


def _distributions(folders: tuple[str, ...]) -> Iterator[tuple[str, str, Path]]:
    for folder in folders:
        try:
            entries = [e for e in os.scandir(folder or ".") if e.name.endswith(".dist-info")]
        except OSError:  # a zip file, or a folder that is gone
            continue
        for entry in entries:
            name, _, version = entry.name.removesuffix(".dist-info").rpartition("-")
            yield name, version, Path(entry.path)


def _modules(name: str, info: Path) -> list[str]:
    try:
        return (info / "top_level.txt").read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError):  # most builders do not write it
        return [re.sub(r"[-.]+", "_", name), re.sub(r"[-.]+", "_", name).lower()]
