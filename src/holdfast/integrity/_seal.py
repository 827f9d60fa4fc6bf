"""Seals: the digest of every file of a folder, kept in the folder, and what differs from it."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast._atomic import replace_bytes
from holdfast._plain import dump_json, load_json
from holdfast._sync import Durability
from holdfast.errors import FormatError, MissingFileError
from holdfast.integrity._checksum import (
    CHECKSUM_FILE,
    SEAL_FILE,
    counted_files,
    file_digests,
    tree_digest,
)
from holdfast.integrity._crew import each
from holdfast.integrity._hash import file_digest
from holdfast.integrity._tree import Entry, require_folder

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class SealReport:
    """How a folder compares with its seal; names are relative, with ``/``.

    Attributes
    ----------
    digest : str
        The digest that was sealed.
    files : int
        How many files were sealed.
    changed, missing, extra : tuple of str
        Files whose bytes differ, that are gone, and that were not there.
    unreadable : dict of str to str
        Files that could not be read, and why.
    """

    digest: str
    files: int
    changed: tuple[str, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    unreadable: dict[str, str]

    @property
    def ok(self) -> bool:
        """Whether the folder is as it was sealed."""
        return not (self.changed or self.missing or self.extra or self.unreadable)

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        if self.ok:
            return f"{self.files} files as sealed"
        counts = {
            "changed": self.changed,
            "missing": self.missing,
            "extra": self.extra,
            "unreadable": self.unreadable,
        }
        return ", ".join(f"{len(names)} {word}" for word, names in counts.items() if names)


def seal_directory(
    directory: Path, num_threads: int | None = None, *, progress: bool = False
) -> str:
    """Write ``holdfast-seal.json`` and ``ax_checksum.txt`` into a folder.

    Parameters
    ----------
    directory : Path
        The folder; nothing should be writing in it.
    num_threads : int, optional
        How many threads read files at once; every processor by default.
    progress : bool
        Show a progress bar.

    Returns
    -------
    str
        The digest, as `calculate_directory_checksum` gives it.

    Raises
    ------
    MissingFileError, InvalidInputError, FormatError, OSError
        As `calculate_directory_checksum` does.
    """
    directory = require_folder(directory, "the directory")
    digests = file_digests(directory, num_threads, progress=progress)
    digest = tree_digest(digests)
    seal = {
        "format": _FORMAT,
        "algorithm": "XXH3-128",
        "sealed": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "digest": digest,
        "files": {relative: digests[relative].hex() for relative in sorted(digests)},
    }
    durability = Durability()
    replace_bytes(directory / SEAL_FILE, dump_json(seal), durability)
    replace_bytes(directory / CHECKSUM_FILE, digest.encode(), durability)
    return digest


def is_sealed(directory: Path) -> bool:
    """Tell whether a folder has a seal."""
    return (Path(directory) / SEAL_FILE).is_file()


def verify_directory(
    directory: Path, num_threads: int | None = None, *, progress: bool = False
) -> SealReport:
    """Compare a folder with its seal, every byte; nothing is written.

    Parameters
    ----------
    directory : Path
        A folder that `seal_directory` has sealed.
    num_threads : int, optional
        How many threads read files at once; every processor by default.
    progress : bool
        Show a progress bar.

    Returns
    -------
    SealReport
        What differs; true if nothing does.

    Raises
    ------
    MissingFileError
        If there is no folder, or no seal in it.
    FormatError
        If the seal itself is damaged.
    """
    directory = require_folder(directory, "the directory")
    seal = _load(directory / SEAL_FILE)
    sealed: dict[str, str] = seal["files"]
    present = {entry.relative: entry for entry in counted_files(directory)}
    common = [present[relative] for relative in sealed if relative in present]
    looked = dict(each(_look, common, num_threads, "verify", shown=progress))
    return SealReport(
        digest=seal["digest"],
        files=len(sealed),
        changed=_names(n for n, found in looked.items() if found[0] not in (None, sealed[n])),
        missing=_names(sealed.keys() - present.keys()),
        extra=_names(present.keys() - sealed.keys()),
        unreadable={name: found[1] for name, found in looked.items() if found[0] is None},
    )


def _names(found: Any) -> tuple[str, ...]:
    return tuple(sorted(found))


def _look(entry: Entry) -> tuple[str, tuple[str | None, str]]:
    try:
        return entry.relative, (file_digest(entry.relative, entry.path).hex(), "")
    except OSError as error:  # a bad sector is what this looks for
        return entry.relative, (None, error.strerror or str(error))


def _load(path: Path) -> dict[str, Any]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise MissingFileError(
            f"{path.parent} has no seal ({SEAL_FILE}); make one with seal_directory() while the "
            "data are known to be good"
        ) from None
    seal = load_json(content, str(path))
    files = seal.get("files") if isinstance(seal, dict) else None
    if not isinstance(files, dict) or not all(isinstance(d, str) for d in files.values()):
        raise FormatError(f"{path} is not a seal; restore it from a copy, or seal anew")
    if seal.get("format") != _FORMAT:
        raise FormatError(f"{path} has format {seal.get('format')!r}; a newer Holdfast reads it")
    if tree_digest({name: _raw(text, path) for name, text in files.items()}) != seal.get("digest"):
        raise FormatError(f"{path} is damaged: its parts do not add up; restore it from a copy")
    checked: dict[str, Any] = seal
    return checked


def _raw(text: str, path: Path) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise FormatError(f"{path} is damaged: {text!r} is no digest; restore it") from None
