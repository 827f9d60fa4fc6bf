import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.errors import HoldfastWarning, InvalidInputError, StateError
from holdfast.fields import (
    ConstantInterrupts,
    DataTracker,
    FileStorage,
    MemoryStorage,
    StorageBase,
    Tracker,
    track,
)


def steps(stop: float = 3.0, dt: float = 0.1) -> Iterator[tuple[float, Any]]:
    """A solver that changes one array in place."""
    state = np.zeros(4)
    for number in range(round(stop / dt) + 1):
        state[:] = number
        yield number * dt, state


def test_a_loop_of_ones_own_feeds_several_storages(tmp_path: Path) -> None:
    memory, file = MemoryStorage(), FileStorage(tmp_path / "a.h5")
    passed = [t for t, _ in track(steps(), [memory.tracker(1), file.tracker(0.5)])]
    assert len(passed) == 31
    assert memory.times == pytest.approx([0, 1, 2, 3])
    assert file.times == pytest.approx(np.arange(7) / 2)
    assert memory[1].tolist() == [10] * 4


def test_a_loop_that_fails_keeps_what_it_had_and_why(tmp_path: Path) -> None:
    def failing() -> Iterator[tuple[float, Any]]:
        yield from steps(1)
        raise FloatingPointError("it diverged")

    storage = FileStorage(tmp_path / "a.h5")
    with pytest.raises(FloatingPointError):
        list(track(failing(), storage.tracker(0.5)))
    found = FileStorage(tmp_path / "a.h5", write_mode="readonly")
    assert found.times == pytest.approx([0, 0.5, 1])
    assert found.info["controller"]["stop_reason"] == "FloatingPointError: it diverged"


def test_a_loop_that_is_left_ends_its_trackers() -> None:
    storage = MemoryStorage()
    for t, _ in track(steps(), storage.tracker(1)):
        if t > 1.5:
            break
    assert storage.times == pytest.approx([0, 1])
    assert storage.info["controller"]["stop_reason"] == "the loop was left"
    assert not storage.is_writing


def test_a_tracker_may_end_the_loop() -> None:
    def enough(field: Any, t: float) -> None:
        if t > 1:
            raise StopIteration("enough")

    storage = MemoryStorage()
    passed = [t for t, _ in track(steps(), [DataTracker(enough, 0.1), storage.tracker(0.5)])]
    assert passed[-1] == pytest.approx(1.1)
    assert storage.info["controller"]["stop_reason"] == "enough"


def test_trackers_that_were_given_the_same_interrupts_do_not_share_them() -> None:
    interrupts = ConstantInterrupts(1)
    storages = [MemoryStorage(), MemoryStorage()]
    list(track(steps(), [storage.tracker(interrupts) for storage in storages]))
    assert [len(storage) for storage in storages] == [4, 4]


def test_a_loop_needs_trackers_and_pairs() -> None:
    wrong: list[Any] = [[MemoryStorage()], MemoryStorage(), None, "progress", {"a": 1}]
    for trackers in wrong:
        with pytest.raises(InvalidInputError, match="tracker"):
            track(steps(), trackers)
    no_pairs: list[Any] = [1.0, (np.ones(2), 1.0), (float("nan"), np.ones(2)), (1, 2, 3)]
    for given in no_pairs:
        with pytest.raises(InvalidInputError, match="pairs"):
            list(track(iter([given]), MemoryStorage().tracker()))


def test_every_tracker_ends_also_where_the_end_of_one_fails() -> None:
    class Failing(Tracker):
        def handle(self, field: Any, t: float) -> None: ...

        def finalize(self, info: Any = None) -> None:
            raise OSError("full")

    storages = [MemoryStorage(), MemoryStorage()]
    trackers = [storages[0].tracker(1), Failing(), storages[1].tracker(1)]
    with pytest.raises(OSError, match="full"):
        list(track(steps(), iter(trackers)))
    assert [storage.is_writing for storage in storages] == [False, False]
    assert len(storages[1]) == 4


class Shift:
    def __call__(self, field: Any) -> Any:
        return field + 1

    def with_time(self, field: Any, time: float) -> Any:
        return field * 0 + time


@pytest.mark.parametrize("transformation", [Shift(), Shift().__call__, lambda field: field + 1])
def test_any_callable_may_transform_what_is_stored(transformation: Any) -> None:
    storage = MemoryStorage()
    list(track(steps(), storage.tracker(1, transformation)))
    assert storage[1].tolist() == [11] * 4


def test_a_transformation_may_take_the_time() -> None:
    storage = MemoryStorage()
    list(track(steps(), storage.tracker(1, Shift().with_time)))
    assert storage[2].tolist() == pytest.approx([2] * 4)


