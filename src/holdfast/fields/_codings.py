"""How frames become a file: codecs, containers they go into, and what ffmpeg is told of them."""

from dataclasses import dataclass
from pathlib import Path

from holdfast._names import listing
from holdfast.errors import InvalidInputError

Size = tuple[int, int]

_MP4 = ("-movflags", "+empty_moov+default_base_moof+frag_every_frame")
_MATROSKA = ("-cluster_time_limit", "0")
_PARTIAL = {
    ".mp4": _MP4,
    ".m4v": _MP4,
    ".mov": _MP4,
    ".mkv": _MATROSKA,
    ".webm": _MATROSKA,
    ".gif": (),
}
"""What makes a container whose beginning can be played, by ending."""

_LIVE = ("-preset", "veryfast", "-tune", "zerolatency", "-pix_fmt", "yuv420p")
_LIVE_VP9 = (
    "-lag-in-frames",
    "0",
    "-deadline",
    "realtime",
    "-cpu-used",
    "6",
    "-row-mt",
    "1",
    "-pix_fmt",
    "yuv420p",
)
_PALETTE = "split[a][b];[a]palettegen=stats_mode=single[p];[b][p]paletteuse=new=1:dither=none"


@dataclass(frozen=True, slots=True)
class Codec:
    """A codec of renderings: its name in ffmpeg, the endings it goes into, and ffmpeg's options."""

    name: str
    endings: tuple[str, ...]
    options: tuple[str, ...]
    quality: tuple[str, ...] = ()


CODECS = {
    "h264": Codec(
        "h264", (".mp4", ".m4v", ".mov", ".mkv"), ("-c:v", "libx264", *_LIVE), ("-crf", "18")
    ),
    "h265": Codec(
        "hevc",
        (".mp4", ".m4v", ".mov", ".mkv"),
        ("-c:v", "libx265", "-tag:v", "hvc1", "-x265-params", "log-level=error", *_LIVE),
        ("-crf", "22"),
    ),
    "vp9": Codec(
        "vp9",
        (".webm", ".mkv", ".mp4"),
        ("-c:v", "libvpx-vp9", *_LIVE_VP9),
        ("-crf", "24", "-b:v", "0"),
    ),
    "gif": Codec("gif", (".gif",), ("-lavfi", _PALETTE)),
}
"""Codecs of renderings, the first that fits an ending being its default.

Each gives out a frame as soon as it has it, which costs some compression, so that what is in the
file lags behind by a frame and not by seconds.
"""

WRITERS = ("auto", "ffmpeg", "pillow")


@dataclass(frozen=True, slots=True)
class Coding:
    """How frames become a file.

    Attributes
    ----------
    codec : str
        What encodes, by ffmpeg's name.
    pixels : str
        Pixel format of raw frames, by ffmpeg's name.
    fps : float
        Frames a second.
    options : tuple of str
        What ffmpeg is told about the codec.
    suffix : str
        Ending of the file while it is written.
    pillow : bool
        Whether Pillow writes it, without ffmpeg.
    """

    codec: str
    pixels: str
    fps: float
    options: tuple[str, ...]
    suffix: str
    pillow: bool = False


def rendering_coding(target: Path, codec: str, writer: str, bitrate: float, fps: float) -> Coding:
    """Return how a rendering is written.

    Parameters
    ----------
    target : Path
        The file, whose ending chooses the container.
    codec : str
        A name of `CODECS`, or ``auto``.
    writer : {"auto", "ffmpeg", "pillow"}
        What writes it.
    bitrate : float
        Kilobits a second; not positive for a fixed quality.
    fps : float
        Frames a second.

    Raises
    ------
    InvalidInputError
        If these do not go together.
    """
    ending = target.suffix.lower()
    fitting = [name for name, known in CODECS.items() if ending in known.endings]
    if writer not in WRITERS:
        raise InvalidInputError(f"movie_writer is one of {listing(WRITERS)}, not {writer!r}")
    if not fitting:
        raise InvalidInputError(
            f"{target}: a movie ends in one of {listing(_PARTIAL)}, not {ending or 'nothing'}"
        )
    if codec == "auto":
        codec = fitting[0]
    if codec not in CODECS:
        raise InvalidInputError(
            f"codec {codec!r} is unknown; use one of auto, ffv1, {listing(CODECS)}"
        )
    if codec not in fitting:
        raise InvalidInputError(
            f"{target}: codec {codec!r} does not go into {ending}; use {listing(fitting)}, or end "
            f"the name in one of {listing(CODECS[codec].endings)}"
        )
    if writer == "pillow" and ending != ".gif":
        raise InvalidInputError(
            f"{target}: movie_writer='pillow' writes .gif only; use 'ffmpeg' for {ending}"
        )
    pillow = ending == ".gif" and writer != "ffmpeg"
    chosen = CODECS[codec]
    rate = ("-b:v", f"{bitrate:g}k") if bitrate > 0 else chosen.quality
    options = (*chosen.options, *rate, *_PARTIAL[ending], "-flush_packets", "1")
    return Coding(chosen.name, "rgb24", fps, options, ending, pillow)


def archive_coding(pixels: str, coded: str, fps: float, tag: str, size: Size) -> Coding:
    """Return how an archive is written: each frame by itself, so that any can be read alone."""
    level = "1" if size[0] == 1 else "3"  # ffmpeg cannot slice frames that are one pixel wide
    codec = ("-c:v", "ffv1", "-level", level, "-g", "1", "-pix_fmt", coded, "-metadata", tag)
    return Coding("ffv1", pixels, fps, (*codec, *_MATROSKA, "-flush_packets", "1"), ".mkv")
