"""Animated GIFs written frame by frame with Pillow, which only this file imports.

Pillow itself keeps all frames of an animation in memory until it writes the first. Here it makes
each frame a GIF of its own, whose parts are put one after the other into the file, each with its
colours. The format is that of the GIF89a specification.
"""

import contextlib
import io
import mmap
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from holdfast.errors import FormatError, InvalidInputError, MissingDependencyError

_HEADER_BYTES = 13
_LOOP = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"
_TRAILER = b";"
_LONGEST_DELAY = _WIDEST = 0xFFFF
_EXTENSION, _IMAGE, _END = 0x21, 0x2C, 0x3B
_CONTROL, _COMMENT = 0xF9, 0xFE
_BLOCK = 255
"""Bytes of the longest block."""


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
        If `after` has another size, or is no GIF, or frames are larger than one can be.
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
        if max(size) > _WIDEST:
            raise InvalidInputError(
                f"{path}: frames of {size[0]} x {size[1]} pixels do not fit a GIF, whose sides are "
                f"{_WIDEST} at most; end the name in .webm, or show fewer cells"
            )
        self._path, self._size = path, size
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
        _put(self._file, self._path, self._end, content)
        self._end += len(content)

    def close(self) -> None:
        """Finish the file; does nothing the second time."""
        if not self._file.closed:
            os.fsync(self._file.fileno())
            self._file.close()

    def abandon(self) -> None:
        """Let go of the file as it is."""
        self._file.close()


def _put(file: IO[bytes], path: Path, at: int, content: bytes) -> None:
    """Write in place of the end mark, and the mark behind it; all of it, or the mark is back."""
    view = memoryview(content + _TRAILER)
    file.seek(at)
    try:
        while view:
            view = view[file.write(view) :]
    except OSError as error:
        with contextlib.suppress(OSError):
            file.truncate(at)
            file.seek(at)
            file.write(_TRAILER)
        raise OSError(error.errno, error.strerror, str(path)) from None


def _copied(source: Path, target: Path, size: tuple[int, int]) -> int:
    """Copy the frames of a GIF, and return where they end."""
    found = gif_of(source)
    if not found.whole or found.size != size:
        raise InvalidInputError(
            f"{source} is no whole GIF of {size[0]} x {size[1]} pixels, so that no frames can be "
            "added; write_mode='truncate' begins a new one"
        )
    join([source], target)
    return target.stat().st_size - len(_TRAILER)


@dataclass(slots=True)
class Gif:
    """What is in a GIF.

    Attributes
    ----------
    size : (int, int)
        Width and height.
    delays : list of int
        How long each frame is shown, in hundredths of a second.
    comment : str
        Text that it holds; the last, if there are several.
    whole : bool
        Whether the end mark is there.
    """

    size: tuple[int, int]
    delays: list[int] = field(default_factory=list)
    comment: str = ""
    whole: bool = False


def gif_of(path: Path) -> Gif:
    """Look through a GIF, up to where it is torn.

    Raises
    ------
    FormatError
        If it is none.
    """
    with _mapped(path) as data:
        width, height = struct.unpack_from("<HH", data, 6)
        found = Gif((width, height))
        for part in _parts(data):
            if part.label == _IMAGE:
                found.delays.append(part.delay)
            elif part.label == _COMMENT:
                found.comment = _text(data, part.image)
            found.whole = part.label == _END
    return found


def join(sources: Sequence[Path], target: Path, comment: str = "") -> None:
    """Write the frames of GIFs of one size one after the other into a file, and sync it.

    The comment stands before the last frame: behind it, ffmpeg would take it for one frame more.

    Raises
    ------
    OSError
        If the disk is full.
    """
    told, waiting = _comment(comment), b""
    with open(target, "wb") as file:
        for number, source in enumerate(sources):
            with _mapped(source) as data:
                colours = data[_HEADER_BYTES : _HEADER_BYTES + _colour_bytes(data[10])]
                file.write(b"" if number else data[:_HEADER_BYTES] + colours + _LOOP)
                for part in _parts(data):
                    if part.label == _IMAGE:
                        file.write(waiting)
                        waiting = _with_colours(data, part, colours if number else b"")
        file.write(told + waiting + _TRAILER)
        file.flush()
        os.fsync(file.fileno())


def _with_colours(data: Any, part: "_Part", colours: bytes) -> bytes:
    """Return a frame; where it has no colours of its own, with those that its file has for all."""
    flags = data[part.image + 9]
    whole: bytes = data[part.start : part.end]
    if flags & 0x80 or not colours:
        return whole
    described = data[part.start : part.image + 9] + bytes([flags & 0x78 | 0x80 | data[10] & 0x07])
    joined: bytes = described + colours + data[part.image + 10 : part.end]
    return joined


def _comment(text: str) -> bytes:
    content = text.encode("ascii")
    blocks = [content[at : at + _BLOCK] for at in range(0, len(content), _BLOCK)]
    told = b"".join(bytes([len(block)]) + block for block in blocks)
    return bytes([_EXTENSION, _COMMENT]) + told + b"\0" if told else b""


@contextlib.contextmanager
def _mapped(path: Path) -> Iterator[Any]:
    with open(path, "rb") as file, contextlib.ExitStack() as stack:
        data: Any = b""
        if os.fstat(file.fileno()).st_size > _HEADER_BYTES:
            data = stack.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        if data[:6] not in (b"GIF87a", b"GIF89a"):
            raise FormatError(f"{path} is no GIF; check the name")
        yield data


@dataclass(frozen=True, slots=True)
class _Part:
    """A frame, a comment, or the end: what it is, where it begins, where its image or text is."""

    label: int
    start: int
    image: int
    end: int
    delay: int = 0


def _parts(data: Any) -> Iterator[_Part]:
    """Yield the parts of a GIF, up to where it is torn."""
    at = _HEADER_BYTES + _colour_bytes(data[10])
    delay, first = 0, None
    with contextlib.suppress(IndexError, struct.error):
        while data[at] in (_EXTENSION, _IMAGE):
            start = at
            if data[at] == _IMAGE:
                at = _behind_blocks(data, start + 11 + _colour_bytes(data[start + 9]))
                yield _Part(_IMAGE, start if first is None else first, start, at, delay)
                delay, first = 0, None
                continue
            at = _behind_blocks(data, start + 2)
            if data[start + 1] == _CONTROL:  # of the frame that follows
                (delay,), first = struct.unpack_from("<H", data, start + 4), start
            elif data[start + 1] == _COMMENT:
                yield _Part(_COMMENT, start, start + 2, at)
        if data[at] == _END:
            yield _Part(_END, at, at, at + 1)


def _colour_bytes(flags: int) -> int:
    return 3 * (2 << (flags & 0x07)) if flags & 0x80 else 0


def _behind_blocks(data: Any, at: int) -> int:
    while data[at]:
        at += data[at] + 1
    return at + 1


def _text(data: Any, at: int) -> str:
    parts = []
    while data[at]:
        parts.append(data[at + 1 : at + 1 + data[at]])
        at += data[at] + 1
    return b"".join(parts).decode("ascii", "replace")


def _frame(pixels: npt.NDArray[np.uint8], delay: int) -> bytes:
    """Return a frame: how long it is shown, where, its colours, and its pixels."""
    buffer = io.BytesIO()
    _in_few_colours(pixels).save(buffer, "GIF")
    content = buffer.getvalue()
    bits = content[10] & 0x07
    colours = content[_HEADER_BYTES : _HEADER_BYTES + _colour_bytes(content[10])]
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
    while content[at] == _EXTENSION:
        at = _behind_blocks(content, at + 2)
    return at
