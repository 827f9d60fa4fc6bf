"""Calls as programs for py-pde make them, beside py-pde itself."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from helpers import output

library = pytest.importorskip("pde")

from holdfast.errors import InvalidInputError  # noqa: E402 - as above
from holdfast.fields import FileStorage, track  # noqa: E402
from holdfast.interop import pde  # noqa: E402

GRID = pde.UnitGrid([4])
FIELDS = [pde.ScalarField(GRID, number, label="u") for number in range(4)]


def test_fields_and_times_may_come_from_iterators() -> None:
    given: Any
    for given in (
        (iter(FIELDS),),
        (iter(FIELDS), range(4)),
        ((f for f in FIELDS), iter([0, 1, 2, 3])),
        (iter([0, 1, 2, 3]), (f for f in FIELDS)),
    ):
        storage = pde.MemoryStorage.from_fields(*given)
        assert storage.times.tolist() == [0, 1, 2, 3]
        assert storage[3] == FIELDS[3]


def test_fields_and_times_are_told_apart_by_name_or_by_what_they_are() -> None:
    times = [0, 2, 4, 6]
    calls: list[tuple[Any, Any]] = [
        ((FIELDS,), {"times": times}),
        ((times,), {"fields": FIELDS}),
        ((FIELDS, times), {}),
        ((times, FIELDS), {}),
        ((), {"fields": FIELDS, "times": np.array(times)}),
        ((None, FIELDS), {"times": times}),
    ]
    for given, named in calls:
        storage = pde.MemoryStorage.from_fields(*given, **named)
        assert storage.times.tolist() == times, (given, named)
        assert storage[3] == FIELDS[3]
    third = pde.MemoryStorage.from_fields(times, FIELDS, {"by": "position"}, "append")
    assert (third.info["by"], third.write_mode) == ("position", "append")
    wrong: list[tuple[Any, Any]] = [
        ((FIELDS, times), {"times": times}),
        ((FIELDS[0], 0), {}),
        ((times,), {}),
    ]
    for given, named in wrong:
        with pytest.raises(InvalidInputError):
            pde.MemoryStorage.from_fields(*given, **named)


def test_given_fields_are_kept_in_a_dtype_that_all_of_them_fit_in() -> None:
    whole = pde.ScalarField(GRID, 1, dtype=int)
    for other in (pde.ScalarField(GRID, 1.5), pde.ScalarField(GRID, 1j, dtype=complex)):
        storage = pde.MemoryStorage.from_fields([0, 1], [whole, other])
        assert storage.dtype == other.dtype
        assert storage[1] == other
        storage = pde.MemoryStorage([0, 1], [whole.data, other.data])
        assert storage.data[1].tolist() == other.data.tolist()


def test_values_come_back_as_the_fields_that_the_information_describes() -> None:
    storage = pde.MemoryStorage.from_fields([0, 1, 2, 3], FIELDS)
    again = pde.MemoryStorage(storage.times, storage.data, info=storage.info)
    assert again[2] == FIELDS[2]
    assert again[2].label == "u"


@pytest.mark.parametrize("dtype", [bool, np.int64, np.float32, np.complex64])
def test_collections_keep_their_dtype(tmp_path: Path, dtype: Any) -> None:
    both = pde.FieldCollection([pde.ScalarField(GRID), pde.VectorField(GRID)], dtype=dtype)
    both.data[:] = [[1, 0, 1, 1], [0, 0, 1, 0]]
    with FileStorage(tmp_path / "a.h5") as storage:
        storage.append(both, 0)
    one = pde.MemoryStorage.from_fields([both.fields[0]])
    for kept in (FileStorage(tmp_path / "a.h5"), pde.MemoryStorage.from_fields([both])):
        assert kept[0].dtype == dtype
        assert kept[0] == both
    assert pde.MemoryStorage.from_collection([one, one])[0].dtype == dtype


def test_a_part_that_is_not_there_is_said_so() -> None:
    both = pde.FieldCollection([FIELDS[0], FIELDS[1]], labels=["u", "v"])
    collections = pde.MemoryStorage.from_fields([both])
    for missing in ((0, 7), (0, "u", 0)):
        with pytest.raises(InvalidInputError, match="no part"):
            collections.extract_field(*missing)
    with pytest.raises(InvalidInputError, match="no part 0"):
        pde.MemoryStorage.from_fields(FIELDS).extract_field(0, 0)


def test_trackers_of_py_pde_take_our_interrupts() -> None:
    times = (
        (pde.ConstantInterrupts(0.5), [0, 0.5, 1]),
        (pde.FixedInterrupts([0.2, 0.7]), [0.2, 0.7]),
        (pde.LogarithmicInterrupts(0.2, 2), [0, 0.2, 0.6]),
    )
    trackers = [library.DataTracker(lambda field: field.average, each) for each, _ in times]
    pde.DiffusionPDE().solve(FIELDS[1], 1, dt=0.1, backend="numpy", tracker=trackers)
    for tracker, (_, expected) in zip(trackers, times, strict=True):
        assert tracker.times == pytest.approx(expected)


def test_a_loop_takes_a_collection_of_trackers() -> None:
    storages = [pde.MemoryStorage(), pde.MemoryStorage()]
    trackers = library.TrackerCollection([storage.tracker(2) for storage in storages])
    assert len(list(track(enumerate(FIELDS), trackers))) == 4
    assert [storage.times.tolist() for storage in storages] == [[0, 2], [0, 2]]


def test_storages_of_py_pde_are_joined_to_collections() -> None:
    theirs = library.MemoryStorage.from_fields([0, 1, 2, 3], FIELDS)
    ours = pde.MemoryStorage.from_fields([0, 1, 2, 3], FIELDS)
    joined = pde.MemoryStorage.from_collection([theirs, ours], label="both")
    assert joined[2].label == "both"
    assert joined[2][0] == joined[2][1] == FIELDS[2]


def test_a_range_of_times_is_written_in_many_ways() -> None:
    storage = pde.MemoryStorage.from_fields([0, 1, 2, 3], FIELDS)
    ways: list[Any] = [
        ((), {}, [0, 1, 2, 3]),
        ((None,), {}, [0, 1, 2, 3]),
        ((1.5,), {}, [0, 1]),
        (((1, 2),), {}, [1, 2]),
        ((np.array([1, 2]),), {}, [1, 2]),
        ((1, 2), {}, [1, 2]),
        ((1, None), {}, [1, 2, 3]),
        ((1,), {"t_end": 2}, [1, 2]),
        ((), {"t_start": 1}, [1, 2, 3]),
        ((), {"t_range": (None, 1)}, [0, 1]),
    ]
    for given, named, expected in ways:
        found = storage.extract_time_range(*given, **named)
        assert found.times.tolist() == expected, (given, named)
    wrong: list[Any] = [((1, 2, 3), {}), ((1,), {"t_start": 0}), ((2, 1), {}), (("a",), {})]
    for given, named in wrong:
        with pytest.raises(InvalidInputError):
            storage.extract_time_range(*given, **named)


def test_everything_may_be_imported_at_once() -> None:
    names: dict[str, Any] = {}
    exec("from holdfast.interop.pde import *", names)  # noqa: S102 - allowed in modules only
    assert names["FileStorage"] is FileStorage
    assert names["DiffusionPDE"] is library.DiffusionPDE


def test_functions_of_py_pde_plot_collections(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib").use("agg")
    both = pde.FieldCollection([FIELDS[0], pde.ScalarField(GRID, 1, label="v")])
    storage = pde.MemoryStorage.from_fields([both, both])
    library.plot_kymographs(storage, filename=tmp_path / "all.png")
    library.plot_kymograph(storage.view_field("v"), filename=tmp_path / "one.png")
    assert len(list(tmp_path.iterdir())) == 2


class ListStorage(pde.StorageBase):  # type: ignore[misc]  # py-pde has no types
    """A storage with a `clear` of its own, as one for py-pde would have."""

    def __init__(self) -> None:
        super().__init__(write_mode="truncate")
        self.times: list[float] = []
        self.data: list[Any] = []

    def _append_data(self, data: Any, time: float) -> None:
        self.data.append(np.array(data))
        self.times.append(time)

    def clear(self, clear_data_shape: bool = False) -> None:  # noqa: FBT001, FBT002 - py-pde's order
        super().clear(clear_data_shape)
        self.data, self.times = [], []


def test_a_storage_with_a_clear_of_its_own_is_cleared_by_it() -> None:
    storage = ListStorage()
    for turn in range(2):
        storage.start_writing(FIELDS[0])
        for number in range(2):
            storage.append(FIELDS[number + turn], number)
        storage.end_writing()
    assert storage.times == [0, 1]
    assert storage[0] == FIELDS[1]
    storage.clear()
    assert len(storage) == 0


def test_py_pde_reads_what_a_continuation_that_was_killed_left(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with FileStorage(path) as storage:
        for number in range(2):
            storage.append(FIELDS[number], number)
    program = """
        import os, sys
        from holdfast.hdf5 import recover
        from holdfast.fields import FileStorage
        if os.fork():
            os.wait()
            recover(sys.argv[1])
        else:
            storage = FileStorage(sys.argv[1], write_mode="append")
            storage.append(storage[0], 2)
            os.kill(os.getpid(), 9)
    """
    output(program, path)
    with library.FileStorage(path, write_mode="readonly") as theirs:
        assert list(theirs.times) == [0, 1, 2]
        assert theirs[2] == FIELDS[0]
    # Where `data_length` is null py-pde refuses to go on; `recover` has counted.
    with h5py.File(path) as file:
        assert file.attrs["data_length"] == "3"
    with library.FileStorage(path, write_mode="append") as theirs:
        theirs.start_writing(FIELDS[3])
        theirs.append(FIELDS[3], 3)
        theirs.end_writing()
    assert FileStorage(path).times.tolist() == [0, 1, 2, 3]
