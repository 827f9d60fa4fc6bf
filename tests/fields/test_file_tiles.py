"""Files whose chunks hold tiles of fields."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from holdfast.errors import InvalidInputError
from holdfast.fields import Field, FileStorage, Grid, StorageBase
from holdfast.hdf5 import recover
from holdfast.testing.storages import StorageTests


class TestTiledFileStorage(StorageTests):
    def create(self, folder: Path, **options: Any) -> StorageBase:
        options.setdefault("compression", "gzip")
        return FileStorage(folder / "fields.h5", chunk_shape=3, chunks=2, **options)

    def again(self, folder: Path, **options: Any) -> StorageBase:
        return FileStorage(folder / "fields.h5", **options)


def test_tiles_are_in_the_file_and_stay_when_it_is_continued_without_saying_so() -> None:
    fields = np.random.default_rng(1).random((30, 10, 12))
    with FileStorage("x.h5", compression="gzip", chunk_shape=(4, 5), chunks=6) as storage:
        for n, field in enumerate(fields[:20]):
            storage.append(field, n)
    with FileStorage("x.h5", write_mode="append") as storage:
        for n, field in enumerate(fields[20:], 20):
            storage.append(field, n)
    with h5py.File("x.h5") as plain:
        assert plain["data"].chunks == (6, 4, 5)
        assert (plain["data"][:] == fields).all()
    read = FileStorage("x.h5", write_mode="readonly")
    assert (read.data[:, 9, 11] == fields[:, 9, 11]).all()
    assert (read.data[3:17, 2:7:2, -1] == fields[3:17, 2:7:2, -1]).all()
    assert (read.data[5, ::-1, 3] == fields[5, ::-1, 3]).all()
    assert (read.data[::3, 1:4] == fields[::3, 1:4]).all()
    assert (read[29] == fields[29]).all()


@pytest.mark.parametrize(
    "index",
    [
        (0, slice(None), [0, 3]),
        (slice(None), 1, slice(None), [0, 2, 2]),
        (slice(None, None, 2), [0, 1], slice(1, 3), 2),
        (slice(1, 4), [1, 0], [2, 2], slice(0, 2)),
        (3, [0, 1], slice(None), np.array([True, False, True, False, False])),
        (slice(None), 0, None, [0, 1]),
        (-1, ..., [1, 2]),
        ([4, 0], slice(None), 1),
    ],
)
def test_arrays_in_an_index_put_their_axis_where_numpy_puts_it(index: Any) -> None:
    fields = np.random.default_rng(1).random((7, 2, 4, 5))
    with FileStorage("x.h5", chunk_shape=3, chunks=2) as storage:
        for n, field in enumerate(fields):
            storage.append(field, n)
        found = storage.data[index]
    assert found.shape == fields[index].shape
    assert (found == fields[index]).all()


def test_a_file_that_replaces_another_has_tiles_too() -> None:
    for _ in range(2):
        with FileStorage("x.h5", chunk_shape=(4, 4)) as storage:
            storage.append(np.zeros((9, 9)), 0)
    with h5py.File("x.h5") as plain:
        assert plain["data"].chunks[1:] == (4, 4)


def test_components_of_a_vector_stay_together_in_a_tile() -> None:
    with FileStorage("x.h5", chunk_shape=(4, 4)) as storage:
        storage.append(np.zeros((2, 9, 9)), 0)
    with h5py.File("x.h5") as plain:
        assert plain["data"].chunks[1:] == (2, 4, 4)


@pytest.mark.parametrize("shape", [0, (4, 0), (4, -1), (1.5, 2), "ab", True, (), {4: 4}])
def test_a_chunk_shape_that_cannot_be_is_refused_at_once(shape: Any) -> None:
    with pytest.raises(InvalidInputError, match="chunk_shape"):
        FileStorage("x.h5", chunk_shape=shape)


def test_a_chunk_shape_with_more_axes_than_the_fields_is_refused_and_leaves_no_file() -> None:
    storage = FileStorage("x.h5", chunk_shape=(4, 4, 4))
    with pytest.raises(InvalidInputError, match="tile"):
        storage.append(np.zeros((9, 9)), 0)
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    "options",
    [
        {"interval": 0},
        {"interval": -1.0},
        {"interval": "5"},
        {"interval": float("nan")},
        {"interval": True},
        {"journal_bytes": 0},
        {"journal_bytes": 1.5},
        {"journal_bytes": "1"},
    ],
)
def test_options_of_the_journal_that_cannot_be_are_refused_at_once(options: Any) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(options))):
        FileStorage("x.h5", **options)


def test_tiles_of_a_killed_writer_are_seen_recovered_and_counted() -> None:
    code = """
        import os, numpy as np
        from holdfast.fields import FileStorage
        with FileStorage("x.h5", chunk_shape=(4, 4), chunks=3, compression="gzip") as storage:
            for n in range(5):
                storage.append(np.full((6, 6), float(n)), n)
        storage = FileStorage("x.h5", write_mode="append")
        for n in range(5, 12):
            storage.append(np.full((6, 6), float(n)), n)
            if n == 9:
                storage._writer._file.checkpoint()
        os._exit(1)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False, timeout=60)
    read = FileStorage("x.h5", write_mode="readonly")
    assert read.data[:, 5, 5].tolist() == list(range(12))
    recover("x.h5")
    with h5py.File("x.h5") as plain:
        assert json.loads(plain.attrs["data_length"]) == 12
        assert plain["data"].chunks == (3, 4, 4)
        assert plain["data"][:, 5, 5].tolist() == list(range(12))
    with FileStorage("x.h5", write_mode="append") as storage:
        storage.append(np.full((6, 6), 12.0), 12)
    assert FileStorage("x.h5", write_mode="readonly").data[:, 0, 0].tolist() == list(range(13))


def test_one_number_of_cells_is_for_each_axis_of_the_grid() -> None:
    grid = Grid.cartesian([[0, 1], [0, 1]], [9, 10])
    with FileStorage("vectors.h5", chunk_shape=4) as storage:
        storage.append(Field(grid, np.zeros((2, 9, 10))), 0)
    number: Any = np.int64(4)
    with FileStorage("arrays.h5", chunk_shape=number) as storage:
        storage.append(np.zeros((3, 9, 10)), 0)
    with h5py.File("vectors.h5") as vectors, h5py.File("arrays.h5") as arrays:
        assert vectors["data"].chunks[1:] == (2, 4, 4)
        assert arrays["data"].chunks[1:] == (3, 4, 4)


@pytest.mark.parametrize("shape", [(4,), (4, 4, 4)])
def test_a_chunk_shape_of_another_grid_is_refused(shape: tuple[int, ...]) -> None:
    storage = FileStorage("x.h5", chunk_shape=shape)
    field = Field(Grid.cartesian([[0, 1], [0, 1]], [9, 10]), np.zeros((2, 9, 10)))
    with pytest.raises(InvalidInputError, match=r"chunk_shape=.*axes.*2"):
        storage.append(field, 0)
    assert not list(Path().iterdir())


def test_fields_a_chunk_that_hdf5_could_not_make_are_refused() -> None:
    storage = FileStorage("x.h5", chunks=1 << 20)
    with pytest.raises(InvalidInputError, match="4 GiB"):
        storage.append(np.zeros((64, 64)), 0)
