"""Animated GIFs written frame by frame with Pillow, which only this file imports.

Pillow itself keeps all frames of an animation in memory until it writes the first. Here it makes
each frame a GIF of its own, whose parts are put one after the other into the file, each with its
colours. The format is that of the GIF89a specification.
"""

import contextlib
import io
import os
import shutil
import struct
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from holdfast.errors import InvalidInputError, MissingDependencyError

_HEADER_BYTES = 13
_LOOP = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"
_TRAILER = b";"
_LONGEST_DELAY = 0xFFFF


class GifWriter:
    """Writes frames into an animated GIF, which can be shown at every moment.

    Parameters
    ----------
    path : Path
        The file; one that exists is replaced.
    size : (int, int)
        Width and height of a frame.
    fps : float
        Frames a second; GIF counts hundredths of a second.
    after : Path, optional
        A GIF whose frames come first.

    Raises
    ------
    MissingDependencyError
        If Pillow is not installed.
    InvalidInputError
        If `after` has another size, or is no GIF.
    OSError
        If the disk is full.
    """

    def __init__(
        self, path: Path, size: tuple[int, int], fps: float, *, after: Path | None = None
    ) -> None:
        try:
            import PIL  # noqa: F401 - whether it is there is to be known before the file is made
        except ImportError:
            raise MissingDependencyError(
                "movie_writer='pillow' needs Pillow; install it with: pip install pillow"
            ) from None
        self._size = size
        self._delay = min(max(round(100 / fps), 1), _LONGEST_DELAY)
        self._end = 0 if after is None else _copied(after, path, size)
        mode = "wb" if after is None else "rb+"
        self._file: IO[bytes] = open(path, mode, buffering=0)  # noqa: SIM115 - closed in `close`
        if after is None:
            self._write(b"GIF89a" + struct.pack("<HHBBB", *size, 0x70, 0, 0) + _LOOP)

    def write(self, frame: "bytes | memoryview") -> None:
        """Add a frame: RGB, one byte each, rows from the top down.

        Raises
        ------
        OSError
            If the disk is full; the file then ends with the frame before.
        """
        width, height = self._size
        pixels = np.frombuffer(frame, np.uint8).reshape(height, width, 3)
        self._write(_frame(pixels, self._delay))

    def _write(self, content: bytes) -> None:
        """Write behind what is there, and the end of the file behind that."""
        view = memoryview(content + _TRAILER)
        self._file.seek(self._end)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError:
            with contextlib.suppress(OSError):
                self._file.truncate(self._end)
                self._file.seek(self._end)
                self._file.write(_TRAILER)
            raise
        self._end += len(content)

    def close(self) -> None:
        """Finish the file; does nothing the second time."""
        if not self._file.closed:
            os.fsync(self._file.fileno())
            self._file.close()

    def abandon(self) -> None:
        """Let go of the file as it is."""
        self._file.close()


def _copied(source: Path, target: Path, size: tuple[int, int]) -> int:
    """Copy a GIF, and return where its end mark is."""
    shutil.copyfile(source, target)
    with open(target, "rb") as file:
        header = file.read(_HEADER_BYTES)
        end = file.seek(-1, os.SEEK_END) if len(header) == _HEADER_BYTES else 0
        mark = file.read(1)
    found = struct.unpack_from("<HH", header, 6) if end else (0, 0)
    if not header.startswith(b"GIF89a") or mark != _TRAILER or found != size:
        raise InvalidInputError(
            f"{source} is no whole GIF of {size[0]} x {size[1]} pixels, so that no frames can be "
            "added; write_mode='truncate' begins a new one"
        )
    return end


def _frame(pixels: npt.NDArray[np.uint8], delay: int) -> bytes:
    """Return a frame: how long it is shown, where, its colours, and its pixels."""
    buffer = io.BytesIO()
    _in_few_colours(pixels).save(buffer, "GIF")
    content = buffer.getvalue()
    flags = content[10]
    bits = flags & 0x07
    colours = content[_HEADER_BYTES : _HEADER_BYTES + 3 * (2 << bits)] if flags & 0x80 else b""
    image = _image_block(content, _HEADER_BYTES + len(colours))
    own = content[image + 9]
    if own & 0x80:  # Pillow gave the colours there
        described = content[image : image + 10]
        data = content[image + 10 : -1]
    else:
        described = content[image : image + 9] + bytes([own | 0x80 | bits])
        data = colours + content[image + 10 : -1]
    return b"\x21\xf9\x04" + struct.pack("<BHBB", 0x04, delay, 0, 0) + described + data


def _in_few_colours(pixels: npt.NDArray[np.uint8]) -> Any:
    """Return an image of at most 256 colours: exactly those of the frame where it has no more."""
    from PIL import Image

    image = Image.fromarray(pixels)
    known: Any = image.getcolors(256)
    if known is None:
        return image.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    packed = pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    colours = np.sort([(red << 16) + (green << 8) + blue for _, (red, green, blue) in known])
    few = Image.fromarray(np.searchsorted(colours, packed).astype(np.uint8))
    few.putpalette(
        np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=1)
        .astype(np.uint8)
        .tobytes()
    )
    return few


def _image_block(content: bytes, at: int) -> int:
    """Return where the image begins, behind extensions."""
    while content[at] == 0x21:
        at += 2
        while content[at]:
            at += content[at] + 1
        at += 1
    return at
