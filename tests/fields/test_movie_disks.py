"""Movies on disks that are full or cannot be written."""

import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from holdfast.fields import MovieStorage
from holdfast.fields._recording import sidecar
from movies import append_all, decoded, moving

BARE = {"bare": True}


def noise(number: int) -> npt.NDArray[Any]:
    return np.random.default_rng(number).random((96, 64))


@pytest.mark.parametrize(
    ("name", "options"), [("x.mkv", {"codec": "ffv1"}), ("x.mp4", {}), ("x.gif", {})], ids=str
)
def test_a_full_disk_is_an_error_and_what_is_there_plays_and_goes_on(
    small_disk: Path, name: str, options: dict[str, Any]
) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(384 << 10))
    movie = MovieStorage(small_disk / name, **(options or {"bare": True}))
    with pytest.raises(OSError, match="space") as caught:
        append_all(movie, [noise(number) for number in range(300)])
    assert caught.value.errno == errno.ENOSPC
    assert movie.partial is not None
    kept = len(movie)
    assert 0 < kept < 300
    assert len(decoded(movie.partial)) == kept
    ballast.unlink()
    movie.append(noise(300), 300)
    movie.close()
    assert len(decoded(small_disk / name)) == kept + 1 == len(movie)
    assert movie.times[-1] == 300


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may grow beyond 100 kB; it may again when the test lifts that."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("x.mp4", {}),
        ("x.webm", {}),
        ("x.gif", {}),
        ("x.gif", {"movie_writer": "ffmpeg"}),
        ("x.mkv", {"codec": "ffv1"}),
    ],
    ids=str,
)
def test_few_frames_are_lost_by_a_file_that_cannot_grow_and_the_error_names_it(
    tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    movie = MovieStorage(
        tmp_path / name, fps=4, **(options if "codec" in options else BARE | options)
    )
    with pytest.raises(OSError, match=r"x\.partial") as caught:
        append_all(movie, [noise(number) for number in range(60)])
    assert caught.value.errno == errno.EFBIG
    assert 0 < len(movie) < 30
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    append_all(movie, [noise(60)])
    movie.close()
    assert len(decoded(tmp_path / name)) == len(movie) == len(movie.times)
    assert os.listdir(tmp_path) == [name]


def test_a_time_that_found_no_room_leaves_frames_and_times_together(
    tmp_path: Path,
) -> None:
    movie = MovieStorage(tmp_path / "x.mkv", codec="ffv1")
    for number in range(3):
        movie.append(moving(number), number)
    assert movie.partial is not None
    beside = sidecar(movie.partial)
    beside.rename(tmp_path / "moved")
    beside.mkdir()
    with pytest.raises(OSError, match="directory"):
        movie.append(moving(3), 3)
    beside.rmdir()
    (tmp_path / "moved").unlink()
    movie.append(moving(4), 4)
    movie.close()
    with MovieStorage(tmp_path / "x.mkv", write_mode="readonly") as found:
        for time, field in found.items:
            assert np.abs(field.data - moving(int(time)).data).max() < 1e-4


@pytest.mark.parametrize("name", ["x.mp4", "x.gif", "x.mkv"])
def test_a_folder_that_cannot_be_written_says_so(read_only_disk: Path, name: str) -> None:
    with pytest.raises(OSError, match="Read-only") as caught:
        MovieStorage(read_only_disk / name).append(moving(0), 0)
    assert caught.value.errno == errno.EROFS
