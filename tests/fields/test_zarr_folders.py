"""Zarr stores and what else is done to their folders: nobody's files go, no numbers are made up."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray

from holdfast.errors import FormatError, InvalidInputError, StateError
from holdfast.fields import ZarrStorage
from zarr_work import X, field, fill, held

ROWS = 20


def make(**options: Any) -> None:
    with ZarrStorage(X, chunks=5, shards=10, **options) as storage:
        fill(storage, range(ROWS))


def test_a_folder_with_something_else_is_left_alone() -> None:
    X.mkdir()
    (X / "thesis.tex").write_text("years")
    with pytest.raises(FormatError, match=r"thesis\.tex"):
        ZarrStorage(X).append(field(0), 0)
    assert [path.name for path in X.iterdir()] == ["thesis.tex"]
    assert not Path("x.zarr-journal").exists()


@pytest.mark.parametrize("how", ["truncate", "clear"])
def test_what_somebody_put_into_a_store_stays_when_the_store_goes(how: str) -> None:
    make()
    (X / "notes").mkdir()
    (X / "notes" / "monday.txt").write_text("kept")
    storage = ZarrStorage(X, write_mode="truncate")
    if how == "clear":
        storage.clear()
        assert not (X / "data").exists()
    else:
        storage.append(field(0), 0)
        storage.close()
        assert len(ZarrStorage(X, write_mode="readonly")) == 1
    assert (X / "notes" / "monday.txt").read_text() == "kept"


@pytest.mark.parametrize("name", ["data/c/1/0/0", "time/c/1"])
@pytest.mark.parametrize("left", [None, b""], ids=["missing", "empty"])
def test_rows_of_a_missing_object_are_an_error_and_not_zeros(name: str, left: bytes | None) -> None:
    make()
    (X / name).unlink()
    if left is not None:
        (X / name).write_bytes(left)
    storage = ZarrStorage(X, write_mode="readonly")
    values: Any = storage.data if name.startswith("data") else storage
    with pytest.raises(FormatError, match=r"c/1.* is missing or empty"):
        _ = values[15] if values is not storage else storage.times
    assert np.array_equal(storage[9].data, field(9).data)


@pytest.mark.parametrize("what", ["identity", "plan", "shape"])
def test_a_root_that_lacks_something_is_damage(what: str) -> None:
    make()
    root = (X / "zarr.json").read_text()
    (X / "zarr.json").write_text(root.replace(f'"{what}"', '"other"'))
    with pytest.raises(FormatError, match=r"damaged|did not write"):
        len(ZarrStorage(X, write_mode="readonly"))


def test_a_store_that_was_deleted_under_its_writer_is_not_continued() -> None:
    storage = ZarrStorage(X, chunks=2, shards=4)
    fill(storage, range(6))
    shutil.rmtree(X)
    with pytest.raises(StateError, match="moved, deleted or replaced"):
        fill(storage, range(6, 8))
    assert not X.exists()
    with pytest.raises(StateError):
        storage.close()


@pytest.mark.parametrize("shape", [(0,), (3, 0)], ids=str)
def test_fields_without_cells_are_kept_too(shape: tuple[int, ...]) -> None:
    with ZarrStorage(X, chunks=2, shards=4) as storage:
        for number in range(6):
            storage.append(np.zeros(shape), number)
    assert ZarrStorage(X, write_mode="readonly").data[:].shape == (6, *shape)
    with xarray.open_zarr(X) as dataset:
        assert dataset["data"].values.shape == (6, *shape)


@pytest.mark.parametrize(
    "options", [{"chunks": 1.5}, {"chunks": "2"}, {"shards": 0}, {"level": "a"}, {"level": 2.5}]
)
def test_numbers_that_are_none_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match=r"is a number of fields|a level from 1 to 22"):
        ZarrStorage(X, **options)


def test_a_store_from_before_there_were_tiles_is_read_and_continued() -> None:
    make()
    root = json.loads((X / "zarr.json").read_text())
    del root["attributes"]["holdfast"]["plan"]["tile"]
    (X / "zarr.json").write_text(json.dumps(root))
    with ZarrStorage(X, write_mode="append") as storage:
        fill(storage, range(ROWS, ROWS + 3))
    assert held() == ROWS + 3


def test_what_a_killed_writer_left_in_a_folder_does_not_stand_in_the_way() -> None:
    (X / "data").mkdir(parents=True)
    (X / ".tmp-1-0-aa").write_text("half an object")
    (X / "time").mkdir()
    (X / "time" / ".tmp-1-1-bb").write_text("half an object")
    make()
    assert held() == ROWS
    ZarrStorage(X, write_mode="append").clear()
    assert not X.exists()
