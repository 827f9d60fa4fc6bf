"""Arguments of movies that cannot be, and what is at their limits."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.errors import InvalidInputError
from holdfast.fields import MovieStorage
from movies import moving, write_movie


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


@pytest.mark.parametrize("name", ["x.mp4", "x.gif", "x.mkv"])
def test_a_movie_that_is_there_stays_where_no_frame_is_written(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    options: Any = {"vmax": 40} if name == "x.mkv" else {}
    write_movie(MovieStorage(path, **options), 3)
    before = path.read_bytes()
    with MovieStorage(path, **options) as movie:
        movie.start_writing(moving(0))
        movie.end_writing()
        assert len(movie) == 3
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("name", ["x.mp4", "x.gif", "x.mkv"])
def test_fields_without_cells_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInputError, match="no cell"):
        MovieStorage(tmp_path / name).append(np.zeros((0, 4)), 0)
    assert os.listdir(tmp_path) == []


def test_frames_that_no_gif_can_hold_are_refused(tmp_path: Path) -> None:
    movie = MovieStorage(tmp_path / "x.gif", bare=True)
    with pytest.raises(InvalidInputError, match="65535"):
        movie.append(np.zeros((70_000, 2)), 0)
    movie.close()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["x.mp4", "x.gif", "x.mkv"])
def test_a_tag_that_would_be_too_large_leaves_out_the_times(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.fields._making.LARGEST_TAG", 100)
    path = tmp_path / name
    options: Any = {"vmax": 40} if name == "x.mkv" else {}
    for mode in ("truncate", "append"):
        options["write_mode"] = mode
        write_movie(MovieStorage(path, allow_backwards=True, **options), 5)
    found = MovieStorage(path, write_mode="readonly")
    assert len(found) == 10
    if name == "x.mkv":  # of data the times are kept, beside it
        assert np.isfinite(found.times).all()
        assert len(list(found)) == 10
        assert sorted(os.listdir(tmp_path)) == ["x.mkv", "x.mkv.times"]
    else:
        assert np.isnan(found.times).all()
    found.close()


@pytest.mark.parametrize("name", ["x.mp4", "x.gif", "x.mkv"])
def test_a_movie_tells_thousands_of_times(tmp_path: Path, name: str) -> None:
    path, count = tmp_path / name, 3000 if name == "x.mkv" else 300
    times = np.arange(count) * 0.1 + 1 / 3
    options: Any = {} if name == "x.mkv" else {"bare": True}
    with MovieStorage(path, fps=100, **options) as movie:
        for time in times:
            movie.append(np.full((4, 3), 0.5), time)
    found = MovieStorage(path, write_mode="readonly")
    np.testing.assert_array_equal(found.times, times)
    found.close()
