"""Frames of a movie: pictures drawn with matplotlib, which only this file and ``_plots.py`` import.

No window system is asked for, and no figure of pyplot is made: a solver may run anywhere, and for
long.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast._names import listing, nearest
from holdfast.errors import InvalidInputError, MissingDependencyError
from holdfast.fields._forms import Array, Form
from holdfast.fields._pictures import LARGEST, Limits, Picture, pictures_of

Pixels = npt.NDArray[np.uint8]
Title = str | bool | Callable[[float], str]

COLUMNS = 3
"""Pictures beside each other, before a new row begins."""

WIDTH, HEIGHT = 6.4, 4.8
"""Inches of one picture."""

BAR = 0.04
"""Width of a colour bar, of the longer side of its image."""

LABEL = 60
"""Characters of a label that are shown above a picture."""

BARE_PIXELS = 256
"""A bare frame has cells as large as needed to make its longer side about this long."""


@dataclass(frozen=True, slots=True)
class Look:
    """How frames look.

    Attributes
    ----------
    dpi : float
        Dots an inch; a picture is 6.4 by 4.8 inches.
    cmap : str or matplotlib.colors.Colormap
        Colours of images.
    limits : (float, float) or sequence of them, optional
        Smallest and largest value shown, of all pictures or of each; without it, those seen so far.
    title : str, bool or callable
        ``True`` shows the time; a text may hold ``{time}``; a function of the time returns a text.
    bare : bool
        Whether a frame is the image alone, each cell a square of pixels, without axes or title.
    """

    dpi: float = 100
    cmap: Any = "viridis"
    limits: Any = None
    title: Title = True
    bare: bool = False


def import_matplotlib(what: str) -> Any:
    """Return matplotlib.

    Raises
    ------
    MissingDependencyError
        If it is not installed.
    """
    try:
        import matplotlib as mpl
    except ImportError:
        raise MissingDependencyError(
            f"{what} needs matplotlib; install it with: pip install 'holdfast[plot]'"
        ) from None
    return mpl


def colormap(name: Any) -> Any:
    """Return a colour map by its name, or the one given.

    Raises
    ------
    InvalidInputError
        If there is none of this name.
    """
    mpl = import_matplotlib("a picture")
    if name is None:
        return mpl.colormaps["viridis"]
    if not isinstance(name, str):
        if callable(name):
            return name
        raise InvalidInputError(f"cmap is the name of a colour map, or one, not {name!r}")
    if name not in mpl.colormaps:
        raise InvalidInputError(
            f"there is no colour map {name!r}; matplotlib has {listing(mpl.colormaps)}"
            f"{nearest(name, mpl.colormaps)}"
        )
    return mpl.colormaps[name]


def limits_of(limits: Any, count: int) -> list[Limits]:
    """Return the limits of each of several pictures.

    Raises
    ------
    InvalidInputError
        If they are no pair of numbers, nor a pair for each picture.
    """
    if limits is None:
        return [Limits() for _ in range(count)]
    try:
        array = np.asarray(limits, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.shape == (2,):
        array = np.tile(array, (count, 1))
    finite = bool(np.isfinite(array).all())
    if array.shape != (count, 2) or not finite or not (array[:, 0] < array[:, 1]).all():
        raise InvalidInputError(
            f"limits {limits!r} are neither a smallest and a largest value, both finite, nor such "
            f"a pair for each of {count} pictures"
        )
    return [Limits(float(low), float(high), fixed=True) for low, high in array]


def title_at(title: Title, time: float) -> str:
    """Return the title of a frame.

    Raises
    ------
    InvalidInputError
        If the text names something else than the time.
    """
    if callable(title):
        return str(title(time))
    if isinstance(title, str):
        try:
            return title.format(time=time, t=time)
        except (KeyError, IndexError, AttributeError, TypeError, ValueError) as error:
            raise InvalidInputError(
                f"the title {title!r} cannot be filled in ({error!r}); use {{time}}, or for "
                "example {time:.2f}"
            ) from None
    return f"t = {time:.6g}" if title else ""


def drawable(text: str) -> str:
    """Return a text as matplotlib can draw it: what is no formula of its kind, as it stands."""
    from matplotlib.mathtext import MathTextParser

    if "$" in text:
        try:
            MathTextParser("path").parse(text)
        except ValueError:
            return text.replace("$", r"\$")
    return text


class Renderer:
    """Draws the fields of one form, one frame for each.

    Parameters
    ----------
    form : Form
        Of the fields.
    look : Look
        How frames look.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    InvalidInputError
        If there is no such colour map, or the limits or the title cannot be.
    """

    def __init__(self, form: Form, look: Look) -> None:
        self._form, self._look = form, look
        self._cmap = colormap(look.cmap)
        title_at(look.title, 0.0)
        self._limits: list[Limits] = []
        self._drawing: _Drawing | None = None

    def frame(self, values: Array, time: float) -> Pixels:
        """Return a frame.

        Returns
        -------
        numpy.ndarray
            Of shape ``(height, width, 3)``, both even, rows from the top down.
        """
        pictures = pictures_of(self._form, values)
        if not self._limits:
            self._limits = limits_of(self._look.limits, len(pictures))
        for picture, limits in zip(pictures, self._limits, strict=True):
            limits.see(picture.values)
        if self._look.bare:
            return _even(bare_frame(pictures, self._limits, self._cmap))
        if self._drawing is None:
            self._drawing = _Drawing(pictures, self._look, self._cmap)
        text = title_at(self._look.title, time)
        return _even(self._drawing.draw(pictures, self._limits, text))


def _even(pixels: Pixels) -> Pixels:
    """Return a frame of even size, as most codecs want it."""
    height, width = pixels.shape[:2]
    return np.ascontiguousarray(np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), "edge"))


def bare_frame(pictures: Sequence[Picture], limits: Sequence[Limits], cmap: Any) -> Pixels:
    """Return images beside each other, upright, each cell a square of pixels; a line is a row."""
    images = []
    for picture, limit in zip(pictures, limits, strict=True):
        low, high = limit.pair
        rows = picture.upright if picture.values.ndim == 2 else picture.values[np.newaxis]
        images.append(cmap(np.clip((rows - low) / (high - low), 0, 1), bytes=True)[..., :3])
    whole = np.concatenate(images, axis=1)
    scale = max(1, math.ceil(BARE_PIXELS / max(whole.shape[:2])))
    return whole.repeat(scale, axis=0).repeat(scale, axis=1)


class _Drawing:
    """A figure whose artists are given new values for each frame."""

    def __init__(self, pictures: Sequence[Picture], look: Look, cmap: Any) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        columns = min(len(pictures), COLUMNS)
        rows = -(-len(pictures) // columns)
        self._figure = Figure((WIDTH * columns, HEIGHT * rows), dpi=look.dpi)
        self._canvas: Any = FigureCanvasAgg(self._figure)
        self._scales: list[tuple[float, float]] = []
        grid = self._figure.subplots(rows, columns, squeeze=False)
        self._title = self._figure.suptitle("", fontsize="medium")
        places = [axes for row in grid for axes in row]
        self._artists = [
            draw_picture(axes, picture, cmap)
            for axes, picture in zip(places, pictures, strict=False)
        ]
        for axes in places[len(pictures) :]:
            axes.set_axis_off()

    def draw(self, pictures: Sequence[Picture], limits: Sequence[Limits], title: str) -> Pixels:
        for artist, picture, limit in zip(self._artists, pictures, limits, strict=True):
            update_picture(artist, picture, limit.pair)
        self._title.set_text(drawable(title))
        # Things stay where they are while the scales do; longer numbers need more room.
        scales = [limit.pair for limit in limits]
        self._figure.set_layout_engine("none" if scales == self._scales else "constrained")
        self._scales = scales
        self._canvas.draw()
        pixels: Pixels = np.asarray(self._canvas.buffer_rgba())[..., :3]
        return pixels


def draw_picture(axes: Any, picture: Picture, cmap: Any) -> Any:
    """Draw a picture into axes of matplotlib, and return the line or image."""
    axes.set_xlabel(drawable(picture.axes[0].title))
    set_label(axes, picture.label)
    first = picture.axes[0]
    values = picture.values
    if values.ndim == 1:
        (line,) = axes.plot(first.centres, _shown(picture), marker="" if len(values) > 1 else "o")
        axes.set_xlim(first.low, first.high)
        return line
    second = picture.axes[1]
    axes.set_ylabel(drawable(second.title))
    shape = abs((second.high - second.low) / (first.high - first.low))
    equal = 0.2 <= shape <= 5  # one scale for both; what is longer and thinner would be a line
    image = axes.imshow(
        _shown(picture).T,
        vmin=0,
        vmax=1,
        origin="lower",
        extent=(first.low, first.high, second.low, second.high),
        aspect="equal" if equal else "auto",
        interpolation="nearest",
        cmap=cmap,
    )
    # Beside the image and as high as it is, so that the image stays under its title.
    width = BAR * (max(1.0, shape) if equal else 1.0)
    axes.figure.colorbar(image, cax=axes.inset_axes((1 + width, 0, width, 1)))
    return image


def set_label(axes: Any, label: str) -> None:
    """Write above a picture what it shows."""
    short = label if len(label) <= LABEL else f"{label[: LABEL - 1]}…"
    axes.set_title(drawable(short), fontsize="small")


def _shown(picture: Picture) -> Array:
    """Return values that matplotlib can compute with."""
    return np.clip(picture.values, -LARGEST, LARGEST)


def update_picture(artist: Any, picture: Picture, limits: tuple[float, float]) -> None:
    """Give a line or image of `draw_picture` other values and limits."""
    low, high = limits
    if picture.values.ndim == 1:
        artist.set_ydata(_shown(picture))
        margin = 0.05 * (high - low)
        artist.axes.set_ylim(low - margin, high + margin)
    else:
        artist.set_data(_shown(picture).T)
        artist.set_clim(low, high)
