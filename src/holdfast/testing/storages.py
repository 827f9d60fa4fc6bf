"""`StorageTests`: what every storage of fields passes; subclass it in the tests of one.

A subclass says how a storage is made in a folder (`create`), how a new instance finds what another
kept there (`again`; None for one that keeps nothing), and which values it can hold (`dtypes`,
`tolerance`, `grids`, `ranks`). The fields are of Holdfast's own kind, so that the suite needs no
other package::

    class TestMemoryStorage(StorageTests):
        def create(self, folder: Path, **options: Any) -> StorageBase:
            return MemoryStorage(**options)
"""
# ruff: noqa: S101, D102 - these are tests: they assert, and their names are their sentences

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from holdfast.errors import InvalidInputError, StateError
from holdfast.fields import Field, FieldCollection, Grid, MemoryStorage, StorageBase

FLAT = Grid.cartesian([[0, 8], [-1, 1]], [8, 4], periodic=[True, False])
LINE = Grid.unit(6, periodic=True)
GRIDS = (
    FLAT,
    LINE,
    Grid.cartesian([[0, 1]] * 3, [2, 3, 4]),
    Grid.polar((1, 3), 4),
    Grid.spherical(2.5, 5),
    Grid.cylindrical(2, (-1, 1), [3, 4], periodic_z=True),
)


