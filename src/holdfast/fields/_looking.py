"""`Looking`: how a storage is looked at; the drawing is in ``_plots.py`` and ``_movie_of.py``."""

import os
from pathlib import Path
from typing import Any

from holdfast.fields._reading import Reading


class Looking(Reading):
    """The calls by which a storage is looked at."""

    def plot(self, kind: str = "auto", **options: Any) -> Any:
        """Draw a kymograph of fields along one axis, and of others the last field.

        Parameters
        ----------
        kind : {"auto", "image", "kymograph"}
            What to draw.
        **options
            As `image` or `kymograph` takes them.

        Returns
        -------
        matplotlib.figure.Figure
            The figure; its axes are in ``.axes``.

        Raises
        ------
        InvalidInputError
            If an option cannot be.
        StateError
            If there is no field.
        MissingDependencyError
            If matplotlib is not installed.
        """
        from holdfast.fields._plots import plot

        return plot(self, kind, options)

    def image(self, index: int = -1, **options: Any) -> Any:
        """Draw one field: a line along one axis, an image along two.

        Parameters
        ----------
        index : int
            Its number; the last if left out.
        **options
            ``ax``, axes of matplotlib to draw into, one for each part of a collection; ``cmap``,
            ``limits`` and ``title`` as `MovieStorage` takes them.

        Returns
        -------
        matplotlib.figure.Figure
            The figure; its axes are in ``.axes``.

        Raises
        ------
        InvalidInputError, StateError, MissingDependencyError
            As `plot`.
        IndexError
            If there is no such field.
        """
        from holdfast.fields._plots import image

        return image(self, index, **options)

    def kymograph(self, **options: Any) -> Any:
        """Draw values along one axis, upwards, over time, to the right.

        Parameters
        ----------
        **options
            ``axis``, the number or name of the axis, the first if left out; ``reduce``, what
            becomes of other axes: ``mean``, ``max``, ``min`` or ``middle``; ``ax``, ``cmap``,
            ``limits`` as `image` takes them; ``title``, a text.

        Returns
        -------
        matplotlib.figure.Figure
            The figure; its axes are in ``.axes``.

        Raises
        ------
        InvalidInputError, StateError, MissingDependencyError
            As `plot`.
        """
        from holdfast.fields._plots import kymograph

        return kymograph(self, **options)

    def movie(
        self, filename: str | os.PathLike[str], *, progress: bool = False, **options: Any
    ) -> Path:
        """Make a movie of all fields.

        Parameters
        ----------
        filename : path
            The movie, which is replaced if it is there.
        progress : bool
            Whether to show it.
        **options
            As `MovieStorage` takes them. Limits of colours are those of all fields if left out.

        Returns
        -------
        pathlib.Path
            The movie.

        Raises
        ------
        InvalidInputError, MissingDependencyError, OSError
            As `MovieStorage`.
        StateError
            If there is no field.
        """
        from holdfast.fields._movie_of import make_movie

        return make_movie(self, filename, progress=progress, options=options)

    def _repr_html_(self) -> str:
        from holdfast.fields._plots import html_of

        return html_of(self)
