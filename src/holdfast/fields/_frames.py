"""`FrameReader`: any frame of an archive, without decoding the movie from its start each time."""

import os
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from holdfast._names import listing
from holdfast.errors import FormatError
from holdfast.fields._existing import RENDERING
from holdfast.fields._ffmpeg import COMMENT, Decoder, frames_of, tags
from holdfast.fields._ffv1 import FORMATS, OURS, VERSION, Archive, parse_comment, without_data
from holdfast.fields._field import FieldForm
from holdfast.fields._forms import ATTRIBUTES, Array
from holdfast.fields._recording import sidecar

NEAR = 24
"""Frames that are decoded to get to one that is ahead, before a seek is cheaper."""


class FrameReader:
    """Reads the frames of an archive.

    Parameters
    ----------
    path : Path
        The movie.

    Attributes
    ----------
    archive : Archive
        What makes fields of frames, with the times of all.

    Raises
    ------
    MissingFileError
        If there is no such file.
    FormatError
        If it is no archive, or damaged.

    Notes
    -----
    Each frame is coded by itself, so a decoder can begin at any. It stays open at its place: the
    frames behind it come without another start of ffmpeg.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stamp = stamp_of(path)
        self.archive = _read_archive(path)
        self._starts: list[float] | None = None
        self._decoder: Decoder | None = None
        self._next = 0
        self._closing: Any = None

    def read(self, number: int) -> Array:
        """Return the values of the field of a frame.

        Raises
        ------
        FormatError
            If the movie is damaged there.
        """
        decoder = self._decoder_at(number)
        content = None
        while self._next <= number:
            content = decoder.read()
            self._next += 1
            if content is None:
                self.close()
                raise FormatError(
                    f"{self.path} ends before frame {number}, and tells of more; restore it from "
                    "a copy"
                )
        if content is None:
            raise AssertionError
        return self.archive.decode(content)

    def _decoder_at(self, number: int) -> Decoder:
        if self._decoder is None or not self._next <= number <= self._next + NEAR:
            self.close()
            archive = self.archive
            pixels = archive.format.name if archive.of_pde else archive.format.given
            start = self._seconds_before(number)
            self._decoder = Decoder(self.path, archive.frame_bytes, pixels, start)
            self._closing = weakref.finalize(self, self._decoder.close)
            self._next = number
        return self._decoder

    def _seconds_before(self, number: int) -> float:
        """Return a time between a frame and the one before it."""
        if not number:
            return 0.0
        if self._starts is None:
            self._starts = frames_of(self.path).starts
        if number >= len(self._starts):
            raise FormatError(
                f"{self.path} ends before frame {number}, and tells of more; restore it from a copy"
            )
        return (self._starts[number - 1] + self._starts[number]) / 2

    def close(self) -> None:
        """End the decoder; the next read starts another."""
        if self._closing is not None:
            self._closing()
        self._decoder = self._closing = None


def stamp_of(path: Path) -> tuple[int, int, int]:
    """Return what tells whether a file has been replaced."""
    found = os.stat(path)
    return found.st_ino, found.st_size, found.st_mtime_ns


def _read_archive(path: Path) -> Archive:
    described = parse_comment(tags(path), str(path))
    if RENDERING in described:
        raise without_data(str(path))
    archive = _ours(path, described) if OURS in described else _of_pde(path, described)
    if archive.times is None:
        archive.times = _times(path, described)
    return archive


def _ours(path: Path, described: dict[str, Any]) -> Archive:
    try:
        ours = described.pop(OURS)
        if ours["version"] != VERSION:
            raise FormatError(
                f"{path} was written by a newer Holdfast (archive version {ours['version']}); "
                "install that to read it"
            )
        low, high = (np.array(ours[name], np.float64) for name in ("low", "high"))
        return Archive(
            tuple(ours["shape"]),
            np.dtype(ours["dtype"]),
            int(ours["axes"]),
            FORMATS[described["video_format"]],
            low,
            high,
            _without_limits(described),
            ours["times"],
            ours.get("fps"),
        )
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"the comment of {path} is not understood: {error!r}") from None


def _of_pde(path: Path, described: dict[str, Any]) -> Archive:
    """Return how an archive of py-pde is read: it keeps no shape, so it follows from the grid."""
    try:
        attributes = described[ATTRIBUTES]
        form = FieldForm.parse(attributes)
        fields = form.of_parts or (form,)
        counts = [form.grid.dim**field.rank for field in fields]
        shape = (sum(counts), *form.grid.shape)
        if form.of_parts is None:
            shape = (form.grid.dim,) * form.rank + form.grid.shape
        limits = [
            np.repeat(np.broadcast_to(np.asarray(described[name], float), len(counts)), counts)
            for name in ("vmin", "vmax")
        ]
        kind = FORMATS[described["video_format"]]
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(
            f"{path} is a movie without data that could be read back ({error!r}): only archives "
            f"in the formats {listing(FORMATS)} are"
        ) from None
    info = _without_limits(described)
    return Archive(
        shape, form.dtype, form.grid.num_axes, kind, limits[0], limits[1], info, of_pde=True
    )


def _without_limits(described: dict[str, Any]) -> dict[str, Any]:
    left_out = ("vmin", "vmax", "version", "video_format", "write_times", OURS, COMMENT)
    return {name: value for name, value in described.items() if name not in left_out}


def _times(path: Path, described: dict[str, Any]) -> list[float]:
    """Return the times of a movie that does not hold them: of the text file beside it, or even."""
    count = len(frames_of(path).starts)
    beside = sidecar(path)
    if beside.is_file():
        try:
            found = [float(line) for line in beside.read_text(encoding="ascii").split()]
        except ValueError as error:
            raise FormatError(f"{beside} holds something else than times: {error}") from None
        if len(found) >= count:  # the last frame may have been on its way when it was killed
            return found[:count]
    start, step = described.get("t_start") or 0.0, described.get("dt") or 1.0
    return [float(start) + float(step) * number for number in range(count)]
