"""What every storage takes and refuses, and what another instance finds of it."""
# ruff: noqa: S101 - these are tests: they assert, and their names are their sentences

from pathlib import Path

import numpy as np
import pytest

from holdfast.errors import InvalidInputError, StateError
from holdfast.fields import Field, Grid
from holdfast.testing._storage_case import FLAT, LINE, StorageCase


class StorageWritingTests(StorageCase):
    """Writing, information, and other instances."""

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
            for wrong in (1, float("nan"), float("inf"), "soon"):
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
