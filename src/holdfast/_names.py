"""Names that users pass: what is accepted, and how it becomes a path that cannot leave its folder.

A *name* is a relative path with ``/`` between its parts, such as ``states/T_step100``. It is
checked in two steps: its text (`safe_name`, `safe_component`) and where it leads on disk,
symlinks included (`inside`).
"""

import difflib
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path

from holdfast.errors import InvalidInputError

MAX_COMPONENT_BYTES = 255
"""The longest file name on the file systems in use (ext4, xfs, APFS, NTFS)."""

TEMPORARY_PREFIX = ".tmp-"
"""Start of the names of files and folders that are being made; readers leave them out."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

_DEVICE_NAMES = frozenset(
    ["con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10))]
)


def safe_component(name: str, what: str, *, suffix: str = "") -> str:
    """Check one part of a path.

    Parameters
    ----------
    name : str
        The part, without any separator.
    what : str
        What it names, for the message: ``"run id"``.
    suffix : str
        What will be added to it on disk, counted into its length.

    Returns
    -------
    str
        `name` itself.

    Raises
    ------
    InvalidInputError
        If it is empty, special, reserved, too long or holds a separator or a control character, or
        no text.
    """
    _require_text(name, what)
    problem = _problem(name, suffix)
    if problem:
        shown = repr(name if len(name) <= 80 else name[:77] + "...")
        raise InvalidInputError(f"{what} {shown} {problem}; choose a plain relative name")
    return name


def _problem(name: str, suffix: str) -> str | None:
    if not name or name.isspace():
        return "is empty"
    if name in {".", ".."}:
        return "would lead out of its folder"
    if "/" in name or "\\" in name:
        return "contains a path separator"
    if _CONTROL.search(name):
        return "contains a control character"
    if name.startswith(TEMPORARY_PREFIX):
        return f"is reserved: names that start with {TEMPORARY_PREFIX!r} are files being written"
    try:
        size = len((name + suffix).encode())
    except UnicodeEncodeError:
        return "is not valid Unicode"
    if size > MAX_COMPONENT_BYTES:
        return f"is too long ({size} bytes with its ending, {MAX_COMPONENT_BYTES} at most)"
    if os.name == "nt" and name.partition(".")[0].lower() in _DEVICE_NAMES:
        return "is a device name on Windows"
    return None


def _require_text(name: object, what: str) -> None:
    if not isinstance(name, str):
        raise InvalidInputError(f"{what} must be text, not {type(name).__name__}: {name!r}")


def check_label(name: str, what: str) -> None:
    """Refuse names of parameters and columns that no table or expression could show.

    Raises
    ------
    InvalidInputError
        If it is empty or holds a control character.
    """
    if not name or _CONTROL.search(name):
        problem = "contains a control character" if name else "is empty"
        raise InvalidInputError(f"{what} {name!r} {problem}; choose a name that can be read")


def safe_name(name: str, what: str, *, suffix: str = "") -> str:
    """Check a relative path of one or several parts, as `safe_component` does each part.

    Raises
    ------
    InvalidInputError
        If `name` is absolute or one of its parts cannot be accepted.
    """
    _require_text(name, what)
    if name.startswith("/") or (len(name) > 1 and name[1] == ":" and os.name == "nt"):
        raise InvalidInputError(f"{what} {name!r} is absolute; choose a plain relative name")
    parts = name.split("/")
    for part in parts[:-1]:
        safe_component(part, f"{what} {name!r}: its part" if part != name else what)
    last = f"{what} {name!r}: its part" if len(parts) > 1 else what
    safe_component(parts[-1], last, suffix=suffix)
    return name


def inside(root: Path, relative: str) -> Path:
    """Return ``root / relative``, refusing what is not to be opened.

    Raises
    ------
    InvalidInputError
        If an existing part of the path is a symlink whose target is not below `root`, or a named
        pipe, socket or device, which whoever opens it might wait for without end.
    """
    path = root
    for part in relative.split("/"):
        path = path / part
        try:
            mode = os.lstat(path).st_mode
        except (FileNotFoundError, NotADirectoryError):
            break
        if stat.S_ISLNK(mode):
            if not _below(root, path):
                raise InvalidInputError(
                    f"{path} is a symlink that leads out of {root}; remove it, or copy the data in"
                )
            mode = _mode_behind(path)
        if mode and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise InvalidInputError(
                f"{path} is a named pipe, socket or device, which holds no data; remove it"
            )
    return root / relative


def _mode_behind(link: Path) -> int:
    """Return what a symlink leads to, 0 where that is nothing."""
    try:
        return os.stat(link).st_mode
    except OSError:  # nothing there, or a ring of symlinks: whoever opens it is told
        return 0


def _below(root: Path, path: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint for messages: ``"; did you mean 'energy'?"`` or ``""``."""
    found = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


def listing(names: Iterable[str], *, most: int = 12) -> str:
    """Return `names` as a short list for messages, ``"nothing"`` when there are none."""
    everything = sorted(names)
    shown = ", ".join(everything[:most]) or "nothing"
    return shown + (f" and {len(everything) - most} more" if len(everything) > most else "")
