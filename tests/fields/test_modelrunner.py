import os
import sys
from pathlib import Path
from typing import Any

import modelrunner
import numpy as np
import pytest

from holdfast.errors import (
    FormatError,
    InvalidInputError,
    MissingDependencyError,
    NotFoundError,
    StateError,
)
from holdfast.fields import MemoryStorage, ModelrunnerStorage, StorageBase
from holdfast.testing.storages import StorageTests
from movies import moving

MODELRUNNER: Any = modelrunner.storage


class TestModelrunnerStorageInHdf5(StorageTests):
    def create(self, folder: Path, **options: Any) -> StorageBase:
        return ModelrunnerStorage(folder / "x.hdf5", **options)

    def again(self, folder: Path, **options: Any) -> StorageBase:
        return self.create(folder, **options)


class TestModelrunnerStorageInZarr(TestModelrunnerStorageInHdf5):
    def create(self, folder: Path, **options: Any) -> StorageBase:
        return ModelrunnerStorage(folder / "x.zarr", **options)


def test_a_run_is_uploaded_and_downloaded_by_a_fresh_instance(tmp_path: Path) -> None:
    run_id = ModelrunnerStorage(info={"by": "me"}).upload(moving(3), tags=["first", "test"])
    fresh = ModelrunnerStorage()
    assert fresh.download(run_id) == moving(3)
    assert fresh.download(run_id, 0) == moving(3)
    with pytest.raises(IndexError):
        fresh.download(run_id, 1)
    assert fresh.run(run_id).info["by"] == "me"
    assert os.listdir(tmp_path) == ["modelrunner"]


def test_a_trajectory_is_uploaded_whole_and_found_by_its_tags(tmp_path: Path) -> None:
    memory = MemoryStorage()
    for number in range(4):
        memory.append(moving(number), number / 2)
    runs = ModelrunnerStorage(folder=tmp_path / "runs")
    first = runs.upload(memory, tags=["long"])
    second = runs.upload([moving(5), moving(6)])
    assert runs.download(first, 2) == moving(2)
    assert runs.download(first, -1) == runs.download(first) == moving(3)
    assert runs.run(first).times.tolist() == [0, 0.5, 1, 1.5]
    assert runs.runs() == sorted([first, second])
    assert runs.runs("long") == [first]
    assert runs.runs("short") == []


def test_an_unknown_run_is_refused_and_no_name_leads_out(tmp_path: Path) -> None:
    runs = ModelrunnerStorage()
    known = runs.upload(moving(0))
    with pytest.raises(NotFoundError, match=known):
        runs.download("nonsense")
    for name in ("../x", "", "/etc/passwd"):
        with pytest.raises(InvalidInputError):
            runs.download(name)
    with pytest.raises(InvalidInputError, match="at least one"):
        runs.upload([])
    assert len(list(tmp_path.rglob("*.hdf5"))) == 1


def test_modelrunner_reads_what_was_written_and_the_other_way_round() -> None:
    with ModelrunnerStorage("x.hdf5") as storage:
        for number in range(3):
            storage.append(moving(number), number)
    trajectory = MODELRUNNER.Trajectory("x.hdf5")
    assert trajectory.times.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(trajectory[2], moving(2).data)
    trajectory.close()
    with MODELRUNNER.TrajectoryWriter("y.hdf5") as writer:
        writer.append(np.arange(3.0), 0.5)
    found = ModelrunnerStorage("y.hdf5", write_mode="readonly")
    assert found.times.tolist() == [0.5]
    assert found[0].tolist() == [0, 1, 2]
    found.close()


def test_an_open_storage_keeps_several_trajectories() -> None:
    with MODELRUNNER.open_storage("x.hdf5", mode="full") as group:
        for name in ("one", "two"):
            with ModelrunnerStorage(group, loc=name) as storage:
                storage.append(moving(1), 0)
                assert storage[0] == moving(1)
        again = ModelrunnerStorage(group, loc="one")
        with pytest.raises(StateError, match="append"):
            again.append(moving(2), 1)
        more = ModelrunnerStorage(group, loc="one", write_mode="append")
        more.append(moving(2), 1)
        assert len(more) == 2
    assert ModelrunnerStorage("x.hdf5", loc="one", write_mode="readonly")[1] == moving(2)
    for storage in (ModelrunnerStorage("x.hdf5", loc="two"),):
        with pytest.raises(StateError):
            storage.append(moving(2), 1)
        with pytest.raises(StateError):
            storage.clear()
        storage.close()


def test_a_trajectory_needs_a_place_and_a_known_format(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="upload"):
        ModelrunnerStorage().append(moving(0), 0)
    with pytest.raises(InvalidInputError, match=r"\.hdf5"):
        ModelrunnerStorage("x.txt").append(moving(0), 0)
    Path("broken.hdf5").write_text("nothing of the kind")
    with pytest.raises(FormatError, match="broken"):
        len(ModelrunnerStorage("broken.hdf5", write_mode="readonly"))


def test_without_modelrunner_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "modelrunner", None)
    with pytest.raises(MissingDependencyError, match="py-modelrunner"):
        ModelrunnerStorage()


def test_fields_of_py_pde_come_back_as_such() -> None:
    pde: Any = pytest.importorskip("pde")
    field = pde.VectorField.random_uniform(pde.CartesianGrid([[0, 1], [0, 2]], [4, 3]), label="v")
    run_id = ModelrunnerStorage().upload(field)
    found = ModelrunnerStorage().download(run_id)
    assert isinstance(found, pde.VectorField)
    assert found == field
    assert found.label == "v"
    assert found.grid == field.grid


@pytest.mark.parametrize("name", ["x.h5", "x.hdf", "x.zarr", "x", "x.json", "x.yaml", "x.yml"])
def test_every_format_of_modelrunner_is_continued_and_read_by_a_fresh_instance(name: str) -> None:
    for mode, numbers in (("truncate_once", (0, 1)), ("append", (2,))):
        with ModelrunnerStorage(name, write_mode=mode) as storage:  # type: ignore[arg-type]
            for number in numbers:
                storage.append(moving(number), number / 2)
    with ModelrunnerStorage(name, write_mode="readonly") as found:
        assert found.times.tolist() == [0, 0.5, 1]
        assert [field == moving(number) for number, field in enumerate(found)] == [True] * 3


@pytest.mark.parametrize("name", ["x.sqldb", "x.lmdb"])
def test_a_format_that_modelrunner_does_not_open_is_refused(name: str) -> None:
    with pytest.raises(InvalidInputError, match="hdf5"):
        ModelrunnerStorage(name).append(moving(0), 0)
