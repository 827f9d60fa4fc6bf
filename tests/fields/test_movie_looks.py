"""How drawings look: where things are, nothing cut off, and values that are hard to draw."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.errors import InvalidInputError, StateError
from holdfast.fields import Field, Grid, MemoryStorage, MovieStorage
from holdfast.fields._forms import form_of
from holdfast.fields._pictures import pictures_of
from movies import FLAT, decoded, moving, write_movie

TALL = Grid.cartesian([[0, 1], [0, 4]], [4, 16])
LONG = Grid.cartesian([[0, 4], [0, 1]], [16, 4])


@pytest.mark.parametrize("grid", [TALL, LONG], ids=["tall", "long"])
def test_an_image_stands_under_its_title_and_its_scale_is_as_high_as_it(grid: Grid) -> None:
    storage = MemoryStorage()
    storage.append(Field(grid, np.arange(64.0).reshape(grid.shape)), 0)
    figure = storage.image()
    figure.canvas.draw()
    (axes,) = figure.axes
    (scale,) = axes.child_axes
    image, bar = axes.get_window_extent(), scale.get_window_extent()
    assert abs((image.x0 + image.x1) / 2 / figure.bbox.width - 0.5) < 0.08
    assert bar.x0 > image.x1
    np.testing.assert_allclose([bar.y0, bar.y1], [image.y0, image.y1], atol=1)


@pytest.mark.parametrize("grid", [FLAT, TALL, Grid.unit([8])], ids=["flat", "tall", "line"])
def test_numbers_that_get_longer_are_not_cut_off(tmp_path: Path, grid: Grid) -> None:
    values = np.linspace(-1, 1, int(np.prod(grid.shape))).reshape(grid.shape)
    with MovieStorage(tmp_path / "x.gif", dpi=50) as movie:
        for number, largest in enumerate([0.01, 1, 123456.789]):
            movie.append(Field(grid, values * largest), number)
    for frame in decoded(tmp_path / "x.gif"):
        assert (frame[:, [0, -1]] > 240).all()
        assert (frame[[0, -1]] > 240).all()


def test_a_field_of_py_pde_is_shown_with_its_label() -> None:
    pde = pytest.importorskip("pde")
    field = pde.ScalarField(pde.UnitGrid([3, 3]), 1.0, label="density")
    assert [picture.label for picture in pictures_of(form_of(field), field.data)] == ["density"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("values", [[1.7e308, -1.7e308, 0, 1], [np.inf, -np.inf, np.nan, 1]])
@pytest.mark.parametrize("shape", [(2, 2), (4,)], ids=str)
def test_the_largest_values_and_none_at_all_are_drawn(
    tmp_path: Path, values: list[float], shape: tuple[int, ...]
) -> None:
    with MovieStorage(tmp_path / "x.gif", dpi=20) as movie:
        movie.append(Field(Grid.unit(list(shape)), np.reshape(values, shape)), 0)
    assert len(decoded(tmp_path / "x.gif")) == 1


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


def test_a_rendering_that_is_read_says_that_it_is_one(tmp_path: Path) -> None:
    write_movie(MovieStorage(tmp_path / "x.gif", bare=True), 2)
    movie = MovieStorage(tmp_path / "x.gif", write_mode="readonly")
    with pytest.raises(StateError, match="is a rendering"):
        _ = movie[0]


@pytest.mark.parametrize("name", ["x.gif", "x.mp4"])
def test_a_folder_is_no_name_for_a_movie(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(InvalidInputError, match="is a folder"):
        MovieStorage(tmp_path / name).append(moving(0), 0)
    assert [path.name for path in tmp_path.iterdir()] == [name]
