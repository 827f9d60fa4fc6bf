"""Showing how far a long operation is, with rich, on standard error."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def shown(things: Iterable[T], total: int, progress: bool, what: str = "fields") -> Iterator[T]:  # noqa: FBT001 - a private helper's switch
    """Iterate over things, with a bar that shows how many have been gone through."""
    if not progress:
        yield from things
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(things, what, total=total, console=Console(stderr=True), transient=True)
