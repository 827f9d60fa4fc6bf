from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest

from holdfast.errors import InvalidInputError, MissingDependencyError, StateError
from holdfast.fields import Field, FieldCollection, FileStorage, Grid, MemoryStorage, ZarrStorage
from movies import FLAT, decoded, moving


@pytest.fixture(autouse=True)
def no_window() -> Iterator[None]:
    from matplotlib import pyplot as plt

    mpl.use("Agg")
    yield
    plt.close("all")


def line(count: int = 5) -> MemoryStorage:
    storage = MemoryStorage()
    for number in range(count):
        values = np.arange(6.0) + 10 * number
        storage.append(Field(Grid.spherical(3, 6), values, label="c"), number**2)
    return storage


def plane(count: int = 3) -> MemoryStorage:
    storage = MemoryStorage()
    for number in range(count):
        storage.append(moving(number), number)
    return storage


def test_fields_along_one_axis_are_drawn_over_time() -> None:
    figure = line().plot()
    place = figure.axes[0]
    (mesh,) = place.collections
    np.testing.assert_array_equal(mesh.get_array(), np.stack([f.data for f in line()]).T)
    assert mesh.get_coordinates()[0, :, 0].tolist() == [-0.5, 0.5, 2.5, 6.5, 12.5, 19.5]
    assert (place.get_xlabel(), place.get_ylabel(), place.get_title()) == ("time", "r", "c")
    assert place.get_ylim() == (0, 3)


def test_a_field_along_two_axes_is_drawn_upright() -> None:
    figure = plane().plot()
    (image,) = figure.axes[0].images
    np.testing.assert_array_equal(image.get_array(), moving(2).data.T)
    assert image.origin == "lower"
    assert list(image.get_extent()) == [0, 2, 0, 1]
    assert figure.get_suptitle() == "t = 2"


def test_one_field_of_many_is_drawn_into_given_axes() -> None:
    from matplotlib import pyplot as plt

    mine, axes = plt.subplots()
    assert line().image(1, ax=axes) is mine
    assert np.asarray(axes.lines[0].get_ydata()).tolist() == [10, 11, 12, 13, 14, 15]
    with pytest.raises(InvalidInputError, match="axes"):
        line().image(ax=[axes, axes])
    with pytest.raises(IndexError):
        line().image(5)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"axis": "x"}, lambda v: v.mean(axis=1)),
        ({"axis": 1, "reduce": "max"}, lambda v: v.max(axis=0)),
        ({"axis": -1, "reduce": "middle"}, lambda v: v[4]),
    ],
    ids=str,
)
def test_a_kymograph_shows_one_axis_and_says_what_becomes_of_others(
    options: dict[str, Any], expected: Any
) -> None:
    (mesh,) = plane().kymograph(**options).axes[0].collections
    found = [expected(moving(number).data) for number in range(3)]
    np.testing.assert_allclose(mesh.get_array(), np.transpose(found))


def test_parts_of_collections_and_magnitudes_have_axes_each() -> None:
    storage = MemoryStorage()
    for number in range(3):
        vector = Field(FLAT, np.stack([np.full((8, 4), 3.0), np.full((8, 4), 4.0)]), label="v")
        storage.append(FieldCollection([moving(number), vector]), number)
    for figure in (storage.image(), storage.kymograph(axis="y")):
        titles = [place.get_title() for place in figure.axes if place.get_title()]
        assert titles == ["density", "|v|"]
    assert np.all(storage.image().axes[1].images[0].get_array() == 5)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda s: s.plot("pie"), "kymograph"),
        (lambda s: s.kymograph(axis="q"), "x, y"),
        (lambda s: s.kymograph(reduce="sum"), "mean"),
        (lambda s: s.image(cmap="viridian"), "viridis"),
        (lambda s: s.image(limits=3), "smallest"),
    ],
    ids=["kind", "axis", "reduce", "cmap", "limits"],
)
def test_what_cannot_be_drawn_is_refused(call: Any, says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        call(plane())


def test_nothing_is_drawn_of_an_empty_storage(tmp_path: Path) -> None:
    for call in (MemoryStorage.image, MemoryStorage.kymograph):
        with pytest.raises(StateError, match="no field"):
            call(MemoryStorage())
    with pytest.raises(StateError, match="no field"):
        MemoryStorage().movie(tmp_path / "x.mp4")


def test_without_matplotlib_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match="plot"):
        plane().plot()
    assert "<table>" in plane()._repr_html_()


