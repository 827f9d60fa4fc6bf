"""What stands in the folders of a run, files that are being written left out."""

import os
from pathlib import Path

from holdfast._names import TEMPORARY_PREFIX


def entries(folder: Path) -> list[str]:
    """Return the names in a folder, none where there is no folder."""
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def files(folder: Path) -> list[str]:
    """Return the files below a folder as names with ``/``, those being written left out."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [f for f in folders if not f.startswith(TEMPORARY_PREFIX)]
        below = Path(place).relative_to(folder)
        found += [(below / n).as_posix() for n in names if not n.startswith(TEMPORARY_PREFIX)]
    return sorted(found)