class StorageTests(ABC):
    """The tests; each gets an empty folder.

    Attributes
    ----------
    dtypes : sequence of str
        The dtypes that it can hold.
    grids : sequence of Grid
        The grids that it can hold fields on.
    ranks : sequence of int
        Ranks of fields that it can hold: 0 for scalars, 1 for vectors, 2 for tensors.
    collections : bool
        Whether it can hold collections.
    arrays : bool
        Whether it can hold plain arrays of any shape.
    tolerance : float
        By how much a value that is read may differ, in units of the largest.
    continues : bool
        Whether ``write_mode="append"`` adds to what another instance kept.
    """

    dtypes: ClassVar[Sequence[str]] = ("f8", "f4", "i4", "u1", "?", "c16")
    grids: ClassVar[Sequence[Grid]] = GRIDS
    ranks: ClassVar[Sequence[int]] = (0, 1, 2)
    collections: ClassVar[bool] = True
    arrays: ClassVar[bool] = True
    tolerance: ClassVar[float] = 0.0
    continues: ClassVar[bool] = True

    @abstractmethod
    def create(self, folder: Path, **options: Any) -> StorageBase:
        """Return a storage that keeps its fields in a folder, made with these keywords."""

    def again(self, folder: Path, **options: Any) -> StorageBase | None:  # noqa: ARG002 - for subclasses
        """Return a new instance on what another kept there; None if that keeps nothing."""
        return None

    # Helpers

    def field(self, number: float = 0, grid: Grid = FLAT, *, rank: int = 0) -> Field:
        """Return a field whose values depend on a number and are all different."""
        shape = (grid.dim,) * rank + grid.shape
        values = np.arange(np.prod(shape), dtype=float).reshape(shape) / 100
        return Field(grid, values + number, label="density")

    def same(self, found: Any, expected: Any) -> bool:
        """Whether two fields are the same, to the storage's tolerance."""
        a, b = np.asarray(found), np.asarray(expected)
        if type(found) is not type(expected) or a.shape != b.shape:
            return False
        if getattr(found, "grid", None) != getattr(expected, "grid", None):
            return False
        if not self.tolerance:
            return bool(a.dtype == b.dtype and np.array_equal(a, b))
        return bool(np.allclose(a, b, rtol=0, atol=self.tolerance * np.max(np.abs(b), initial=1)))

    def filled(self, folder: Path, times: Sequence[float] = (0, 0.5, 1.5), **options: Any) -> Any:
        """Return a storage with a field at each time, whose number is the time's."""
        storage = self.create(folder, **options)
        storage.start_writing(self.field())
        for number, time in enumerate(times):
            storage.append(self.field(number), time)
        storage.end_writing()
        return storage

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

    def collection(self, number: float = 0) -> FieldCollection:
        """Return a scalar and a vector on one grid, whose values depend on a number."""
        vector = Field(FLAT, self.field(number, rank=1).data, label="flow")
        return FieldCollection([self.field(number), vector], label="both")

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

    # Writing

    def test_an_unknown_write_mode_is_refused_at_once(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidInputError, match="truncate_once"):
            self.create(tmp_path, write_mode="overwrite")

    def test_a_storage_for_reading_only_takes_nothing(self, tmp_path: Path) -> None:
        storage = self.create(tmp_path, write_mode="readonly")
        with pytest.raises(StateError):
            storage.start_writing(self.field())
        with pytest.raises(StateError):
            storage.append(self.field(), 0)

    def test_an_empty_storage_says_so(self, tmp_path: Path) -> None:
        storage = self.create(tmp_path)
        assert len(storage) == 0
        assert storage.times.tolist() == []
        assert list(storage) == []
        assert storage.shape is None
        for attribute in ("data_shape", "dtype", "has_collection"):
            with pytest.raises(StateError):
                getattr(storage, attribute)

    def test_writing_starts_and_times_count_by_themselves(self, tmp_path: Path) -> None:
        with self.create(tmp_path) as storage:
            storage.append(self.field(0))
            storage.append(self.field(1))
            storage.append(self.field(2), info={"t": 5})
            storage.append(self.field(3), {"t": 6.5})
            storage.end_writing()
            assert storage.times.tolist() == [0, 1, 5, 6.5]

    def test_a_time_that_goes_backwards_is_refused_unless_asked_for(self, tmp_path: Path) -> None:
        with self.create(tmp_path) as storage:
            storage.append(self.field(0), 2)
            for wrong in (1, float("nan"), "soon"):
                with pytest.raises(InvalidInputError):
                    storage.append(self.field(1), wrong)
            storage.append(self.field(1), 2)
            storage.end_writing()
            assert storage.times.tolist() == [2, 2]

    def test_a_field_that_does_not_belong_is_refused(self, tmp_path: Path) -> None:
        other = Grid.cartesian([[0, 9], [-1, 1]], [8, 4], periodic=[True, False])
        with self.create(tmp_path) as storage:
            storage.append(self.field(0), 0)
            for wrong in (self.field(1, other), self.field(1, LINE), 3.0, np.zeros((4, 8)), "text"):
                with pytest.raises(InvalidInputError):
                    storage.append(wrong, 1)
            with pytest.raises(InvalidInputError):
                storage.append(Field(FLAT, self.field(1).data * 1j), 1)
            storage.end_writing()
            assert len(storage) == 1

    def test_a_scalar_does_not_become_a_vector(self, tmp_path: Path) -> None:
        if 1 not in self.ranks:
            pytest.skip("it holds no vectors")
        with self.create(tmp_path) as storage:
            storage.append(self.field(rank=1), 0)
            with pytest.raises(InvalidInputError):
                storage.append(self.field(), 1)

    def test_writing_again_keeps_what_the_same_storage_wrote(self, tmp_path: Path) -> None:
        if not self.continues:
            pytest.skip("it is written once")
        with self.create(tmp_path) as storage:
            for number in range(3):
                storage.start_writing(self.field(number))
                storage.append(self.field(number), number)
                storage.end_writing()
            assert storage.times.tolist() == [0, 1, 2]
            assert self.same(storage[0], self.field(0))

    @pytest.mark.parametrize("mode", ["truncate", "truncate_always"])
    def test_truncating_storages_begin_anew_with_another_shape(
        self, tmp_path: Path, mode: str
    ) -> None:
        if not self.continues:
            pytest.skip("it is written once")
        with self.create(tmp_path, write_mode=mode) as storage:
            storage.start_writing(self.field())
            storage.append(self.field(1), 3)
            storage.end_writing()
            storage.start_writing(self.field(0, self.grids[1]))
            storage.append(self.field(2, self.grids[1]), 0)
            storage.end_writing()
            assert storage.times.tolist() == [0]
            assert self.same(storage[0], self.field(2, self.grids[1]))

    def test_clearing_leaves_nothing(self, tmp_path: Path) -> None:
        if not self.continues:
            pytest.skip("it is written once")
        with self.filled(tmp_path) as storage:
            storage.clear()
            assert len(storage) == 0
            with pytest.raises(InvalidInputError):
                storage.start_writing(self.field(0, self.grids[1]))
            storage.clear(clear_data_shape=True)
            storage.start_writing(self.field(0, self.grids[1]))
            storage.append(self.field(1, self.grids[1]), 0)
            storage.end_writing()
            assert self.same(storage[0], self.field(1, self.grids[1]))

    # Information

    def test_information_is_kept_and_not_shared(self, tmp_path: Path) -> None:
        given = {"run": "A", "nested": {"step": np.int64(3)}}
        with self.create(tmp_path, info=given) as storage:
            storage.start_writing(self.field(), info={"solver": {"dt": 0.1, "object": object}})
            storage.append(self.field(), 0)
            storage.add_info({"stop": "done"})
            storage.end_writing()
            assert storage.info["run"] == "A"
            assert storage.info["solver"]["dt"] == 0.1
            assert given == {"run": "A", "nested": {"step": np.int64(3)}}
            assert len(given) == 2
        other = self.again(tmp_path)
        if other is not None:
            with other:
                assert other.info["nested"] == {"step": 3}
                assert "object" in other.info["solver"]
                assert other.info["stop"] == "done"

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

    # Another instance

    def test_another_instance_finds_everything(self, tmp_path: Path) -> None:
        with self.filled(tmp_path, info={"run": "A"}):
            pass
        other = self.again(tmp_path, write_mode="readonly")
        if other is None:
            pytest.skip("it keeps nothing")
        with other:
            assert other.times.tolist() == [0, 0.5, 1.5]
            assert self.same(other[1], self.field(1))
            assert other.grid == FLAT
            assert other.info["run"] == "A"
            assert not other.has_collection

    def test_another_instance_continues(self, tmp_path: Path) -> None:
        with self.filled(tmp_path):
            pass
        other = self.again(tmp_path, write_mode="append")
        if other is None or not self.continues:
            pytest.skip("it keeps nothing, or is written once")
        with other:
            with pytest.raises(InvalidInputError):
                other.append(self.field(3), 1)
            other.append(self.field(3), 2)
            other.end_writing()
            assert other.times.tolist() == [0, 0.5, 1.5, 2]
            assert self.same(other[0], self.field(0))
            assert self.same(other[3], self.field(3))

    def test_information_of_what_is_replaced_does_not_return(self, tmp_path: Path) -> None:
        with self.filled(tmp_path, info={"run": "A", "old": 1}):
            pass
        other = self.again(tmp_path, info={"run": "B"})
        if other is None:
            pytest.skip("it keeps nothing")
        with other:
            assert other.info["run"] == "B"
            other.start_writing(self.field())
            other.append(self.field(7), 7)
            other.end_writing()
            assert other.times.tolist() == [7]
            assert other.info["run"] == "B"
            assert "old" not in other.info
        last = self.again(tmp_path, write_mode="readonly")
        if last is not None:
            with last:
                assert last.info["run"] == "B"
                assert "old" not in last.info


def _doubled(field: Field) -> Field:
    return Field(field.grid, field.data * 2, label=field.label)


def _mean(field: Field, power: int) -> float:
    return float((field.data**power).mean())
