"""Files and calls beside real py-pde, in both directions."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pde = pytest.importorskip("pde")

from holdfast.errors import InvalidInputError, StateError  # noqa: E402 - as above
from holdfast.fields import (  # noqa: E402
    DataTracker,
    Field,
    FieldCollection,
    FileStorage,
    Grid,
    MemoryStorage,
    StorageTracker,
    get_memory_storage,
)


def grids() -> list[Any]:
    return [
        pde.UnitGrid([4, 3], periodic=[True, False]),
        pde.CartesianGrid([[0, 2], [-1, 1], [3, 4]], [2, 3, 4]),
        pde.SphericalSymGrid((1, 3), 4),
        pde.SphericalSymGrid(2, 4),
        pde.PolarSymGrid(3, 5),
        pde.CylindricalSymGrid(2, (0, 3), (3, 4), periodic_z=True),
    ]


def fields() -> Iterator[Any]:
    rng = np.random.default_rng(0)
    for grid in grids():
        for kind in (pde.ScalarField, pde.VectorField, pde.Tensor2Field):
            yield kind.random_uniform(grid, label="a field", rng=rng)
    grid = pde.UnitGrid([5])
    yield pde.ScalarField(grid, 1 + 2j, dtype=complex)
    yield pde.ScalarField(grid, np.arange(5) > 2, dtype=bool)
    yield pde.ScalarField(grid, 0.5, dtype=np.float32)
    for grid in grids()[:3]:
        vector = pde.VectorField.random_uniform(grid, label="v", rng=rng)
        tensor = pde.Tensor2Field.random_uniform(grid, rng=rng)
        yield pde.FieldCollection([pde.ScalarField(grid, 2, label="u"), vector], label="both")
        yield pde.FieldCollection([tensor, pde.ScalarField(grid, 1)])


def same(one: Any, other: Any) -> bool:
    labels = [(f.label, getattr(f, "labels", None) and list(f.labels)) for f in (one, other)]
    return bool(
        type(one) is type(other)
        and one.dtype == other.dtype
        and labels[0] == labels[1]
        and one == other
    )


def by_pde(path: Path, written: list[Any], **options: Any) -> None:
    storage = pde.FileStorage(path, info={"by": "py-pde"}, **options)
    storage.start_writing(written[0])
    for time, field in enumerate(written):
        storage.append(field, time / 2)
    storage.end_writing()
    storage.close()


def test_every_field_of_py_pde_is_read_from_its_files(tmp_path: Path) -> None:
    for number, field in enumerate(fields()):
        by_pde(tmp_path / f"{number}.h5", [field, field], compression=number % 2 == 0)
        storage = FileStorage(tmp_path / f"{number}.h5", write_mode="readonly")
        assert storage.times.tolist() == [0, 0.5]
        assert same(storage[1], field)
        assert storage.grid == field.grid
        assert storage.info["by"] == "py-pde"
        assert storage.has_collection == isinstance(field, pde.FieldCollection)


def test_py_pde_reads_every_field_from_files_of_holdfast(tmp_path: Path) -> None:
    for number, field in enumerate(fields()):
        path = tmp_path / f"{number}.h5"
        with FileStorage(path, info={"by": "us"}, compression=number % 2 == 0) as storage:
            storage.append(field, 0)
            storage.append(field, 0.5)
        with pde.FileStorage(path, write_mode="readonly") as theirs:
            assert list(theirs.times) == [0, 0.5]
            assert same(theirs[1], field)
            assert theirs.grid == field.grid
            assert theirs.info["by"] == "us"


def test_py_pde_reads_fields_that_were_made_without_it(tmp_path: Path) -> None:
    grid = Grid.cylindrical(2, (0, 3), [3, 4])
    scalar = Field(grid, np.arange(12.0).reshape(3, 4), label="u")
    vector = Field(grid, np.ones((3, 3, 4)), label="v")
    with FileStorage(tmp_path / "a.h5") as storage:
        storage.append(FieldCollection([scalar, vector]), 0)
    with pde.FileStorage(tmp_path / "a.h5", write_mode="readonly") as theirs:
        assert theirs[0].labels == ["u", "v"]
        assert theirs[0]["u"].data.tolist() == scalar.data.tolist()
        assert theirs.grid == pde.CylindricalSymGrid(2, (0, 3), (3, 4))


def test_fields_come_back_without_py_pde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = list(fields())
    for number, field in enumerate(written):
        by_pde(tmp_path / f"{number}.h5", [field])
    monkeypatch.setattr("holdfast.fields._pde.installed", lambda: False)
    for number, field in enumerate(written):
        found = FileStorage(tmp_path / f"{number}.h5", write_mode="readonly")[0]
        assert isinstance(found, Field | FieldCollection)
        assert np.array_equal(found.data, field.data)
        assert found.grid.axes == tuple(field.grid.axes)
        assert found.grid.dim == field.grid.dim
        assert np.allclose(found.grid.axes_bounds, field.grid.axes_bounds)
        assert list(found.grid.periodic) == list(field.grid.periodic)
        for ours, theirs in zip(found.grid.axes_coords, field.grid.axes_coords, strict=True):
            assert np.allclose(ours, theirs)


def test_each_goes_on_where_the_other_ended(tmp_path: Path) -> None:
    path, field = tmp_path / "a.h5", pde.ScalarField(pde.UnitGrid([4]), 1.0)
    for turn in range(3):
        ours = FileStorage(path, write_mode="append")
        ours.append(field * turn, 2 * turn)
        ours.close()
        theirs = pde.FileStorage(path, write_mode="append")
        theirs.start_writing(field)
        theirs.append(field * turn, 2 * turn + 1)
        theirs.end_writing()
        theirs.close()
    found = FileStorage(path)
    assert found.times.tolist() == [0, 1, 2, 3, 4, 5]
    assert found[4] == field * 2


def test_a_file_that_py_pde_made_longer_than_it_needed_is_read_and_continued(
    tmp_path: Path,
) -> None:
    path, field = tmp_path / "a.h5", pde.ScalarField(pde.UnitGrid([4]), 1.0)
    by_pde(path, [field, field * 2], max_length=10)
    storage = FileStorage(path, write_mode="append")
    assert storage.times.tolist() == [0, 0.5]
    assert storage.extract_time_range(0, 9).times.tolist() == [0, 0.5]
    storage.append(field * 3, 1)
    storage.close()
    assert storage.times.tolist() == [0, 0.5, 1]
    assert storage[2] == field * 3
    assert storage.info["by"] == "py-pde"


def solved(tracker: Any, t_range: Any = 1.0, state: Any = None) -> Any:
    if state is None:
        state = pde.ScalarField(pde.UnitGrid([8], periodic=True), np.arange(8.0))
    eq = pde.DiffusionPDE(diffusivity=0.1)
    return eq.solve(state, t_range=t_range, dt=0.1, backend="numpy", tracker=tracker)


def test_trackers_of_holdfast_work_alone_in_a_list_and_beside_others(tmp_path: Path) -> None:
    one, two, three = MemoryStorage(), FileStorage(tmp_path / "a.h5"), MemoryStorage()
    table = DataTracker(lambda state, time: {"mean": state.average}, 0.5)
    solved(one.tracker(0.5))
    solved([two.tracker(0.5), table, pde.MemoryStorage().tracker(0.5)])
    solved(pde.TrackerCollection([three.tracker("geometric(0.25, 2)")]))
    assert one.times == pytest.approx([0, 0.5, 1])
    assert two.times == pytest.approx([0, 0.5, 1])
    assert three.times == pytest.approx([0.3, 0.5, 1], abs=0.06)
    assert table.dataframe["mean"].tolist() == pytest.approx([3.5] * 3)


def test_trackers_of_py_pde_feed_storages_of_holdfast(tmp_path: Path) -> None:
    storage = FileStorage(tmp_path / "a.h5")
    solved(pde.storage.base.StorageTracker(storage, 0.5))
    assert storage.times == pytest.approx([0, 0.5, 1])


def test_a_transformation_of_a_solver_s_state_is_stored() -> None:
    storage = MemoryStorage()
    solved(storage.tracker(0.5, transformation=lambda state, t: state * 0 + t))
    assert [field.average for field in storage] == pytest.approx([0, 0.5, 1])


def test_the_calls_of_the_library(tmp_path: Path) -> None:
    grid = pde.UnitGrid([4])
    states = [pde.ScalarField(grid, n) for n in range(3)]
    storage = MemoryStorage.from_fields([0, 1, 2], states, info={"a": 1})
    assert storage.info["a"] == 1
    again = MemoryStorage([0, 1, 2], [s.data for s in states], field_obj=states[0])
    assert again[2] == states[2]
    pair = MemoryStorage.from_collection([storage, again], "pair")
    assert pair.has_collection
    assert pair[1].label == "pair"
    assert pair.view_field(0)[2] == states[2]
    assert pair.extract_field(1, "renamed")[0].label == "renamed"
    assert pair.extract_field(1, label="renamed")[0].label == "renamed"
    assert storage.extract_time_range((0.5, 2)).times.tolist() == [1, 2]
    out = MemoryStorage()
    assert storage.apply(lambda field, t: field * t, out) is out
    assert out[2] == states[2] * 2
    assert storage.copy(out=FileStorage(tmp_path / "a.h5")).times.tolist() == [0, 1, 2]
    with get_memory_storage(states[0], {"b": 2}) as block:
        block.append(states[1], 0)
    assert block.info["b"] == 2
    assert isinstance(storage.tracker(), StorageTracker)
    assert storage.tracker().interrupt.dt == 1
    other = MemoryStorage.from_fields([0, 1, 3], states)
    with pytest.raises(InvalidInputError, match="times"):
        MemoryStorage.from_collection([storage, other])
    with pytest.raises(ValueError, match="4"):
        pair.extract_field(4)
    with pytest.raises(RuntimeError):
        FileStorage(tmp_path / "a.h5", write_mode="readonly").start_writing(states[0])
    reader = FileStorage(tmp_path / "a.h5", write_mode="reading")  # type: ignore[arg-type]
    assert reader.write_mode == "readonly"
    with pytest.raises(StateError):
        reader.clear()


def test_holdfast_s_names_stand_in_for_py_pde_s() -> None:
    import holdfast.interop.pde as ours

    assert ours.MemoryStorage is MemoryStorage
    assert ours.FieldCollection is pde.FieldCollection
    assert ours.DiffusionPDE is pde.DiffusionPDE
    assert {"FileStorage", "CartesianGrid"} <= set(dir(ours))
    with pytest.raises(AttributeError):
        _ = ours.NoSuchThing


def test_the_interpreter_may_import_py_pde_last(tmp_path: Path) -> None:
    import subprocess
    import sys

    program = """
