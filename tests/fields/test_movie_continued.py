"""Movies that are continued: what is there keeps its meaning, or nothing is added."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.errors import FormatError, InvalidInputError
from holdfast.fields import Field, Grid, MovieStorage
from movies import SQUARE, decoded, write_movie

PDE = Path(__file__).resolve().parents[1] / "data" / "movies"


def steady(value: float) -> Field:
    return Field(SQUARE, np.full(SQUARE.shape, value))


def test_an_archive_is_continued_with_the_limits_that_it_has(tmp_path: Path) -> None:
    path = tmp_path / "x.mkv"
    with MovieStorage(path, codec="ffv1", vmin=-1, vmax=3, bits_per_channel=8) as movie:
        movie.append(steady(2), 0)
    with MovieStorage(path, codec="ffv1", write_mode="append") as movie:
        movie.append(steady(3), 1)
    found = MovieStorage(path, write_mode="readonly")
    assert [round(field.data.mean(), 1) for field in found] == [2, 3]
    found.close()


@pytest.mark.parametrize(
    "options", [{"vmin": -5}, {"vmax": 7}, {"bits_per_channel": 8}, {"video_format": "rgb24"}]
)
def test_other_limits_or_colours_are_refused_and_nothing_changes(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    path = tmp_path / "x.mkv"
    with MovieStorage(path, codec="ffv1") as movie:
        movie.append(steady(0.5), 0)
    before = path.read_bytes()
    with pytest.raises(InvalidInputError, match="cannot be continued"):
        MovieStorage(path, write_mode="append", **options).append(steady(0.5), 1)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_archive_of_py_pde_is_not_continued(tmp_path: Path) -> None:
    source = min(PDE.glob("*.mkv"))
    path = tmp_path / source.name
    path.write_bytes(source.read_bytes())
    movie = MovieStorage(path, codec="ffv1", write_mode="append")
    field = movie[0]
    with pytest.raises(InvalidInputError, match="laid out by py-pde"):
        movie.append(field, 100)
    assert path.read_bytes() == source.read_bytes()


def test_an_archive_whose_end_is_missing_is_not_continued(tmp_path: Path) -> None:
    path = tmp_path / "x.mkv"
    write_movie(MovieStorage(path, codec="ffv1"), 40, SQUARE)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(FormatError, match="and tells of 40"):
        MovieStorage(path, write_mode="append").append(steady(0), 100)


def test_a_rendering_is_not_continued_in_another_codec(tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    write_movie(MovieStorage(path, bare=True), 2, SQUARE)
    with pytest.raises(InvalidInputError, match=r"h264 frames .* are hevc"):
        MovieStorage(path, bare=True, codec="h265", write_mode="append").append(steady(0), 9)
    assert len(decoded(path)) == 2


@pytest.mark.parametrize("shape", [(1, 7), (1, 300), (7, 1), (1, 1)], ids=str)
@pytest.mark.parametrize("bits", [8, 16])
def test_an_archive_may_be_one_cell_wide(tmp_path: Path, shape: tuple[int, int], bits: int) -> None:
    values = np.linspace(0, 1, shape[0] * shape[1]).reshape(shape)
    with MovieStorage(tmp_path / "x.mkv", codec="ffv1", bits_per_channel=bits) as movie:
        movie.append(Field(Grid.unit(list(shape)), values), 0)
        assert np.abs(movie[0].data - values).max() <= 0.5 / (2**bits - 1) + 1e-12
