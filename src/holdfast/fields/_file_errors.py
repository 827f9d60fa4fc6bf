"""Which file an error of the system is about."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Concatenate, ParamSpec, Protocol, TypeVar


class Named(Protocol):
    """What has a file."""

    @property
    def filename(self) -> Path:
        """The file."""


P = ParamSpec("P")
Result = TypeVar("Result")
Storage = TypeVar("Storage", bound=Named)


def names_file(
    method: Callable[Concatenate[Storage, P], Result],
) -> Callable[Concatenate[Storage, P], Result]:
    """Let an error that names no file, such as that a disk is full, name the storage's."""

    @functools.wraps(method)
    def named(storage: Storage, /, *args: P.args, **keywords: P.kwargs) -> Result:
        try:
            return method(storage, *args, **keywords)
        except OSError as error:
            if error.errno is not None and error.filename is None:
                error.filename = str(storage.filename)
            raise

    return named