import sys, warnings
from holdfast.fields import MemoryStorage
storage = MemoryStorage()
tracker = storage.tracker(1)
assert "pde" not in sys.modules
import pde
field = pde.ScalarField(pde.UnitGrid([4]), 1.0)
for trackers in (tracker, [storage.tracker(1)]):
    pde.DiffusionPDE().solve(field, 2, dt=0.5, tracker=trackers, backend="numpy")
    print(len(storage))
    storage.clear()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.split() == ["3", "3"]


def test_a_solver_that_raises_leaves_fields_and_grid(tmp_path: Path) -> None:
    def failing(state: Any, t: float) -> None:
        if t > 0.45:
            raise FloatingPointError("it diverged")

    storage = FileStorage(tmp_path / "a.h5", keep_opened=False)
    with pytest.raises(FloatingPointError):
        solved([storage.tracker(0.1), pde.CallbackTracker(failing, 0.1)])
    found = FileStorage(tmp_path / "a.h5", write_mode="readonly")
    assert found.times == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert isinstance(found[-1], pde.ScalarField)
    assert found.grid == pde.UnitGrid([8], periodic=True)
    storage.close()
    assert len(pde.FileStorage(tmp_path / "a.h5", write_mode="readonly")) == 6


def test_what_an_adaptive_solver_says_of_itself_is_kept(tmp_path: Path) -> None:
    state = pde.ScalarField(pde.UnitGrid([8], periodic=True), np.arange(8.0))
    storage = FileStorage(tmp_path / "a.h5")
    pde.DiffusionPDE(0.1).solve(
        state, t_range=1, adaptive=True, backend="numpy", tracker=storage.tracker(0.5)
    )
    info = FileStorage(tmp_path / "a.h5", write_mode="readonly").info
    assert info["solver"]["dt_adaptive"] is True
    assert "count" in str(info["solver"]["dt_statistics"])
    assert info["controller"]["t_final"] == 1.0
    assert info["controller"]["successful"] is True
    theirs = pde.FileStorage(tmp_path / "a.h5", write_mode="readonly")
    assert theirs.info["solver"]["dt_adaptive"] is True
    theirs.close()


def test_a_solution_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    storages = [MemoryStorage(), FileStorage(tmp_path / "a.h5")]
    trackers = [storage.tracker(0.1) for storage in storages]
    result = solved(trackers, t_range=0.3)
    solved(trackers, t_range=(0.3, 0.5), state=result)
    for storage in storages:
        assert storage.times == pytest.approx([0, 0.1, 0.2, 0.3, 0.3, 0.4, 0.5])
        with pytest.raises(InvalidInputError, match="truncate"):
            solved(storage.tracker(0.1))
