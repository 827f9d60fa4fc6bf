"""A progress bar over files, only where one was asked for."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def tracked(things: Iterable[T], total: int, what: str, *, shown: bool) -> Iterator[T]:
    """Yield `things`, with a bar on standard error if `shown`."""
    if not shown:
        yield from things
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(things, what, total=total, console=Console(stderr=True))
