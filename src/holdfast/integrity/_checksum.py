"""`calculate_directory_checksum`: one digest for all files of a folder and their names."""

import os
import stat
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

import xxhash

from holdfast._atomic import replace_bytes
from holdfast._sync import Durability
from holdfast.errors import FormatError, InvalidInputError
from holdfast.integrity._crew import each, thread_count
from holdfast.integrity._hash import file_digest, name_bytes
from holdfast.integrity._tree import Entry, entries, require_folder

CHECKSUM_FILE = "ax_checksum.txt"
"""Holds the digest of the folder it lies in, in bare hexadecimal."""

SEAL_FILE = "holdfast-seal.json"
"""Holds the digest of every file of the folder it lies in; no digest takes it in."""

_ALONE_BYTES, _ALONE_FILES = 8 << 20, 64
"""Below these a second thread takes longer to start than it saves."""


def calculate_directory_checksum(
    directory: Path,
    num_processes: int | None = None,
    *,
    progress: bool = False,
    save_checksum: bool = True,
    excluded_files: set[str] | None = None,
) -> str:
    """Return the XXH3-128 digest of a folder: of every file's bytes and relative name.

    Names go in with ``/`` between their parts, so the digest is the same on every system. Files
    behind symlinks count by their content; symlinks to folders, empty folders and metadata do not
    count. The digest finds accidents; it is no protection against forgery.

    Parameters
    ----------
    directory : Path
        The folder.
    num_processes : int, optional
        How many threads read files at once; every processor by default. (Hashing runs outside
        the interpreter's lock, so threads do what processes would.)
    progress : bool
        Show a progress bar.
    save_checksum : bool
        Write the digest to ``ax_checksum.txt`` in the folder.
    excluded_files : set of str, optional
        File names left out at any depth; ``{"ax_checksum.txt"}`` by default. A seal
        (``holdfast-seal.json`` in the folder itself) never counts.

    Returns
    -------
    str
        32 hexadecimal digits.

    Raises
    ------
    MissingFileError, InvalidInputError
        If `directory` is not there or no folder.
    FormatError
        If it holds a pipe, socket or device.
    OSError
        If an entry cannot be read; none is left out silently.
    """
    directory = require_folder(directory, "the directory")
    digests = file_digests(directory, num_processes, progress=progress, excluded=excluded_files)
    digest = tree_digest(digests)
    if save_checksum:
        replace_bytes(directory / CHECKSUM_FILE, digest.encode(), Durability())
    return digest


def tree_digest(digests: Mapping[str, bytes]) -> str:
    """Join digests of files, by relative name, to the digest of their folder."""
    state = xxhash.xxh3_128()
    for relative in sorted(digests):
        state.update(name_bytes(relative))
        state.update(digests[relative])
    return state.hexdigest()


def file_digests(
    directory: Path,
    threads: int | None = None,
    *,
    progress: bool = False,
    excluded: AbstractSet[str] | None = None,
) -> dict[str, bytes]:
    """Return the digest of every file that counts, by its relative name."""
    threads = thread_count(threads)
    files = counted_files(directory, excluded)
    if sum(entry.status.st_size for entry in files) < _ALONE_BYTES and len(files) < _ALONE_FILES:
        threads = 1
    digests = each(_digest, files, threads, "checksum", shown=progress)
    return {entry.relative: found for entry, found in zip(files, digests, strict=True)}


def _digest(entry: Entry) -> bytes:
    return file_digest(entry.relative, entry.path)


def counted_files(directory: Path, excluded: AbstractSet[str] | None = None) -> list[Entry]:
    """Return the files that count, symlinks to files among them.

    Raises
    ------
    FormatError
        If something is neither file, folder nor symlink.
    OSError
        If a folder cannot be listed or a symlink leads nowhere.
    """
    if isinstance(excluded, str | bytes):  # whose parts would be left out
        raise InvalidInputError(
            f"excluded_files is a set of names, such as {{{excluded!r}}}, not one name"
        )
    left_out = {CHECKSUM_FILE} if excluded is None else excluded
    found = []
    for entry in entries(directory):
        name = entry.relative.rpartition("/")[2]
        if entry.kind == "folder" or name in left_out or entry.relative == SEAL_FILE:
            continue
        if entry.kind == "other" or (entry.kind == "link" and _is_special(entry.path)):
            raise FormatError(
                f"{entry.path} is a pipe, socket or device, which has no content to hash; remove "
                "it, or name it in excluded_files"
            )
        if entry.kind == "link" and os.path.isdir(entry.path):
            continue
        found.append(entry)
    return found


def _is_special(path: str) -> bool:
    mode = os.stat(path).st_mode  # a link that leads nowhere is an error, with its name
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
