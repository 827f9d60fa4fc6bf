"""What makes frames of fields: drawing them for a rendering, or coding them for an archive."""

import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from holdfast._atomic import replace_bytes
from holdfast._names import listing
from holdfast._sync import Durability
from holdfast.errors import HoldfastWarning, InvalidInputError
from holdfast.fields._codings import Coding, archive_coding, rendering_coding
from holdfast.fields._existing import Existing, comment_of_rendering
from holdfast.fields._ffmpeg import COMMENT, LARGEST_TAG, ffmpeg_executable
from holdfast.fields._ffv1 import (
    ENDINGS,
    Archive,
    PixelFormat,
    check_limits,
    limits_of,
    pixel_format,
)
from holdfast.fields._forms import Array, Layout
from holdfast.fields._pictures import axes_of
from holdfast.fields._recording import sidecar
from holdfast.fields._render import Look, Renderer
from holdfast.fields._render import limits_of as colour_limits

Frame = tuple[bytes, tuple[int, int]]

_ARCHIVE_ENDINGS = (".mkv", ".avi", ".mov")
"""Names that mean an archive where nothing asks for a rendering."""

_FPS, _ARCHIVE_FPS = 10.0, 25.0
"""Frames a second where none are asked for, as py-pde has them."""


def number_between(name: str, value: Any, least: float, most: float) -> float:
    """Return a number that an argument gave.

    Raises
    ------
    InvalidInputError
        If it is none, or beyond its limits.
    """
    known = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not known or not least <= value <= most:
        raise InvalidInputError(f"{name} is a number from {least:g} to {most:g}, not {value!r}")
    return float(value)


class Making(Protocol):
    """Makes the frames of a movie.

    Attributes
    ----------
    archive : bool
        Whether fields can be made of the frames again.
    """

    archive: bool

    def begin(self, layout: Layout, info: Mapping[str, Any], there: Existing | None) -> Coding:
        """Prepare for fields of a layout, and return how their frames become a file.

        `there` is the movie that they continue, if there is one.
        """

    def frame(self, values: Array, time: float) -> Frame:
        """Return the raw frame of a field, and its width and height."""

    def note(self, time: float) -> str:
        """Return a line to be kept beside the movie while it is written; empty for none."""

    def update(self, info: Mapping[str, Any]) -> None:
        """Take in information that came meanwhile."""

    def tags(self, times: list[float]) -> dict[str, str]:
        """Return the tags of the finished movie."""

    def finished(self, path: Path, times: list[float]) -> None:
        """Do what is to be done beside a movie that has its name."""


def _rate(path: Path, asked: float | None, default: float, there: Existing | None) -> float:
    """Return frames a second: those of the movie that is continued, which all its frames have."""
    if there is None:
        return asked or default
    if asked is not None and not math.isclose(asked, there.fps, rel_tol=1e-3):
        raise InvalidInputError(
            f"{path} plays {there.fps:g} frames a second, and cannot be continued with {asked:g}; "
            "leave fps out, or write another movie"
        )
    return there.fps


def _refuse_empty(layout: Layout) -> None:
    if not all(layout.shape):
        raise InvalidInputError(f"fields of shape {layout.shape} have no cell to be shown")


class Rendering:
    """Draws fields for eyes."""

    archive = False

    def __init__(
        self, path: Path, codec: str, fps: float | None, bitrate: float, looks: Mapping[str, Any]
    ) -> None:
        chosen = {name: value for name, value in looks.items() if value is not None}
        self._path, self._asked_fps, self._fps = path, fps, fps or _FPS
        self._coding_of = (path, codec, chosen.pop("movie_writer", "auto"), bitrate)
        self._look = Look(**chosen)
        number_between("dpi", self._look.dpi, 10, 1200)
        number_between("bitrate", bitrate, -math.inf, 1e9)
        rendering_coding(*self._coding_of, fps=self._fps)
        self._renderer: Renderer | None = None

    def begin(
        self,
        layout: Layout,
        info: Mapping[str, Any],  # noqa: ARG002 - eyes see none
        there: Existing | None,
    ) -> Coding:
        """Prepare for fields of a layout; limits seen so far begin anew."""
        _refuse_empty(layout)
        self._fps = _rate(self._path, self._asked_fps, _FPS, there)
        coding = rendering_coding(*self._coding_of, fps=self._fps)
        if not coding.pillow:
            ffmpeg_executable()
        if self._look.limits is not None:
            colour_limits(self._look.limits, len(layout.form.parts or (None,)))
        self._renderer = Renderer(layout.form, self._look)
        return coding

    def frame(self, values: Array, time: float) -> Frame:
        """Return a drawing."""
        if self._renderer is None:
            raise AssertionError
        pixels = self._renderer.frame(values, time)
        return pixels.tobytes(), (pixels.shape[1], pixels.shape[0])

    def note(self, time: float) -> str:  # noqa: ARG002 - a drawing shows its time
        """Return nothing."""
        return ""

    def update(self, info: Mapping[str, Any]) -> None:
        """Do nothing."""

    def tags(self, times: list[float]) -> dict[str, str]:
        """Return what tells how fast frames play, and their times where these are not too many."""
        comment = comment_of_rendering(times, self._fps)
        if len(comment) > LARGEST_TAG:
            comment = comment_of_rendering([], self._fps)
        return {COMMENT: comment}

    def finished(self, path: Path, times: list[float]) -> None:
        """Do nothing."""


