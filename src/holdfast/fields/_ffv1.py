"""Archives in the lossless codec FFV1: fields as frames of a movie that can be read back as data.

Values between two limits become whole numbers of 8 or 16 bits, one colour channel for each
component. A frame stands upright, x to the right and y upwards, so that a player shows the field.
What makes data of the frames stands as JSON in the tag ``comment`` of the container, in the words
of py-pde (``vmin``, ``vmax``, ``video_format``, ``field_attributes``), and under ``holdfast`` what
py-pde does not keep: shape, dtype, times, and how frames lie. Its own archives, whose frames lie
otherwise, are read too.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast._names import listing
from holdfast.errors import FormatError, InvalidInputError
from holdfast.fields._ffmpeg import COMMENT
from holdfast.fields._forms import Array, Form

VERSION = 1
OURS = "holdfast"

ENDINGS = (".mkv", ".avi", ".mov", ".mp4")


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How components become colours.

    Attributes
    ----------
    name : str
        py-pde's name, which is ffmpeg's for the frames in the file.
    channels : int
        Channels of a pixel.
    bits : int
        Bits of a channel.
    given : str
        ffmpeg's name for frames as they are given and taken here, channel by channel in each pixel.
    coded : str
        ffmpeg's name for what the codec gets.
    """

    name: str
    channels: int
    bits: int
    given: str
    coded: str

    @property
    def dtype(self) -> "np.dtype[Any]":
        """The dtype of a channel."""
        return np.dtype("u1" if self.bits == 8 else "<u2")


FORMATS = {
    made.name: made
    for made in (
        PixelFormat("gray", 1, 8, "gray", "gray"),
        PixelFormat("rgb24", 3, 8, "rgb24", "bgr0"),
        PixelFormat("rgb32", 4, 8, "rgba", "bgra"),
        PixelFormat("gray16le", 1, 16, "gray16le", "gray16le"),
        PixelFormat("gbrp16le", 3, 16, "rgb48le", "gbrp16le"),
        PixelFormat("gbrap16le", 4, 16, "rgba64le", "gbrap16le"),
    )
}


def pixel_format(name: str, channels: int, bits: int) -> PixelFormat:
    """Return the format of a name, or for ``auto`` the smallest that holds so many channels.

    Raises
    ------
    InvalidInputError
        If there is none.
    """
    if bits not in (8, 16):
        raise InvalidInputError(f"bits_per_channel is 8 or 16, not {bits!r}")
    if name == "auto":
        fitting = [f for f in FORMATS.values() if f.bits == bits and f.channels >= channels]
    elif name in FORMATS:
        fitting = [FORMATS[name]]
    else:
        raise InvalidInputError(
            f"video_format {name!r} is unknown; use one of auto, {listing(FORMATS)}"
        )
    if not fitting or fitting[0].channels < channels:
        raise InvalidInputError(
            f"fields with {channels} components do not fit the colours of a movie"
            f"{'' if not fitting else f' in {name}'}, which are 4 at most; keep them in a "
            "FileStorage, or store fewer by a transformation"
        )
    return min(fitting, key=lambda found: found.channels)


