"""Movies as they are made: frames upright and in order, under a temporary name until whole."""

import os
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pytest

from helpers import output
from holdfast.errors import StateError
from holdfast.fields import Grid, MovieStorage
from movies import FLAT, RENDERINGS, SQUARE, decoded, moving, size_of, write_movie


def cells(frame: npt.NDArray[Any], grid: Grid) -> npt.NDArray[Any]:
    """Return the colour in the middle of each cell of a bare frame, as ``[x, y]``."""
    columns, rows = grid.shape
    step = frame.shape[1] // columns
    middles = frame[step // 2 : step * rows : step, step // 2 : step * columns : step]
    return middles[::-1].transpose(1, 0, 2).astype(int)


@pytest.mark.parametrize("grid", [FLAT, SQUARE], ids=["wide", "square"])
@pytest.mark.parametrize(("name", "options"), RENDERINGS, ids=str)
def test_what_ffmpeg_decodes_of_a_movie_shows_the_fields_upright_and_in_order(
    tmp_path: Path, name: str, options: dict[str, Any], grid: Grid
) -> None:
    movie = MovieStorage(tmp_path / name, bare=True, limits=(0, 1), **options)
    write_movie(movie, 4, grid)
    frames = decoded(tmp_path / name)
    assert len(frames) == 4
    for number, frame in enumerate(frames):
        colours = mpl.colormaps["viridis"](moving(number, grid).data, bytes=True)[..., :3]
        difference = np.abs(cells(frame, grid) - colours.astype(int))
        assert difference.max() < 40
        assert difference.mean() < 8
    assert os.listdir(tmp_path) == [name]


def test_a_movie_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    movie = MovieStorage(path, bare=True)
    states = [movie.is_writing]
    movie.start_writing(moving(0))
    for number in range(5):
        movie.append(moving(number), number)
    states.append(movie.is_writing)
    assert states == [False, True]
    assert movie.partial == tmp_path / "x.partial.mp4"
    assert not path.exists()
    movie.end_writing()
    assert [movie.is_writing, movie.partial, len(movie)] == [False, None, 5]
    assert movie.times.tolist() == [0, 1, 2, 3, 4]
    assert len(decoded(path)) == 5
    movie.close()


def test_the_old_movie_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    write_movie(MovieStorage(tmp_path / "x.gif", bare=True), 3)
    second = MovieStorage(tmp_path / "x.gif", bare=True)
    second.append(moving(0), 0)
    assert len(decoded(tmp_path / "x.gif")) == 3
    second.close()
    assert len(decoded(tmp_path / "x.gif")) == 1


def test_clearing_a_movie_leaves_none(tmp_path: Path) -> None:
    movie = MovieStorage(tmp_path / "x.mp4", bare=True)
    movie.append(moving(0), 0)
    movie.end_writing()
    movie.append(moving(1), 1)
    movie.clear()
    assert os.listdir(tmp_path) == []
    movie.append(moving(2), 2)
    movie.close()
    assert len(decoded(tmp_path / "x.mp4")) == 1


def test_a_rendering_gives_no_values_back(tmp_path: Path) -> None:
    movie = MovieStorage(tmp_path / "x.mp4", bare=True)
    write_movie(movie, 2)
    with pytest.raises(StateError, match="ffv1"):
        movie[0]


def test_memory_does_not_grow_with_the_movie() -> None:
    grown = output(
        """
        import resource, numpy as np
        from holdfast.fields import MovieStorage
        movie = MovieStorage("x.mp4", bare=True)
        values = np.random.default_rng(1).random((512, 256))
        def used():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in range(150):
            movie.append(np.roll(values, number), number)
            if number == 20:
                before = used()
        movie.close()
        print(used() - before)
        """
    )
    assert int(grown) < 20_000  # KiB; the frames are 59 MB


def test_progress_is_shown_on_standard_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_movie(MovieStorage(tmp_path / "x.mp4", bare=True, progress=True), 3)
    assert capfd.readouterr().out == ""


def test_a_bare_movie_of_odd_size_is_one_pixel_larger(tmp_path: Path) -> None:
    with MovieStorage(tmp_path / "x.mp4", bare=True) as movie:
        movie.append(np.zeros((301, 299)), 0)
    assert size_of(tmp_path / "x.mp4") == (302, 300)
