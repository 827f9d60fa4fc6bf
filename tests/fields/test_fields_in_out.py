import json
import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from holdfast.errors import FormatError, InvalidInputError, NotFoundError
from holdfast.fields import Field, FieldCollection, FileStorage, Grid, MemoryStorage, StorageBase

xr = pytest.importorskip("xarray")
pd = pytest.importorskip("pandas")
GRID = Grid.cartesian([[0, 1], [0, 2]], [4, 2], periodic=[True, False])


def array(number: float = 0, **options: Any) -> Any:
    coords = {
        "x": ("x", np.array([1.5, 2.5, 3.5]), {"units": "m"}),
        "day": ("y", np.array(["2026-01-01", "2026-01-02"], "M8[D]").astype("M8[ns]")),
        "name": ("y", ["a", "b"]),
    }
    values = np.arange(6.0).reshape(3, 2) + number
    given = {"dims": ("x", "y"), "coords": coords, "attrs": {"units": "K"}, "name": "T"} | options
    return xr.DataArray(values, **given)


@pytest.fixture(params=["memory", "file"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> StorageBase:
    if request.param == "memory":
        return MemoryStorage()
    return FileStorage(tmp_path / "a.h5")


def test_data_arrays_come_back_with_coordinates_and_attributes(storage: StorageBase) -> None:
    for number in range(3):
        storage.append(array(number), number)
    storage.end_writing()
    xr.testing.assert_identical(storage[1], array(1))
    assert storage[1].coords["x"].attrs == {"units": "m"}


def test_another_instance_gives_data_arrays_back(tmp_path: Path) -> None:
    with FileStorage(tmp_path / "a.h5") as storage:
        storage.append(array(1), 0)
    xr.testing.assert_identical(FileStorage(tmp_path / "a.h5")[0], array(1))


def test_many_coordinates_are_kept_too(tmp_path: Path) -> None:
    wide = xr.DataArray(np.zeros((60, 60)), dims=("i", "j"), coords={})
    wide = wide.assign_coords(lon=(("i", "j"), np.random.default_rng(0).random((60, 60))))
    with FileStorage(tmp_path / "a.h5") as storage:
        storage.append(wide, 0)
    xr.testing.assert_identical(FileStorage(tmp_path / "a.h5")[0], wide)


def test_a_scalar_coordinate_time_may_differ(storage: StorageBase) -> None:
    for number in range(2):
        storage.append(array(number).assign_coords(time=float(number)), number)
    storage.end_writing()
    xr.testing.assert_identical(storage[1], array(1))


def test_data_arrays_that_do_not_belong_are_refused(storage: StorageBase) -> None:
    storage.append(array(), 0)
    for wrong in (
        array().transpose(),
        array().assign_coords(x=("x", [1.0, 2.0, 4.0])),
        array().drop_vars("name"),
        array().assign_coords(more=("x", [1, 2, 3])),
        array() * 1j,
    ):
        with pytest.raises(InvalidInputError):
            storage.append(wrong, 1)
    storage.end_writing()
    assert len(storage) == 1


def test_data_arrays_that_cannot_be_kept_are_refused() -> None:
    for wrong in (
        array(coords={"x": ("x", np.array([b"a", b"b", b"c"]))}),
        array(attrs={"object": object()}),
        array(dims=("x", 1), coords={}),
        array(coords={"x": np.array(["a", 1, 2.0], object)}),
        array(coords={"x": pd.date_range("2026", periods=3, tz="UTC")}),
        array(coords={"x": pd.period_range("2026", periods=3, freq="M")}),
        array(coords={"m": ("x", ["a", "b", "c"]), "n": ("x", [1, 2, 3])}).set_index(x=["m", "n"]),
    ):
        with pytest.raises(InvalidInputError):
            MemoryStorage().append(wrong)


def test_coordinates_may_lack_times(storage: StorageBase) -> None:
    given = array(coords={"x": np.array(["2026-11-21", "NaT", "2026-11-23"], "M8[ns]")})
    for number in range(2):
        storage.append(given, number)
    storage.end_writing()
    xr.testing.assert_identical(storage[1], given)


def test_a_storage_of_data_arrays_becomes_one_data_array(storage: StorageBase) -> None:
    for number in range(3):
        storage.append(array(number), number / 2)
    storage.end_writing()
    whole = storage.to_xarray()
    assert whole.dims == ("time", "x", "y")
    assert whole.time.values.tolist() == [0, 0.5, 1]
    xr.testing.assert_identical(whole.isel(time=1, drop=True).load(), array(1))


def test_an_array_of_a_file_reads_no_more_than_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FileStorage(tmp_path / "a.h5") as storage:
        for number in range(10):
            storage.append(Field(GRID, np.full((4, 2), float(number))), number)
    read: list[tuple[int, int]] = []
    original = FileStorage._read_data

    def noted(self: FileStorage, start: int, stop: int) -> Any:
        read.append((start, stop))
        return original(self, start, stop)

    monkeypatch.setattr(FileStorage, "_read_data", noted)
    whole = FileStorage(tmp_path / "a.h5").to_xarray()
    part = whole.sel(time=slice(3, 4), x=0.125)
    assert not read
    assert part.values.tolist() == [[3, 3], [4, 4]]
    assert set(read) <= {(3, 5)}
    assert whole.x.values.tolist() == [0.125, 0.375, 0.625, 0.875]


def test_components_and_parts_have_a_dimension_of_their_own() -> None:
    vector = MemoryStorage.from_fields([Field(GRID, np.ones((2, 4, 2)))])
    assert vector.to_xarray().dims == ("time", "component", "x", "y")
    tensor = MemoryStorage.from_fields([Field(GRID, np.ones((2, 2, 4, 2)))])
    assert tensor.to_xarray().dims == ("time", "component", "component_2", "x", "y")
    parts = [Field(GRID, np.ones((4, 2)), label="u"), Field(GRID, np.ones((2, 4, 2)))]
    both = MemoryStorage.from_fields([FieldCollection(parts)])
    assert both.to_xarray().component.values.tolist() == ["u", "field_1_0", "field_1_1"]
    assert both.to_xarray().sel(component="u").shape == (1, 4, 2)


def test_fields_are_stored_in_another_dtype_and_say_so(tmp_path: Path) -> None:
    with FileStorage(tmp_path / "a.h5", dtype="float32", every=2) as storage:
        for number in range(5):
            storage.append(Field(GRID, np.full((4, 2), number + 1 / 3)), number)
        assert storage.dtype == np.float32
    found = FileStorage(tmp_path / "a.h5")
    assert found.times.tolist() == [0, 2, 4]
    assert found[1].dtype == np.float32
    assert json.loads(found.info["field_attributes"]["dtype"]) == "<f4"
    assert found[1].data == pytest.approx(np.full((4, 2), 2 + 1 / 3), rel=1e-6)


@pytest.mark.parametrize("compression", [None, "gzip", "lzf", True])
def test_a_file_is_the_same_to_plain_h5py_whatever_its_chunks(
    tmp_path: Path, compression: Any
) -> None:
    with FileStorage(tmp_path / "a.h5", compression=compression, chunks=4, info={"n": 1}) as s:
        for number in range(10):
            s.append(np.full((8, 8), float(number)), number / 4)
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["times"][:].tolist() == [n / 4 for n in range(10)]
        assert file["data"][3].tolist() == [[3.0] * 8] * 8
        assert file["data"].chunks[0] == 4
        assert json.loads(file.attrs["n"]) == 1
        assert json.loads(file.attrs["data_length"]) == 10
    found = FileStorage(tmp_path / "a.h5")
    assert [float(f[0, 0]) for f in found] == list(range(10))
    assert found.data[2:9:3, 0, 0].tolist() == [2, 5, 8]
    assert found.data[-1, 1:3, 0].tolist() == [9, 9]
    assert found.data[[1, 3]].shape == (2, 8, 8)
    assert found.data[..., 0].shape == (10, 8)
    assert found.data[5:2].shape == (0, 8, 8)


def test_a_file_of_data_and_times_alone_gives_arrays(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"], file["times"] = np.arange(6.0).reshape(3, 2), [0.0, 1.0, 2.0]
        file.attrs["note"], file.attrs["count"] = "no JSON", np.int64(3)
    found = FileStorage(tmp_path / "a.h5")
    assert found[1].tolist() == [2, 3]
    assert found.info == {"note": "no JSON", "count": 3}
    with FileStorage(tmp_path / "a.h5", write_mode="append") as storage:  # it cannot grow as it is
        storage.append(np.array([6.0, 7.0]), 3)
    assert found.times.tolist() == [0, 1, 2, 3]


def test_a_data_array_of_a_storage_that_grows_stays_as_long_as_it_was(tmp_path: Path) -> None:
    with FileStorage(tmp_path / "a.h5") as storage:
        storage.append(Field(GRID, np.zeros(GRID.shape), label="u"), 0)
        before = storage.to_xarray()
        storage.append(Field(GRID, np.ones(GRID.shape)), 1)
        assert before.values.shape == before.shape == (1, *GRID.shape)
        assert before[-1].values.sum() == 0
        assert storage.to_xarray().isel(time=slice(None, None, -1)).values[0].sum() == 8
    assert before.name == "u"


def test_what_xarray_has_besides_is_refused_where_it_cannot_be_meant() -> None:
    with pytest.raises(InvalidInputError, match="Dataset"):
        MemoryStorage().append(xr.Dataset({"u": ("x", [1.0])}))
    for own in ({"dims": "time"}, {"dims": "x", "coords": {"time": ("x", [5.0, 6.0])}}):
        storage = MemoryStorage.from_fields([xr.DataArray([1.0, 2.0], **own)])
        with pytest.raises(InvalidInputError, match="rename"):
            storage.to_xarray()


def test_a_data_array_of_a_storage_can_be_sent_to_another_process(tmp_path: Path) -> None:
    with FileStorage(tmp_path / "a.h5") as storage:
        storage.append(Field(GRID, np.arange(8.0).reshape(4, 2)), 0)
    whole = FileStorage(tmp_path / "a.h5").to_xarray()
    sent = pickle.loads(pickle.dumps(whole))
    assert sent.identical(whole)


def test_a_description_of_fields_that_is_not_understood_says_so(tmp_path: Path) -> None:
    for wrong in ({"class": '"NoSuchField"'}, "text", {"class": '"ScalarField"', "grid": "{}"}):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["data"], file["times"] = np.zeros((1, 2)), [0.0]
            file.attrs["field_attributes"] = json.dumps(wrong)
            file.attrs["field_form"] = json.dumps({"class": "Field"})
        with pytest.raises(FormatError):
            FileStorage(tmp_path / "a.h5")[0]


def test_grids_that_cannot_be_are_refused() -> None:
    for wrong in (
        lambda: Grid("NoGrid"),
        lambda: Grid.unit([0]),
        lambda: Grid.cartesian([[1, 0]], 3),
        lambda: Grid.cartesian([[0, 1]], [3, 4]),
        lambda: Grid.cartesian([[0, 1]], 3, periodic=[True, False]),
        lambda: Grid.spherical((2, 1), 3),
        lambda: Grid("CartesianGrid", {"shape": [3]}),
        lambda: Field(GRID, np.zeros(3)),
        lambda: Field(GRID, np.zeros((3, 4, 2))),
        lambda: Field(GRID, [[1], [2, 3]]),
        lambda: FieldCollection([]),
        lambda: FieldCollection([Field(GRID, np.zeros((4, 2))), Field(Grid.unit(1), [1.0])]),
    ):
        with pytest.raises(InvalidInputError):
            wrong()
    with pytest.raises(NotFoundError):
        FieldCollection([Field(Grid.unit(1), [1.0])])["u"]


def test_fields_compare_copy_and_turn_into_arrays() -> None:
    field = Field(GRID, np.arange(8.0).reshape(4, 2), label="u")
    other = field.copy()
    other.data[0] = 9
    assert field != other
    assert field == field.copy()
    assert np.asarray(field).sum() == 28
    assert np.asarray(field, "f4").dtype == np.float32
    both = FieldCollection([field, other])
    assert len(both) == 2
    assert both["u"] == field
    assert both.copy()[1] == other
    assert both == both.copy()
    assert both != FieldCollection([field, field])
    assert both != FieldCollection([field, other], label="both")
    assert "UnitGrid" in repr(Grid.unit(2))


@pytest.mark.parametrize("options", [{}, {"compression": "gzip"}, {"compression": "lzf"}])
def test_the_series_at_a_point_and_of_a_component_are_those_of_the_fields(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    expected = np.random.default_rng(0).random((20, 2, 4, 2))
    storage = FileStorage(tmp_path / "a.h5", chunks=8, **options)
    for number, values in enumerate(expected):
        storage.append(Field(GRID, values), number)
        if number in (0, 19):  # in the journal alone, then partly in the file
            assert storage.data[:, 1, 2, 0].tolist() == expected[: number + 1, 1, 2, 0].tolist()
    storage.close()
    assert np.array_equal(storage.data[:, 1, -2, 0], expected[:, 1, -2, 0])
    assert np.array_equal(storage.data[3:17, 1], expected[3:17, 1])
    assert np.array_equal(storage.data[5, 0, 1], expected[5, 0, 1])
    assert np.array_equal(storage.data[::3, 0, 1, 1], expected[::3, 0, 1, 1])
    with pytest.raises(IndexError):
        _ = storage.data[:, 2]