def test_a_tracker_with_a_file_name_writes_that_file_too(tmp_path: Path) -> None:
    storage = MemoryStorage()
    list(track(steps(), storage.tracker(1, filename=tmp_path / "too.h5")))
    file = FileStorage(tmp_path / "too.h5")
    assert file.times.tolist() == storage.times.tolist()
    with pytest.raises(InvalidInputError, match="already"):
        file.tracker(1, filename=tmp_path / "." / "too.h5")


def test_a_data_tracker_feeds_a_storage() -> None:
    storage = MemoryStorage()
    tracker = DataTracker(storage=storage, interrupts=1)
    list(track(steps(), tracker))
    assert len(storage) == 4
    with pytest.raises(StateError):
        _ = tracker.dataframe


def statistics(state: Any, time: float) -> dict[str, float]:
    return {"mean": float(state.mean()), "twice": 2 * time}


@pytest.mark.parametrize("extension", [".csv", ".json", ".pickle"])
def test_a_data_tracker_saves_what_a_function_returns(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"table{extension}"
    tracker = DataTracker(statistics, 1, filename=path)
    list(track(steps(), tracker))
    assert tracker.dataframe["mean"].tolist() == [0, 10, 20, 30]
    if extension == ".csv":
        assert path.read_text().splitlines()[0] == ",time,mean,twice"
    elif extension == ".json":
        assert json.loads(path.read_text())["mean"]["1"] == 10
    else:
        assert pickle.loads(path.read_bytes())[1][1]["mean"] == 10


@pytest.mark.parametrize(
    "function", [lambda s: s, lambda s: {"a": s[:1]}, lambda s: [s], lambda s: (s, 1)]
)
def test_a_data_tracker_keeps_results_that_show_the_state_of_their_time(function: Any) -> None:
    tracker = DataTracker(function, 1)
    list(track(steps(), tracker))
    assert [
        np.ravel(list(r.values()) if isinstance(r, dict) else r[0])[0] for r in tracker.data
    ] == [
        0,
        10,
        20,
        30,
    ]


def test_a_data_tracker_refuses_what_it_cannot_do() -> None:
    for wrong in ({}, {"func": len, "storage": MemoryStorage()}, {"func": 3}):
        with pytest.raises(InvalidInputError):
            DataTracker(**wrong)
    with pytest.raises(InvalidInputError, match="csv"):
        DataTracker(statistics, filename="table.docx")
    with pytest.raises(InvalidInputError):
        MemoryStorage().tracker(0)
    with pytest.raises(InvalidInputError):
        MemoryStorage().tracker(transformation=3)  # type: ignore[arg-type]


class ByInfo(StorageBase):
    """A storage of a user's own, with no hook at all."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Any] = []

    def append(self, data: Any, info: Any = None) -> None:  # type: ignore[override]
        self.kept.append((info["t"], data.copy()))

    def __len__(self) -> int:
        return len(self.kept)

    def __getitem__(self, index: Any) -> Any:
        return self.kept[index][1]


def test_a_storage_of_ones_own_is_told_the_time_in_info() -> None:
    storage = ByInfo()
    for _ in range(2):
        list(track(steps(), storage.tracker(1)))
    assert [time for time, _ in storage.kept[:4]] == pytest.approx([0, 1, 2, 3])
    assert len(storage) == 8
    assert storage[1].tolist() == [10] * 4
    assert [field[0] for field in storage][:4] == [0, 10, 20, 30]
    with pytest.raises(StateError, match="_read_times"):
        _ = storage.times


class Lists(StorageBase):
    """A storage as for py-pde: two lists and one hook."""

    def __init__(self) -> None:
        super().__init__()
        self.times: Any = []
        self.data: Any = []

    def _append_data(self, data: Any, time: float) -> None:
        self.times.append(time)
        self.data.append(data.copy())


def test_a_storage_as_for_py_pde_needs_one_hook() -> None:
    storage = Lists()
    list(track(steps(), storage.tracker(1)))
    assert [time for time, _ in storage.items()] == pytest.approx([0, 1, 2, 3])
    assert storage[-1].tolist() == [30] * 4
    assert len(storage[1:3]) == 2
    assert storage.extract_time_range(0.5, 2).times == pytest.approx([1, 2])
    with pytest.raises(StateError, match="_erase"):
        storage.clear()


def test_a_storage_that_is_told_no_times_is_warned_about() -> None:
    class Blind(ByInfo):
        def append(self, data: Any) -> None:  # type: ignore[override]
            self.kept.append((None, data.copy()))

    with pytest.warns(HoldfastWarning, match="times"):
        Blind().tracker()


def test_other_ranks_of_an_mpi_program_track_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "1")
    storage = FileStorage(tmp_path / "a.h5")
    assert len(list(track(steps(), storage.tracker(1)))) == 31
    storage.start_writing(np.zeros(3))
    storage.append(np.zeros(3))
    storage.close()
    assert not list(tmp_path.iterdir())
    own = FileStorage(tmp_path / "rank1.h5", check_mpi=False)
    own.append(np.zeros(3))
    own.close()
    assert len(own) == 1
