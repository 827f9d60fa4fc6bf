"""What a process has open and does not hold in an append file: closed when the process exits."""

import atexit
from typing import Protocol

from holdfast._logging import log


class Closable(Protocol):
    """A storage, as seen from here."""

    def close(self) -> None:
        """Bring everything to its end."""


# Strong references: a storage that the program forgets is still to be closed at its exit.
_open: list[Closable] = []


def closed_at_exit(storage: Closable) -> None:
    """Close a storage when the process exits, unless it has been closed before."""
    if not any(known is storage for known in _open):
        _open.append(storage)


def no_longer_open(storage: Closable) -> None:
    """Forget a storage that has been closed."""
    _open[:] = [known for known in _open if known is not storage]


def _close_all() -> None:
    for storage in _open.copy():  # closing takes it out
        try:
            storage.close()
        except Exception as error:  # noqa: BLE001 - the other storages are still to be closed
            log.warning("%r: %s", storage, error)


atexit.register(_close_all)
