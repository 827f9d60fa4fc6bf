"""Reading arrays of a Zarr store with the zarr package, which only this file imports."""

from pathlib import Path
from typing import Any

import numpy as np

from holdfast.errors import FormatError, MissingDependencyError
from holdfast.fields._forms import Array


class Arrays:
    """The arrays of a store.

    Parameters
    ----------
    path : Path
        Its folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: dict[str, Any] = {}

    def read(self, name: str, start: int, stop: int, rest: tuple[Any, ...] = ()) -> Array:
        """Return some rows of an array; `rest` says which values of each.

        Raises
        ------
        MissingDependencyError
            If zarr is not installed.
        FormatError
            If the store is damaged.
        """
        try:
            if name not in self._open:
                self._open[name] = _module().open_array(
                    str(self._path), path=name, mode="r", zarr_format=3
                )
            array: Array = np.asarray(self._open[name][(slice(start, stop), *rest)])
        except (ValueError, RuntimeError, OSError, KeyError) as error:
            if isinstance(error, MissingDependencyError):
                raise
            raise FormatError(
                f"{self._path}: rows {start} to {stop} of {name!r} cannot be read ({error}); "
                "restore it from a copy"
            ) from None
        if len(array) != stop - start:
            raise FormatError(
                f"{self._path}: {name!r} has fewer rows than the store tells; restore it from a "
                "copy"
            )
        return array


def _module() -> Any:
    try:
        import zarr
    except ImportError:
        raise MissingDependencyError(
            "ZarrStorage needs zarr 3; install it with: pip install 'holdfast[fields]'"
        ) from None
    return zarr