@pytest.mark.parametrize("kind", [MemoryStorage, FileStorage, ZarrStorage])
def test_any_storage_makes_a_movie_of_its_fields_with_one_scale(tmp_path: Path, kind: Any) -> None:
    storage = kind() if kind is MemoryStorage else kind(tmp_path / "x.zarr")
    for number in range(3):
        storage.append(np.full((2, 2), float(number)), number)
    made = storage.movie(tmp_path / "x.mp4", fps=5, bare=True)
    assert made == tmp_path / "x.mp4"
    shades = [frame.mean() for frame in decoded(made)]
    assert len(shades) == 3
    colours = mpl.colormaps["viridis"]([0.0, 0.5, 1.0], bytes=True)[:, :3].mean(axis=1)
    np.testing.assert_allclose(shades, colours, atol=8)
    storage.close()


def test_a_movie_that_fails_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    plane().movie(tmp_path / "x.gif", bare=True)
    with pytest.raises(InvalidInputError):
        plane().movie(tmp_path / "x.gif", title="{nonsense}")
    with pytest.raises(InvalidInputError):
        line().movie(tmp_path / "x.mkv", vmin=0, vmax=-1)
    assert [path.name for path in tmp_path.iterdir()] == ["x.gif"]
    assert len(decoded(tmp_path / "x.gif")) == 3


def test_a_storage_shows_itself_as_html_with_everything_escaped() -> None:
    storage = MemoryStorage()
    storage.append(Field(FLAT, np.ones((8, 4)), label="<script>"), 0)
    html = storage._repr_html_()
    assert "<script>" not in html
    assert "data:image/png;base64," in html
    assert "CartesianGrid" in html
    assert "MemoryStorage" in MemoryStorage()._repr_html_()


def of_xarray() -> MemoryStorage:
    xarray: Any = pytest.importorskip("xarray")
    degrees = {"units": "degrees"}
    coords = {"lat": ("lat", [-10.0, 10], degrees), "lon": ("lon", [0.0, 20, 40], degrees)}
    values = np.arange(6.0).reshape(2, 3)
    array = xarray.DataArray(
        values, dims=("lat", "lon"), coords=coords, name="T", attrs={"units": "K"}
    )
    storage = MemoryStorage()
    storage.append(array, 0)
    return storage


def test_a_data_array_lies_as_xarray_draws_it_and_tells_its_units() -> None:
    place = of_xarray().image().axes[0]
    np.testing.assert_array_equal(place.images[0].get_array(), np.arange(6.0).reshape(2, 3))
    assert (place.get_xlabel(), place.get_ylabel()) == ("lon [degrees]", "lat [degrees]")
    assert place.get_title() == "T [K]"
    over_time = of_xarray().kymograph(axis="lon").axes[0]
    assert (over_time.get_ylabel(), over_time.get_title()) == ("lon [degrees]", "T [K]")


def test_many_parts_of_a_collection_are_drawn_in_rows() -> None:
    storage = MemoryStorage()
    storage.append(FieldCollection([moving(n) for n in range(7)]), 0)
    for figure in (storage.image(), storage.kymograph()):
        assert figure.get_size_inches().tolist() == [3 * 6.4, 3 * 4.8]


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        (r"$\frac$", r"\$\frac\$"),
        ("a $b^$ c", r"a \$b^\$ c"),
        (r"$\alpha$", r"$\alpha$"),
        ("x" * 90, "x" * 59 + "…"),
    ],
)
def test_labels_and_titles_that_are_no_formulas_are_shown_as_they_stand(
    tmp_path: Path, label: str, shown: str
) -> None:
    storage = MemoryStorage()
    storage.append(Field(FLAT, moving(0).data, label=label), 0)
    figure = storage.image(title=label)
    assert figure.axes[0].get_title() == shown
    figure.savefig(tmp_path / "x.png")
    storage.kymograph(title=label).savefig(tmp_path / "x.png")
    assert "<img" in storage._repr_html_()
    assert len(decoded(storage.movie(tmp_path / "x.gif", title=lambda _: label))) == 1