@dataclass(slots=True)
class Archive:
    """What makes frames of fields, and fields of frames.

    Attributes
    ----------
    shape : tuple of int
        Shape of the values of a field.
    dtype : numpy.dtype
        Their dtype when they are read back.
    axes : int
        How many of the last dimensions are cells: 1 or 2.
    format : PixelFormat
        How components become colours.
    low, high : numpy.ndarray
        Limits of each component.
    info : dict
        What else the storage keeps.
    times : list of float or None
        Times of the frames; None where the file does not say.
    fps : float or None
        Frames a second; None where the file does not say.
    of_pde : bool
        Whether frames lie as py-pde lays them.
    clipped : bool
        Whether a value was beyond its limits, and stored as the nearest.
    """

    shape: tuple[int, ...]
    dtype: "np.dtype[Any]"
    axes: int
    format: PixelFormat
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    info: dict[str, Any] = field(default_factory=dict)
    times: list[float] | None = None
    fps: float | None = None
    of_pde: bool = False
    clipped: bool = False

    @property
    def cells(self) -> tuple[int, int]:
        """Cells along x and y."""
        sizes = self.shape[len(self.shape) - self.axes :]
        return (sizes[0], sizes[1]) if self.axes == 2 else (sizes[0] if sizes else 1, 1)

    @property
    def frame_bytes(self) -> int:
        """Bytes of a frame as given to ffmpeg and taken from it."""
        width, height = self.cells
        return width * height * self.format.channels * self.format.dtype.itemsize

    @property
    def _largest(self) -> int:
        return (1 << self.format.bits) - 1

    def continues(self, there: "Archive") -> bool:
        """Whether the frames of another archive mean the same numbers."""
        same = (self.shape, self.axes, self.format) == (there.shape, there.axes, there.format)
        limits = np.array_equal(self.low, there.low) and np.array_equal(self.high, there.high)
        return same and limits and not there.of_pde

    def encode(self, values: Array) -> bytes:
        """Return the frame of a field, each value rounded to the nearest step."""
        components = values.reshape(-1, *self.cells).astype(np.float64)
        low, high = self._limits()
        share = (components - low) / (high - low)
        inside = (share >= 0) & (share <= 1)
        if not inside.all():  # what is not a number is not inside either
            self.clipped = True
            share = np.clip(np.nan_to_num(share, nan=0.0, posinf=1.0, neginf=0.0), 0, 1)
        steps = np.rint(share * self._largest).astype(self.format.dtype)
        width, height = self.cells
        frame = np.zeros((height, width, self.format.channels), self.format.dtype)
        frame[..., : len(steps)] = steps.transpose(2, 1, 0)[::-1]
        return frame.tobytes()

    def decode(self, content: bytes) -> Array:
        """Return the values of a field from its frame."""
        flat = np.frombuffer(content, self.format.dtype)
        width, height = self.cells
        if self.of_pde:
            pixels = flat.reshape(width, height, self.format.channels).transpose(2, 0, 1)
        else:
            upright = flat.reshape(height, width, self.format.channels)
            pixels = upright[::-1].transpose(2, 1, 0)
        low, high = self._limits()
        values = low + pixels[: len(low)] / self._largest * (high - low)
        if self.dtype.kind in "iu":
            values = np.rint(values)
        decoded: Array = values.reshape(self.shape).astype(self.dtype)
        return decoded

    def _limits(self) -> tuple[Array, Array]:
        return self.low[:, np.newaxis, np.newaxis], self.high[:, np.newaxis, np.newaxis]

    def comment(self) -> str:
        """Return what stands in the container's comment."""
        ours = {
            "version": VERSION,
            "shape": list(self.shape),
            "axes": self.axes,
            "dtype": self.dtype.str,
            "low": self.low.tolist(),
            "high": self.high.tolist(),
            "fps": self.fps,
            "times": self.times,
        }
        pde = {"vmin": _common(self.low), "vmax": _common(self.high), "version": 1}
        return json.dumps({**self.info, **pde, "video_format": self.format.name, OURS: ours})


def _common(limits: npt.NDArray[np.float64]) -> float | list[float]:
    """Return one number where all are equal, as py-pde takes it."""
    found: list[float] = limits.tolist()
    return found[0] if len(set(found)) == 1 else found


def limits_of(form: Form, shape: Sequence[int], axes: int, limit: Any, name: str) -> Array:
    """Return a limit for each component, from one number, or one for each field of a collection.

    Raises
    ------
    InvalidInputError
        If there are not as many as fields or components.
    """
    counts = [
        int(np.prod(part.shape[: len(part.shape) - axes], dtype=int)) for part in form.parts or ()
    ] or [int(np.prod(shape[: len(shape) - axes], dtype=int))]
    try:
        given = np.asarray(limit, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidInputError(
            f"{name} is a number, or one for each field, not {limit!r}"
        ) from None
    if given.ndim == 0:
        return np.full(sum(counts), float(given))
    if given.shape == (len(counts),):
        return np.repeat(given, counts)
    if given.shape == (sum(counts),):
        return given
    raise InvalidInputError(
        f"{name} has {given.size} numbers, and there are {len(counts)} fields; give one for each"
    )


def check_limits(low: Array, high: Array) -> None:
    """Refuse limits with nothing between them.

    Raises
    ------
    InvalidInputError
        If one is not finite, or not below its upper one.
    """
    if not (np.isfinite(low) & np.isfinite(high) & (low < high)).all():
        raise InvalidInputError(
            f"vmin {low.tolist()} must be below vmax {high.tolist()}, and both finite"
        )


def parse_comment(tags: Mapping[str, str], where: str) -> dict[str, Any]:
    """Return what a container's comment holds as JSON.

    Raises
    ------
    FormatError
        If it has no such comment.
    """
    text = tags.get(COMMENT, "").strip()
    for candidate in (text, text[1:-1] if text[:1] == "'" else ""):
        try:
            found = json.loads(candidate)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    try:  # py-pde quotes it as for a shell
        found = json.loads(shlex.split(text)[0])
    except (ValueError, IndexError):
        found = None
    if not isinstance(found, dict):
        raise without_data(where)
    return found


def without_data(where: str) -> FormatError:
    """Return the error of a movie that no fields can be made of."""
    return FormatError(
        f"{where} is a movie without data: only archives (codec='ffv1') are read back; read the "
        "fields from the storage that the movie was made of"
    )
