"""What every store does: give runs a place, find them there, and let one process launch each."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from holdfast.store._claims import Claims
from holdfast.store._context import drop, push


class AbstractStore(ABC):
    """Where runs are kept. `Store` keeps them in a folder; others may fetch and send them.

    A run is a run directory on this machine while it is written and read, whatever a store does
    with it besides. `holdfast.testing.stores.StoreTests` checks an implementation.

    Attributes
    ----------
    default_group : str or None
        The pattern of the group that runs get which are given none.
    """

    default_group: str | None = None

    @abstractmethod
    def place(self, name: str) -> Path:
        """Return where the run directory of this name is, or would be. Nothing is made."""

    @abstractmethod
    def locate(self, name: str) -> Path | None:
        """Return the run directory of this name, brought to this machine if need be.

        None if there is no such run. This is asked by every `get`, so it must not list runs, and
        leaves no trace where there is none.
        """

    @abstractmethod
    def runs(self) -> Iterator[Path]:
        """Yield the directories of all runs, in any order."""

    @abstractmethod
    def note(self, path: Path) -> None:
        """Take notice that the run in a directory has begun, or has ended. Never raises."""

    @property
    @abstractmethod
    def claims(self) -> Claims:
        """The claims of this store's runs, shared by all processes that use it."""

    @property
    @abstractmethod
    def schemas(self) -> Path:
        """A folder for the schemas of tasks; it can be lost without harm."""

    def __enter__(self) -> Self:
        push(self)
        return self

    def __exit__(self, *_: object) -> None:
        drop(self)
