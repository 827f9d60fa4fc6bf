"""`get_memory_storage`: one storage in memory for a whole program, or one for a block."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import Any, overload

from holdfast.fields._memory import MemoryStorage


@overload
def get_memory_storage() -> MemoryStorage: ...


@overload
def get_memory_storage(
    field: Any, info: Mapping[str, Any] | None = None
) -> AbstractContextManager[MemoryStorage]: ...


def get_memory_storage(
    field: Any = None, info: Mapping[str, Any] | None = None
) -> "MemoryStorage | AbstractContextManager[MemoryStorage]":
    """Return the storage that a program shares; with a field, one for a ``with`` block.

    Parameters
    ----------
    field : field, optional
        An example of the fields that the block will append.
    info : mapping, optional
        Plain values to keep with them.

    Returns
    -------
    MemoryStorage or context manager
        Without a field always the same storage.

    Examples
    --------
    >>> get_memory_storage() is get_memory_storage()
    True
    >>> import numpy as np
    >>> with get_memory_storage(np.zeros(3)) as storage:
    ...     storage.append(np.ones(3), time=0)
    >>> len(storage)
    1
    """
    return _shared() if field is None else _for_block(field, info)


@cache
def _shared() -> MemoryStorage:
    return MemoryStorage()


@contextmanager
def _for_block(field: Any, info: Mapping[str, Any] | None) -> Iterator[MemoryStorage]:
    storage = MemoryStorage()
    storage.start_writing(field, info)
    try:
        yield storage
    finally:
        storage.end_writing()
