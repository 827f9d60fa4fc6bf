import pickle
from pathlib import Path

import numpy as np
import pytest

from holdfast.errors import InvalidInputError, StateError
from holdfast.fields import Field, FieldCollection, FileStorage, Grid, MemoryStorage, StorageView

GRID = Grid.unit([3, 4])


def both(number: float) -> FieldCollection:
    density = Field(GRID, np.full((3, 4), number), label="density")
    return FieldCollection([density, Field(GRID, np.full((2, 3, 4), -number), label="flow")])


def mean(field: Field) -> float:
    return float(field.data.mean())


@pytest.fixture
def storage(tmp_path: Path) -> FileStorage:
    storage = FileStorage(tmp_path / "a.h5")
    for number in range(5):
        storage.append(both(number), number / 2)
    return storage


def test_a_view_is_a_storage_to_read(storage: FileStorage) -> None:
    view = storage.view_field("flow")
    assert view.label == "flow"
    assert view.shape == (5, 2, 3, 4)
    assert view.grid == GRID
    assert view.has_collection is False
    assert view[-1] == both(4)["flow"]
    assert [f.data[0, 0, 0] for f in view[1:3]] == [-1, -2]
    assert view.data[:, 1, 2, 3].tolist() == [0, -1, -2, -3, -4]
    assert view.extract_time_range(0.5, 1).times.tolist() == [0.5, 1]
    with pytest.raises(StateError, match="reading only"):
        view.append(both(9)["flow"], 9)


def test_functions_are_applied_to_views(storage: FileStorage) -> None:
    view = storage.view_field(0)
    assert view.apply(mean) == [0, 1, 2, 3, 4]
    assert view.apply(mean, parallel=2) == [0, 1, 2, 3, 4]
    doubled = view.apply(lambda field: Field(GRID, 2 * field.data, label="twice"))
    assert doubled.extract_time_range(2).apply(mean) == [0, 2, 4, 6, 8]


def test_a_view_grows_with_its_storage_and_travels_with_it(storage: FileStorage) -> None:
    view = storage.view_field("density")
    storage.append(both(5), 3)
    assert len(view) == 6
    assert mean(view[5]) == 5
    assert isinstance(view, StorageView)
    assert pickle.loads(pickle.dumps(view)).apply(mean) == [0, 1, 2, 3, 4, 5]


def test_views_are_joined_to_collections(storage: FileStorage) -> None:
    joined = MemoryStorage.from_collection([storage.view_field("flow"), storage.view_field(0)])
    assert joined[1].labels == ["flow", "density"]
    assert joined.times.tolist() == storage.times.tolist()


def test_a_view_of_a_view_is_refused(storage: FileStorage) -> None:
    with pytest.raises(TypeError, match="only collections"):
        storage.view_field(0).view_field(0)
    with pytest.raises(InvalidInputError, match="density, flow"):
        storage.view_field("heat")


def test_what_is_not_there_is_an_error_of_the_type_that_pde_users_expect(
    storage: FileStorage,
) -> None:
    plain = MemoryStorage.from_fields([both(1)["flow"]])
    for expected in (TypeError, RuntimeError, InvalidInputError):
        with pytest.raises(expected, match="only collections"):
            plain.view_field(0)
    for missing in (IndexError, InvalidInputError):
        with pytest.raises(missing, match="no field 7"):
            storage.extract_field(7)
    with pytest.raises(ValueError, match="no field 'energy'"):
        storage.extract_field("energy")
