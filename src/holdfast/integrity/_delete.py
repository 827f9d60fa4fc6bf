"""`delete_directory`: a folder and all below it, and nothing else."""

import os
import stat
from functools import partial
from pathlib import Path

from holdfast.errors import InvalidInputError
from holdfast.integrity._crew import each

_BATCH = 256
_SHOWN = 10


def delete_directory(directory_path: Path) -> None:
    """Delete a folder with everything in it; nothing happens if it is not there.

    Symlinks are removed, never followed. What cannot be removed does not keep the rest.

    Parameters
    ----------
    directory_path : Path
        The folder.

    Raises
    ------
    InvalidInputError
        If it is a file or a symlink, or holds (or is) the root, the home folder, the current
        folder or a mount point. Nothing is deleted then.
    OSError
        If something could not be removed; it names what and why.
    """
    path = Path(directory_path)
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    if stat.S_ISLNK(mode):
        raise InvalidInputError(
            f"{path} is a symlink; delete the folder it leads to by its own name, or the link "
            "with unlink()"
        )
    if not stat.S_ISDIR(mode):
        raise InvalidInputError(f"{path} is not a folder; delete a file with unlink()")
    path = Path(os.path.realpath(path))
    _refuse(path)
    problems = remove_tree(path)
    if problems:
        raise left_behind(path, problems)


def left_behind(path: Path, problems: list[OSError]) -> OSError:
    """Return the error that says what could not be removed."""
    shown = "; ".join(f"{e.filename}: {e.strerror}" for e in problems[:_SHOWN])
    more = f" and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    first = problems[0]
    return OSError(first.errno, f"not everything could be removed ({shown}{more})", str(path))


def _refuse(path: Path) -> None:
    for kept, what in ((Path.home(), "the home folder"), (Path.cwd(), "the current folder")):
        if Path(os.path.realpath(kept)).is_relative_to(path):
            raise InvalidInputError(f"{path} is or holds {what}; it is not deleted")
    if path.parent == path:
        raise InvalidInputError(f"{path} is the root of the file system; it is not deleted")
    for folder in _mounts(path):
        raise InvalidInputError(f"{folder} is a mount point; unmount it first")


def _mounts(path: Path) -> list[Path]:
    """Return mount points at or below a folder, bind mounts included where the system tells."""
    found = [path] if os.path.ismount(path) else []
    try:
        lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    except OSError:
        folders = (Path(root) for root, _, _ in os.walk(path))
        return found or [folder for folder in folders if os.path.ismount(folder)]
    points = (Path(os.fsdecode(_unescaped(line.split()[4]))) for line in lines)
    return found or [point for point in points if point.is_relative_to(path)]


def _unescaped(name: bytes) -> bytes:
    """Undo the octal escapes of mountinfo."""
    for code in (b"\\040", b"\\011", b"\\012", b"\\134"):
        name = name.replace(code, bytes([int(code[1:], 8)]))
    return name


def remove_tree(path: Path) -> list[OSError]:
    """Remove a folder without any question, and return what went wrong."""
    problems: list[OSError] = []
    if hasattr(os, "fwalk"):
        _remove_by_descriptor(path, problems)
    else:
        _remove_by_name(path, problems)
    try:
        os.rmdir(path)
    except OSError as error:
        if not problems:  # otherwise it says no more than those
            problems.append(error)
    return problems


def _remove_by_descriptor(path: Path, problems: list[OSError]) -> None:
    # By the descriptor of each folder: one that is swapped for a symlink meanwhile is not entered.
    walk = os.fwalk(path, topdown=False, onerror=problems.append)
    for root, folders, files, descriptor in walk:
        links = [name for name in folders if _is_link(name, descriptor)]
        names = [*files, *links]
        parts = [names[i : i + _BATCH] for i in range(0, len(names), _BATCH)]
        for found in each(partial(_unlink, root=root, descriptor=descriptor), parts, None):
            problems += found
        for name in set(folders).difference(links):
            try:
                os.rmdir(name, dir_fd=descriptor)
            except FileNotFoundError:
                pass
            except OSError as error:
                problems.append(_named(error, root, name))


def _is_link(name: str, descriptor: int) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _unlink(names: list[str], root: str, descriptor: int | None) -> list[OSError]:
    problems = []
    for name in names:
        try:
            if descriptor is None:
                os.unlink(os.path.join(root, name))
            else:
                os.unlink(name, dir_fd=descriptor)
        except FileNotFoundError:
            pass
        except OSError as error:
            problems.append(_named(error, root, name))
    return problems


def _named(error: OSError, root: str, name: str) -> OSError:
    return OSError(error.errno, error.strerror, os.path.join(root, name))


def _remove_by_name(path: Path, problems: list[OSError]) -> None:
    """Do the same where the system has no folder descriptors (Windows)."""
    for root, folders, files in os.walk(path, topdown=False, onerror=problems.append):
        problems += _unlink(files, root, None)
        for name in folders:
            folder = os.path.join(root, name)
            try:
                (os.unlink if os.path.islink(folder) else os.rmdir)(folder)
            except OSError as error:
                problems.append(error)
