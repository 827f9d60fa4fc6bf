import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apply_work import process_of
from holdfast.errors import InvalidInputError
from holdfast.fields import Field, FileStorage, Grid, MemoryStorage, StorageBase
from holdfast.fields._calls import positions

GRID = Grid.unit([4, 4])


@pytest.fixture
def storage() -> StorageBase:
    fields = [Field(GRID, np.full((4, 4), float(n)), label="u") for n in range(8)]
    return MemoryStorage.from_fields(np.arange(8) / 2, fields)


def scaled(field: Field, t: float, factor: float = 1) -> Field:
    return Field(field.grid, field.data * t * factor, label=field.label)


@pytest.fixture
def many() -> StorageBase:
    return MemoryStorage.from_fields([np.array([n]) for n in range(400)])


def test_processes_make_a_storage_in_a_file_of_fields(storage: StorageBase, tmp_path: Path) -> None:
    found = storage.apply(scaled, tmp_path / "a.h5", parallel=2, factor=3)
    assert isinstance(found, FileStorage)
    assert found.times.tolist() == storage.times.tolist()
    assert [float(f.data[0, 0]) for f in found] == [3 * n * n / 2 for n in range(8)]
    assert found[1].label == "u"


def test_threads_do_it_at_the_same_time(storage: StorageBase) -> None:
    together = threading.Barrier(2, timeout=30)
    assert storage.apply(lambda _: together.wait() >= 0, parallel="threads") == [True] * 8


def test_cheap_work_is_not_given_away(many: StorageBase) -> None:
    assert {pid for pid, _ in many.apply(process_of)} == {os.getpid()}
    assert {pid for pid, _ in many.apply(process_of, parallel=1)} == {os.getpid()}


def test_an_error_of_the_function_comes_through_and_says_where(storage: StorageBase) -> None:
    def failing(_: Field, t: float) -> float:
        return 1 / (t - 1.5)

    for parallel in (False, "threads", "auto"):
        with pytest.raises(ZeroDivisionError) as caught:
            storage.apply(failing, parallel=parallel)
        assert caught.value.__notes__ == ["in field 3, at time 1.5, of a storage's apply()"]


def test_nonsense_is_refused(storage: StorageBase) -> None:
    for wrong in ("quickly", 0, -1, 2.5):
        with pytest.raises(InvalidInputError, match="workers"):
            storage.apply(scaled, parallel=wrong)
    with pytest.raises(InvalidInputError, match="out"):
        storage.apply(scaled, out=3)
    with pytest.raises(InvalidInputError, match="a field for each"):
        storage.apply(lambda field, t: field if t < 2 else t)


def test_progress_is_shown_on_standard_error(
    storage: StorageBase, capsys: pytest.CaptureFixture[str]
) -> None:
    assert storage.apply(lambda _, t: t, progress=True) == storage.times.tolist()
    assert storage.apply(lambda _, t: t, False) == storage.times.tolist()  # noqa: FBT003 - its place
    assert storage.copy(progress=True).times.tolist() == storage.times.tolist()
    assert capsys.readouterr().out == ""


def test_arrays_make_a_storage_of_arrays_and_a_list_of_fields() -> None:
    storage = MemoryStorage.from_fields([np.zeros(3), np.ones(3)])
    doubled = storage.apply(lambda a: a * 2)
    assert isinstance(doubled, StorageBase)
    fields = MemoryStorage.from_fields([Field(GRID, np.ones((4, 4)))])
    assert isinstance(fields.apply(lambda f: f.data.sum(axis=0)), list)
    assert isinstance(MemoryStorage().apply(np.sum), StorageBase)


def test_the_number_of_arguments_of_a_function_is_found_out() -> None:
    def with_default(field: Any, factor: float = 2) -> None: ...

    def with_time(field: Any, time: float = 2) -> None: ...

    def everything(*args: Any) -> None: ...

    class Method:
        def __call__(self, field: Any, t: float) -> None: ...

    assert positions(with_default, 2, {}) == 1
    assert positions(with_time, 2, {}) == 2
    assert positions(everything, 2, {}) == 2
    assert positions(Method(), 2, {}) == 2
    assert positions(scaled, 2, {"factor": 1}) == 2
    assert positions(len, 2, {}) == 1
    assert positions(np.mean, 2, {}) == 1
    assert positions(lambda: None, 2, {}) == 0