class Archiving:
    """Codes fields as data."""

    archive = True

    def __init__(
        self,
        path: Path,
        fps: float | None,
        *,
        vmin: Any = None,
        vmax: Any = None,
        bits_per_channel: int | None = None,
        video_format: str | None = None,
        write_times: bool = False,
    ) -> None:
        if path.suffix.lower() not in ENDINGS:
            raise InvalidInputError(
                f"{path}: an archive ends in one of {listing(ENDINGS)}, not "
                f"{path.suffix or 'nothing'}; limits=(low, high) are those of a rendering's colours"
            )
        pixel_format(video_format or "auto", 1, bits_per_channel or 16)
        self._path, self._fps = path, fps
        self._low, self._high = vmin, vmax
        self._format, self._bits = video_format, bits_per_channel
        self._write_times, self._warned = write_times, False
        self._archive: Archive | None = None

    def begin(self, layout: Layout, info: Mapping[str, Any], there: Existing | None) -> Coding:
        """Prepare for fields of a layout, which continue an archive as it was begun.

        Raises
        ------
        InvalidInputError
            If a frame cannot hold them, or other limits or colours are asked for than the archive
            has, whose frames would then mean other numbers, or another rate.
        """
        _refuse_empty(layout)
        fps = _rate(self._path, self._fps, _ARCHIVE_FPS, there)
        made = self._made(layout, info, None if there is None else there.archive)
        ffmpeg_executable()
        made.fps = fps
        self._archive = made
        comment = f"{COMMENT}={made.comment()}"
        return archive_coding(made.format.given, made.format.coded, fps, comment, made.cells)

    def _made(self, layout: Layout, info: Mapping[str, Any], there: Archive | None) -> Archive:
        form, shape = layout.form, layout.shape
        axes = len(axes_of(form, shape))
        if axes > 2 or layout.dtype.kind == "c":
            raise InvalidInputError(
                f"{layout.dtype} fields with {axes} axes do not fit the frames of a movie, which "
                "hold real numbers along one axis or two; keep them in a FileStorage"
            )
        low, high = (
            limits_of(form, shape, axes, default if limit is None else limit, name)
            for limit, name, default in (
                (self._low, "vmin", 0.0 if there is None else there.low),
                (self._high, "vmax", 1.0 if there is None else there.high),
            )
        )
        check_limits(low, high)
        pixels = self._pixels(len(low), there)
        made = Archive(shape, layout.dtype, axes, pixels, low, high, dict(info))
        if there is not None and not made.continues(there):
            raise InvalidInputError(
                f"{self._path} has values from {there.low.tolist()} to {there.high.tolist()} in "
                f"{there.format.name}{', laid out by py-pde' if there.of_pde else ''}, and cannot "
                f"be continued from {low.tolist()} to {high.tolist()} in {pixels.name}; leave "
                "these arguments out, or write another movie"
            )
        return made

    def _pixels(self, components: int, there: Archive | None) -> PixelFormat:
        if there is not None and self._format is None and self._bits is None:
            return there.format
        return pixel_format(self._format or "auto", components, self._bits or 16)

    def frame(self, values: Array, time: float) -> Frame:  # noqa: ARG002 - times stand in the tags
        """Return a frame of rounded values."""
        archive = self._known
        content = archive.encode(values)
        if archive.clipped and not self._warned:
            self._warned = True
            warnings.warn(
                f"{self._path}: values beyond vmin and vmax, or no numbers, are stored as the "
                "nearest limit; choose wider limits",
                HoldfastWarning,
                stacklevel=5,
            )
        return content, archive.cells

    def note(self, time: float) -> str:
        """Return the time, so that a movie that is never finished has it."""
        return f"{time!r}\n"

    def update(self, info: Mapping[str, Any]) -> None:
        """Take in information that came meanwhile."""
        self._known.info = dict(info)

    def tags(self, times: list[float]) -> dict[str, str]:
        """Return what makes data of the frames; too many times stand beside the movie instead."""
        self._known.times = times
        comment = self._known.comment()
        if len(comment) > LARGEST_TAG:
            self._write_times, self._known.times = True, None
            comment = self._known.comment()
        return {COMMENT: comment}

    def finished(self, path: Path, times: list[float]) -> None:
        """Write the times beside the movie, if that was asked for."""
        if self._write_times:
            text = "".join(f"{time!r}\n" for time in times)
            replace_bytes(sidecar(path), text.encode("ascii"), Durability())

    @property
    def _known(self) -> Archive:
        if self._archive is None:
            raise AssertionError
        return self._archive


def making(
    path: Path,
    codec: str,
    fps: float | None,
    bitrate: float,
    looks: dict[str, Any],
    data: dict[str, Any],
) -> Making:
    """Return what makes the frames: those of a rendering or of an archive.

    Raises
    ------
    InvalidInputError
        If arguments of both are given, or one cannot be.
    """
    if fps is not None:
        fps = number_between("fps", fps, 0.001, 1000)
    asked = sorted(name for name, value in looks.items() if value is not None)
    wanted = sorted(name for name, value in data.items() if value is not None)
    if codec == "ffv1":
        wanted.append("codec='ffv1'")
    elif codec != "auto":
        asked.append(f"codec={codec!r}")
    if asked and wanted:
        raise InvalidInputError(
            f"{path}: {', '.join(wanted)} ask for an archive of data, and {', '.join(asked)} for a "
            "rendering; choose one (limits=(low, high) are those of a rendering's colours)"
        )
    by_name = path.suffix.lower() in _ARCHIVE_ENDINGS and not asked
    if wanted or by_name:
        return Archiving(path, fps, **{k: v for k, v in data.items() if v is not None})
    return Rendering(path, codec, fps, bitrate, looks)
