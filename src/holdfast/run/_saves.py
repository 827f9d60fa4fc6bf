"""The saves of a `Logbook`: one method for each kind of thing that a run keeps."""

import pickle
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, BinaryIO

import numpy.typing as npt

from holdfast._plain import dump_json, to_plain
from holdfast.errors import InvalidInputError
from holdfast.run._arrays import check_bundle, to_array, write_npy, write_npz
from holdfast.run._layout import ARTIFACTS, DATA, PLOTS
from holdfast.run._plots import as_figure, check_formats, current_figure, save_figure

_BytesLike = bytes | bytearray | memoryview


class Saves(ABC):
    """What a logbook saves, given how it opens a file that appears whole."""

    @abstractmethod
    def _saving(
        self, folder: str, name: str, ending: str, detail: str = ""
    ) -> AbstractContextManager[BinaryIO]:
        """Open ``<folder>/<name><ending>`` of the run, to appear whole when the block ends well."""

    def array(self, name: str, a: npt.ArrayLike) -> None:
        """Save an array as ``data/<name>.npy``.

        Parameters
        ----------
        name : str
            May have folders: ``states/T_step100``.
        a : array_like
            Any shape, any dtype without Python objects.

        Raises
        ------
        InvalidInputError
            If the name leads out of the run, or the array needs pickle, is ragged or has a mask.
        OSError
            If the disk is full; an earlier array of this name is then unchanged.
        """
        array = to_array(name, a)
        with self._saving(DATA, name, ".npy", f"{array.shape} {array.dtype}") as file:
            write_npy(file, array)

    def arrays(
        self,
        name: str,
        arrays: Mapping[str, npt.ArrayLike] | bool | None = None,  # noqa: FBT001 - likewise
        /,
        compressed: bool = True,  # noqa: FBT001, FBT002 - a position that the documents fix
        **kwargs: npt.ArrayLike,
    ) -> None:
        """Save several arrays in one file, ``data/<name>.npz``.

        Parameters
        ----------
        name : str
            Name of the bundle.
        arrays : mapping, optional
            Arrays whose names a keyword cannot be, such as ``compressed``.
        compressed : bool
            Whether to deflate them.
        **kwargs : array_like
            Arrays by name.

        Raises
        ------
        InvalidInputError
            As `array` does, or if there is no array.
        """
        if isinstance(arrays, bool):  # as notata takes it, second
            compressed, arrays = arrays, None
        bundle = check_bundle(name, {**(arrays or {}), **kwargs})
        with self._saving(DATA, name, ".npz", ", ".join(bundle)) as file:
            write_npz(file, bundle, compressed=compressed)

    def plot(
        self, name: str, fig: Any = None, dpi: float = 200, formats: Sequence[str] = ("png",)
    ) -> None:
        """Save a matplotlib figure as ``plots/<name>.<format>``.

        Parameters
        ----------
        name : str
            Name of the plot.
        fig : Figure or Axes, optional
            The current figure when left out.
        dpi : float
            Dots per inch of pixel formats.
        formats : sequence of str
            File endings, such as ``("png", "pdf")``.

        Raises
        ------
        MissingDependencyError
            If matplotlib is not installed.
        InvalidInputError
            If `fig` is no figure or a format is unknown.
        """
        figure = current_figure() if fig is None else as_figure(fig)
        for ending in check_formats(figure, formats):
            with self._saving(PLOTS, name, f".{ending}") as file:
                save_figure(figure, file, ending, dpi)

    def text(self, name: str, text: str) -> None:
        """Save text as ``artifacts/<name>.txt``, in UTF-8.

        Raises
        ------
        InvalidInputError
            If the text is not valid Unicode.
        """
        try:
            content = str(text).encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise InvalidInputError(
                f"text {name!r} is not valid Unicode ({error}); encode it and save it with bytes()"
            ) from None
        with self._saving(ARTIFACTS, name, ".txt") as file:
            file.write(content)

    def json(self, name: str, obj: Any) -> None:
        """Save a value as ``artifacts/<name>.json``, strict JSON.

        Values are taken as `params` does. Numbers that are not finite are written as
        ``{"$numberDouble": "NaN"}``, which every JSON reader parses and `LogReader.load_json` gives
        back as they were.

        Raises
        ------
        InvalidInputError
            If a part of it has no form in JSON.
        """
        content = dump_json(to_plain(obj, f"json {name!r}"))
        with self._saving(ARTIFACTS, name, ".json") as file:
            file.write(content)

    def pickle(self, name: str, obj: Any) -> None:
        """Save any object as ``artifacts/<name>.pkl``; only Python that trusts the file reads it.

        Raises
        ------
        InvalidInputError
            If the object cannot be pickled.
        """
        try:
            content = pickle.dumps(obj, protocol=pickle.HIGHEST_PROTOCOL)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise InvalidInputError(f"{name!r} cannot be pickled: {error}") from error
        with self._saving(ARTIFACTS, name, ".pkl") as file:
            file.write(content)

    def bytes(self, name: str, data: _BytesLike) -> None:
        """Save bytes as ``artifacts/<name>``; the name carries its ending.

        Raises
        ------
        InvalidInputError
            If `data` is not bytes.
        """
        content = _to_bytes(name, data)
        with self._saving(ARTIFACTS, name, "") as file:
            file.write(content)

    save_plot, save_text, save_json, save_pickle = plot, text, json, pickle
    save_bytes = bytes  # noqa: A003 - the method above


def _to_bytes(name: str, data: Any) -> bytes:
    if not isinstance(data, bytes | bytearray | memoryview):
        raise InvalidInputError(
            f"bytes {name!r} takes bytes, not {type(data).__name__}; use text() or json()"
        )
    return bytes(data)
