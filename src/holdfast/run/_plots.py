"""Figures of matplotlib, an optional package that only this file imports."""

from collections.abc import Sequence
from typing import Any, BinaryIO

from holdfast._names import listing
from holdfast.errors import InvalidInputError, MissingDependencyError


def current_figure() -> Any:
    """Return the figure that pyplot holds as the current one.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    """
    try:
        from matplotlib import pyplot as plt
    except ImportError:
        raise MissingDependencyError(
            "plot() needs matplotlib; install it with: pip install 'holdfast[plot]'"
        ) from None
    return plt.gcf()


def as_figure(value: Any) -> Any:
    """Return the figure of a figure or axes.

    Raises
    ------
    InvalidInputError
        If it is neither.
    """
    figure = value if hasattr(value, "savefig") else getattr(value, "figure", None)
    if figure is None or not hasattr(figure, "savefig"):
        raise InvalidInputError(
            f"fig is a {type(value).__name__}; pass a matplotlib figure or axes, or nothing "
            "for the current figure"
        )
    return figure


def check_formats(figure: Any, formats: Sequence[str]) -> tuple[str, ...]:
    """Return the formats to save in, as endings without their dot.

    Raises
    ------
    InvalidInputError
        If there are none, or the figure cannot be saved in one of them.
    """
    names = (formats,) if isinstance(formats, str) else tuple(formats)
    known = figure.canvas.get_supported_filetypes()
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise InvalidInputError(f"formats {names!r}: choose among {listing(known, most=20)}")
    return names


def save_figure(figure: Any, file: BinaryIO, ending: str, dpi: float) -> None:
    """Write a figure to an open file."""
    figure.savefig(file, format=ending, dpi=dpi)
