"""Arguments of movies that cannot be."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.errors import InvalidInputError
from holdfast.fields import MovieStorage
from movies import moving


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("x.mp4", {"codec": "divx"}, "h264"),
        ("x.mp4", {"codec": "gif"}, r"\.gif"),
        ("x.webm", {"codec": "h264"}, "vp9"),
        ("x.txt", {}, r"\.mp4"),
        ("x", {}, r"\.mp4"),
        ("x.mp4", {"movie_writer": "pillow"}, "gif only"),
        ("x.mp4", {"movie_writer": "imagemagick"}, "pillow"),
        ("x.mp4", {"vmin": 0, "cmap": "gray"}, "choose one"),
        ("x.gif", {"vmin": 0}, r"\.mkv"),
        ("x.mp4", {"fps": 0}, "fps"),
        ("x.mp4", {"dpi": -1}, "dpi"),
        ("x.mkv", {"video_format": "gray12"}, "gray16le"),
        ("x.mkv", {"bits_per_channel": 12}, "8 or 16"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_when_the_storage_is_made(
    tmp_path: Path, name: str, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidInputError, match=says):
        MovieStorage(tmp_path / name, **options)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"cmap": "viridian"}, "viridis"),
        ({"limits": (1, 0)}, "smallest and a largest"),
        ({"limits": "auto"}, "smallest and a largest"),
        ({"title": "{when}"}, "{time}"),
    ],
    ids=str,
)
def test_what_no_frame_can_look_like_is_refused_before_the_first(
    tmp_path: Path, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidInputError, match=says):
        MovieStorage(tmp_path / "x.mp4", **options).start_writing(moving(0))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"fps": "10"}, "fps is a number"),
        ({"fps": True}, "fps is a number"),
        ({"fps": float("nan")}, "fps is a number"),
        ({"bitrate": "high"}, "bitrate is a number"),
        ({"dpi": "x"}, "dpi is a number"),
        ({"dpi": 1}, "dpi is a number from 10"),
        ({"limits": (0, np.inf)}, "both finite"),
        ({"cmap": 5}, "name of a colour map"),
        ({"title": "{time.minutes}"}, "cannot be filled in"),
    ],
    ids=str,
)
def test_what_cannot_be_drawn_is_refused(
    tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidInputError, match=said):
        MovieStorage(tmp_path / "x.mp4", **options).append(moving(0), 0)
    assert not list(tmp_path.iterdir())
