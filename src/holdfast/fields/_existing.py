"""What a movie that is there tells of itself: the times of its frames, and how fast it plays.

A rendering holds them as JSON in the tag ``comment`` of its container, under ``rendering``. Of one
that does not, frames are counted, and their times are not known.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.errors import FormatError, MissingFileError
from holdfast.fields._ffmpeg import COMMENT, frames_of, tags
from holdfast.fields._ffv1 import Archive
from holdfast.fields._gif import gif_of

RENDERING = "rendering"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Existing:
    """A movie that is there.

    Attributes
    ----------
    times : list of float
        Time of each frame; NaN where it is not known.
    fps : float
        Frames a second.
    archive : Archive or None
        What makes fields of its frames; None of a rendering.
    """

    times: list[float]
    fps: float
    archive: Archive | None = None


def comment_of_rendering(times: list[float], fps: float) -> str:
    """Return what stands in the comment of a rendering."""
    known = [None if math.isnan(time) else time for time in times]
    return json.dumps({RENDERING: {"version": _VERSION, "fps": fps, "times": known}})


def existing_rendering(path: Path) -> Existing:
    """Look at a rendering; its frames are not decoded.

    Raises
    ------
    MissingFileError
        If there is no such file.
    FormatError
        If it is no movie.
    """
    if not path.is_file():
        raise MissingFileError(f"there is no movie {path}; check the name")
    if path.suffix.lower() == ".gif":
        gif = gif_of(path)
        count, fps = len(gif.delays), 100 * len(gif.delays) / (sum(gif.delays) or math.inf)
        told = _told(gif.comment)
    else:
        frames = frames_of(path)
        count, fps = len(frames.starts), frames.fps
        told = _told(tags(path).get(COMMENT, ""))
    if not count:
        raise FormatError(f"{path} holds no frame; restore it from a copy")
    times = told.get("times")
    if not isinstance(times, list) or len(times) != count:
        times = [None] * count
    known = told.get("fps")
    return Existing([_number(time) for time in times], _number(known, fps or 10.0))


def _number(value: Any, default: float = math.nan) -> float:
    return float(value) if isinstance(value, int | float) else default


def _told(comment: str) -> dict[str, Any]:
    try:
        found = json.loads(comment)[RENDERING]
    except (ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def existing_archive(path: Path, archive: Archive) -> Existing:
    """Return what an archive tells of itself."""
    return Existing(list(archive.times or []), archive.fps or frames_of(path).fps, archive)
