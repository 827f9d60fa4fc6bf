"""What every storage gives: fields one by one and all together, and what is made of them."""
# ruff: noqa: S101 - these are tests: they assert, and their names are their sentences

from pathlib import Path

import numpy as np
import pytest

from holdfast.errors import InvalidInputError
from holdfast.fields import Field, MemoryStorage, StorageBase
from holdfast.testing._storage_case import FLAT, StorageCase


class StorageReadingTests(StorageCase):
    """Reading, and what is made of fields."""

    # One field, several, all

    def test_fields_come_back_in_order_with_their_times(self, tmp_path: Path) -> None:
        with self.filled(tmp_path) as storage:
            assert len(storage) == 3
            assert storage.times.tolist() == [0, 0.5, 1.5]
            assert all(self.same(storage[n], self.field(n)) for n in range(3))
            assert [self.same(f, self.field(n)) for n, f in enumerate(storage)] == [True] * 3

    def test_an_index_may_count_from_the_end_and_be_a_numpy_integer(self, tmp_path: Path) -> None:
        with self.filled(tmp_path) as storage:
            assert self.same(storage[-1], self.field(2))
            assert self.same(storage[np.int64(1)], self.field(1))

    def test_a_slice_is_a_list_of_fields(self, tmp_path: Path) -> None:
        with self.filled(tmp_path) as storage:
            for wanted in (
                slice(1, None),
                slice(None, None, -1),
                slice(None, None, 2),
                slice(3, 1),
            ):
                numbers = range(3)[wanted]
                found = storage[wanted]
                assert isinstance(found, list)
                assert len(found) == len(numbers)
                assert all(self.same(f, self.field(n)) for f, n in zip(found, numbers, strict=True))

    def test_an_index_out_of_range_or_of_another_type_is_refused(self, tmp_path: Path) -> None:
        with self.filled(tmp_path) as storage:
            for index in (3, -4):
                with pytest.raises(IndexError):
                    storage[index]
            for wrong in ("first", 1.0, True):
                with pytest.raises(TypeError):
                    storage[wrong]

    def test_items_are_pairs_as_a_property_and_as_a_method(self, tmp_path: Path) -> None:
        with self.filled(tmp_path) as storage:
            for items in (storage.items, storage.items()):
                pairs = list(items)
                assert [time for time, _ in pairs] == [0, 0.5, 1.5]
                assert all(self.same(field, self.field(n)) for n, (_, field) in enumerate(pairs))

    def test_read_takes_a_number_a_slice_or_nothing(self, tmp_path: Path) -> None:
        with self.filled(tmp_path) as storage:
            assert self.same(storage.read(-1), self.field(2))
            assert len(storage.read(slice(0, 2))) == 2
            assert len(storage.read()) == 3

    def test_a_field_that_was_read_may_be_changed(self, tmp_path: Path) -> None:
        with self.filled(tmp_path) as storage:
            for field in (storage[0], storage[:][0], next(iter(storage))):
                field.data[:] = 77
            assert self.same(storage[0], self.field(0))

    def test_a_field_that_was_appended_may_be_changed(self, tmp_path: Path) -> None:
        with self.create(tmp_path) as storage:
            field = self.field(1)
            storage.start_writing(field)
            storage.append(field, 0)
            field.data[:] = 77
            storage.end_writing()
            assert self.same(storage[0], self.field(1))

    def test_data_are_sliced_as_an_array(self, tmp_path: Path) -> None:
        with self.filled(tmp_path) as storage:
            expected = np.stack([self.field(n).data for n in range(3)])
            room = self.tolerance * expected.max()
            assert np.allclose(np.asarray(storage.data[:]), expected, rtol=0, atol=room)
            assert np.allclose(storage.data[1], expected[1], rtol=0, atol=room)
            assert len(storage.data) == 3

    def test_shape_dtype_and_grid_are_known(self, tmp_path: Path) -> None:
        with self.filled(tmp_path) as storage:
            assert storage.data_shape == FLAT.shape
            assert storage.shape == (3, *FLAT.shape)
            assert storage.dtype == storage[0].data.dtype
            assert storage.grid == FLAT
            assert not storage.has_collection

    # What can be held

    def test_every_dtype_that_it_holds_comes_back(self, tmp_path: Path) -> None:
        for number, dtype in enumerate(self.dtypes):
            values = (self.field().data * 10 + 1).astype(dtype)
            folder = tmp_path / str(number)
            folder.mkdir()
            with self.create(folder) as storage:
                storage.start_writing(Field(FLAT, values))
                storage.append(Field(FLAT, values), 0)
                storage.end_writing()
                assert self.same(storage[0], Field(FLAT, values))

    def test_every_grid_and_rank_that_it_holds_comes_back(self, tmp_path: Path) -> None:
        for number, grid in enumerate(self.grids):
            for rank in self.ranks:
                field = self.field(1, grid, rank=rank)
                folder = tmp_path / f"{number}-{rank}"
                folder.mkdir()
                with self.create(folder) as storage:
                    storage.start_writing(field)
                    storage.append(field, 0)
                    storage.end_writing()
                    assert self.same(storage[0], field)
                    assert storage.grid == grid
                    assert storage[0].label == "density"

    def test_plain_arrays_come_back_as_arrays(self, tmp_path: Path) -> None:
        if not self.arrays:
            pytest.skip("it holds fields on grids only")
        with self.create(tmp_path) as storage:
            for number in range(3):
                storage.append(np.full(5, number + 0.5))
            assert storage.times.tolist() == [0, 1, 2]
            assert self.same(storage[1], np.full(5, 1.5))
            assert storage.grid is None

    def test_collections_come_back_and_are_taken_apart(self, tmp_path: Path) -> None:
        if not self.collections:
            pytest.skip("it holds no collections")
        with self.create(tmp_path) as storage:
            for number in range(3):
                storage.append(self.collection(number), number)
            storage.end_writing()
            assert storage.has_collection
            assert storage[1].labels == ["density", "flow"]
            view = storage.view_field("flow")
            assert len(view) == 3
            assert self.same(view[-1], self.collection(2)["flow"])
            assert [self.same(f, self.field(n)) for n, f in enumerate(storage.view_field(0))]
            series = storage.extract_field("density")
            assert isinstance(series, MemoryStorage)
            assert series.times.tolist() == [0, 1, 2]
            assert self.same(series[2], self.field(2))
            assert self.same(storage.extract_field(1, "flow"), self.collection(1)["flow"])

    def test_an_unknown_part_of_a_collection_is_refused(self, tmp_path: Path) -> None:
        if not self.collections:
            pytest.skip("it holds no collections")
        with self.create(tmp_path) as storage:
            storage.append(self.collection(), 0)
            for wrong in ("nonsense", 2):
                with pytest.raises(InvalidInputError, match="density, flow"):
                    storage.extract_field(wrong)

    def test_a_part_of_what_is_no_collection_is_a_type_error(self, tmp_path: Path) -> None:
        with self.filled(tmp_path) as storage, pytest.raises(TypeError):
            storage.extract_field(0)

    # What is made of it

    def test_a_range_of_times_includes_both_ends(self, tmp_path: Path) -> None:
        with self.filled(tmp_path, times=[0, 1, 2, 3, 4]) as storage:
            assert storage.extract_time_range((1, 3)).times.tolist() == [1, 2, 3]
            assert storage.extract_time_range(1, 3).times.tolist() == [1, 2, 3]
            assert storage.extract_time_range(2).times.tolist() == [0, 1, 2]
            assert storage.extract_time_range(t_start=3).times.tolist() == [3, 4]
            assert storage.extract_time_range().times.tolist() == [0, 1, 2, 3, 4]
            middle = storage.extract_time_range(1, 3, copy=False)
            assert self.same(middle[0], self.field(1))
            middle.append(self.field(9), 9)
            assert len(middle) == 4
            assert len(storage) == 5

    def test_a_copy_has_the_same_fields(self, tmp_path: Path) -> None:
        with self.filled(tmp_path, info={"run": "A"}) as storage:
            copy = storage.copy()
            assert copy.times.tolist() == storage.times.tolist()
            assert self.same(copy[1], self.field(1))
            assert copy.info["run"] == "A"
            copy.clear()
            assert len(storage) == 3

    def test_a_function_of_fields_makes_a_storage_or_a_list(self, tmp_path: Path) -> None:
        with self.filled(tmp_path) as storage:
            doubled = storage.apply(_doubled)
            assert isinstance(doubled, StorageBase)
            assert doubled.times.tolist() == [0, 0.5, 1.5]
            room = 2 * self.tolerance * 3
            assert np.allclose(doubled[2].data, 2 * self.field(2).data, rtol=0, atol=room)
            means = storage.apply(_mean, parallel=False, power=1)
            assert np.allclose(means, [self.field(n).data.mean() for n in range(3)], atol=1 + room)
            assert storage.apply(lambda _, t: t) == [0, 0.5, 1.5]
            out = MemoryStorage()
            assert storage.apply(_doubled, out) is out
            with pytest.raises(InvalidInputError):
                storage.apply(_mean, MemoryStorage())


def _doubled(field: Field) -> Field:
    return Field(field.grid, field.data * 2, label=field.label)


def _mean(field: Field, power: int) -> float:
    return float((field.data**power).mean())
