"""The examples of the document on py-pde's storages, with Holdfast's under their names.

They are as written, but for ``get_initial_condition``, which py-pde does not have, and for grids,
times and the backend, which are such that the tests take a second each.
"""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")
pytest.importorskip("pde")
from holdfast.interop import pde  # noqa: E402 - after the check that it is there


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_basic_memory_storage() -> None:
    storage = pde.MemoryStorage()
    grid = pde.UnitGrid([32], periodic=True)
    eq = pde.DiffusionPDE(diffusivity=0.1)
    state = pde.ScalarField.random_uniform(grid)
    tracker = pde.DataTracker(storage=storage, interrupts=0.5)
    result = eq.solve(state, t_range=5.0, dt=0.1, backend="numpy", tracker=tracker)
    assert len(storage) == 11
    assert storage.times == pytest.approx(np.arange(11) / 2)
    assert storage[-1] == result

    import matplotlib.pyplot as plt

    for i, field in enumerate(storage):
        if i % 2 == 0:
            plt.plot(field.data, alpha=0.7, label=f"t={storage.times[i]:.1f}")
    plt.legend()
    plt.close()


def test_file_storage_for_large_simulations() -> None:
    grid = pde.CartesianGrid([[0, 10], [0, 10]], [16, 16])
    eq = pde.AllenCahnPDE()
    state = pde.ScalarField.random_uniform(grid)
    with pde.FileStorage("simulation_data.h5") as storage:
        tracker = pde.DataTracker(storage=storage, interrupts=0.1)
        result = eq.solve(state, t_range=0.5, dt=0.01, backend="numpy", tracker=tracker)

    with pde.FileStorage("simulation_data.h5") as storage:
        initial = storage.read(0)
        final = storage.read(-1)
        assert initial == state
        assert final == result
        assert isinstance(float(final.average), float)
        all_data = storage.read()
        assert len(all_data) == 6
    assert len(pde.FileStorage("simulation_data.h5")) == 6  # only writing truncates


def test_movie_generation() -> None:
    grid = pde.CartesianGrid([[0, 10], [0, 10]], [16, 16])
    eq = pde.SwiftHohenbergPDE()
    state = pde.ScalarField.random_uniform(grid)
    movie_storage = pde.MovieStorage("pattern_formation.mp4", fps=10, dpi=50)
    tracker = pde.DataTracker(storage=movie_storage, interrupts=0.1)
    eq.solve(state, t_range=0.4, dt=1e-3, backend="numpy", tracker=tracker)
    assert Path("pattern_formation.mp4").stat().st_size > 0


class PickleStorage(pde.StorageBase):  # type: ignore[misc]  # py-pde has no types
    """Custom storage using pickle format."""

    def __init__(self, filename: str) -> None:
        super().__init__(write_mode="truncate_once")
        self.filename = filename
        self.data_list: list[Any] = []
        self.time_list: list[float] = []

    def append(self, data: Any, info: Any = None) -> None:
        self.data_list.append(data.copy())
        self.time_list.append(info.get("t", 0) if info else 0)

    def __len__(self) -> int:
        return len(self.data_list)

    def __getitem__(self, index: Any) -> Any:
        return self.data_list[index]

    def save(self) -> None:
        with open(self.filename, "wb") as f:
            pickle.dump({"data": self.data_list, "times": self.time_list}, f)

    @classmethod
    def load(cls, filename: str) -> "PickleStorage":
        storage = cls(filename)
        with open(filename, "rb") as f:
            saved = pickle.load(f)
        storage.data_list = saved["data"]
        storage.time_list = saved["times"]
        return storage


def test_custom_storage_backend() -> None:
    grid = pde.UnitGrid([32], periodic=True)
    eq = pde.DiffusionPDE()
    state = pde.ScalarField.random_uniform(grid)
    custom_storage = PickleStorage("custom_data.pkl")
    tracker = pde.DataTracker(storage=custom_storage, interrupts=1.0)
    result = eq.solve(state, t_range=5.0, dt=0.1, backend="numpy", tracker=tracker)
    custom_storage.save()
    loaded_storage = PickleStorage.load("custom_data.pkl")
    assert len(loaded_storage) == 6
    assert loaded_storage.time_list == pytest.approx(range(6))
    assert loaded_storage[-1] == result


def test_compressed_file_storage() -> None:
    grid = pde.CartesianGrid([[0, 20], [0, 20]], [20, 20])
    eq = pde.CahnHilliardPDE()
    state = pde.ScalarField.random_uniform(grid)
    storage_config = {"compression": "gzip", "compression_opts": 9, "shuffle": True}
    with pde.FileStorage("large_simulation.h5", **storage_config) as storage:
        tracker = pde.DataTracker(storage=storage, interrupts=0.2)
        eq.solve(state, t_range=0.6, dt=1e-3, backend="numpy", tracker=tracker)
    assert len(pde.FileStorage("large_simulation.h5")) == 4


def test_multi_format_output() -> None:
    grid = pde.UnitGrid([12, 12], periodic=True)
    eq = pde.AllenCahnPDE()
    state = pde.ScalarField.random_uniform(grid)
    storages = [
        pde.MemoryStorage(),
        pde.FileStorage("backup.h5"),
        pde.MovieStorage("visualization.mp4"),
    ]
    trackers = [
        pde.DataTracker(storage=storages[0], interrupts=1.0),
        pde.DataTracker(storage=storages[1], interrupts=0.5),
        pde.DataTracker(storage=storages[2], interrupts=0.5),
    ]
    result = eq.solve(state, t_range=2.0, dt=0.1, backend="numpy", tracker=trackers)
    assert [len(storage) for storage in storages[:2]] == [3, 5]
    assert storages[1][-1] == result
    assert Path("backup.h5").exists()
    assert Path("visualization.mp4").stat().st_size > 0


def test_the_calls_of_the_document(tmp_path: Path) -> None:
    grid = pde.UnitGrid([4])
    fields = [pde.ScalarField(grid, n) for n in range(3)]
    storage = pde.MemoryStorage.from_fields(fields, [0, 1, 2], label="heat", dtype="float32")
    assert storage.times.tolist() == [0, 1, 2]
    assert storage.info["label"] == "heat"
    assert storage[2].dtype == np.float32
    both = pde.FieldCollection([pde.ScalarField(grid, 1, label="u"), pde.VectorField(grid, 2)])
    assert pde.MemoryStorage.from_collection(both).has_collection
    assert pde.MemoryStorage.from_collection([both, both], [0, 3]).times.tolist() == [0, 3]
    with pde.FileStorage("one.h5", info={"run": 1}) as file:
        file.write(fields[0], info={"t": 2})
        file.write(fields[1:])
        assert [time for time, _ in file.items] == [2, 3, 4]
        assert str(file.filename).endswith("one.h5")
        assert file.read(slice(1, None))[0] == fields[1]
        several = file.extract_time_range(t_start=3, t_end=4, copy=True)
        assert several.times.tolist() == [3, 4]
        assert file.copy(filename="two.h5").times.tolist() == [2, 3, 4]
        assert file.apply(lambda f: f.average, progress=False, parallel=False) == [0, 1, 2]
        tracker = file.tracker("0.1", None, "three.h5")
        assert tracker.interrupt.duration == 0.1
    assert len(pde.FileStorage("two.h5")) == 3
    collections = pde.MemoryStorage.from_collection([both], [0])
    assert collections.extract_field("u", copy=True) == both["u"]
    assert collections.extract_field(0, 1) == both[1]
    assert pde.get_memory_storage() is pde.get_memory_storage()
