"""How drawings look: where things are, nothing cut off, and values that are hard to draw."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.errors import InvalidInputError, StateError
from holdfast.fields import Field, FieldCollection, Grid, MemoryStorage, MovieStorage
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


def test_a_title_holds_the_time(tmp_path: Path) -> None:
    asked = []

    def title(time: float) -> str:
        asked.append(time)
        return f"after {time} s"

    with MovieStorage(tmp_path / "x.mp4", title=title, dpi=40) as movie:
        movie.append(moving(0), 0.25)
        movie.append(moving(0), 0.5)
    first, second = decoded(tmp_path / "x.mp4").astype(int)
    changed = np.argwhere(np.abs(first - second).max(axis=2) > 90)
    assert changed[:, 0].max() < first.shape[0] / 8  # nothing but the title
    assert asked[-2:] == [0.25, 0.5]


@pytest.mark.parametrize(
    "field",
    [
        Field(Grid.unit(6), np.arange(6.0), label="line"),
        Field(Grid.spherical(2, 5), np.arange(5.0)),
        Field(Grid.cylindrical(1, (0, 3), [3, 6]), np.ones((3, 6))),
        Field(Grid.cartesian([[0, 1]] * 3, [3, 4, 5]), np.ones((3, 4, 5))),
        Field(FLAT, np.ones((2, 8, 4))),
        Field(FLAT, np.full((8, 4), 1j)),
        Field(FLAT, np.full((8, 4), np.nan)),
        FieldCollection([moving(n) for n in range(4)]),
        np.arange(12.0).reshape(3, 4),
        np.array(2.5),
        np.arange(5) > 2,
    ],
    ids=lambda field: str(getattr(field, "grid", np.shape(field)))[:30],
)
def test_every_kind_of_field_can_be_drawn(tmp_path: Path, field: Any) -> None:
    with MovieStorage(tmp_path / "x.mp4", dpi=40) as movie:
        movie.append(field, 0)
        movie.append(field, 1)
    assert len(decoded(tmp_path / "x.mp4")) == 2


def test_a_drawn_frame_has_the_bright_cell_where_the_field_has_it(tmp_path: Path) -> None:
    values = np.zeros(FLAT.shape)
    values[7, 0] = 1  # right, and down
    with MovieStorage(tmp_path / "x.mp4", cmap="gray", title=False, dpi=80) as movie:
        movie.append(Field(FLAT, values), 0)
    frame = decoded(tmp_path / "x.mp4")[0].astype(int).mean(axis=2)
    dark = np.argwhere(frame < 40)  # of the image, and of letters
    low, left = np.percentile(dark, 2, axis=0)
    high, right = np.percentile(dark, 98, axis=0)
    inside = frame[int(low) : int(high) + 1, int(left) : int(right)]
    bright = np.argwhere(inside[:, : int(0.99 * inside.shape[1])] > 220)
    assert len(bright)
    row, column = np.median(bright, axis=0) / inside.shape
    assert row > 0.7
    assert column > 0.7
