"""Storages that several threads, copies and processes use."""

import copy
import multiprocessing
import os
import pickle
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from holdfast.errors import StateError
from holdfast.fields import FileStorage, MemoryStorage, StorageBase

SHAPE = (128, 128)


def feed(storage: StorageBase, first: int) -> None:
    for number in range(first, first + 100):
        storage.append(np.full(SHAPE, float(number)), number)


@pytest.mark.parametrize("kind", [MemoryStorage, FileStorage])
def test_threads_that_feed_one_storage_do_not_mix_up_fields_and_times(
    tmp_path: Path, kind: type
) -> None:
    given = [tmp_path / "a.h5"] if kind is FileStorage else []
    storage = kind(*given, allow_backwards=True)
    storage.append(np.zeros(SHAPE), 0)
    threads = [threading.Thread(target=feed, args=(storage, n * 1000)) for n in range(1, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    storage.close()
    assert len(storage) == 301
    assert [t for t, field in storage.items if not (field == t).all()] == []


def first_value(storage: FileStorage, row: int) -> tuple[int, float, str]:
    return os.getpid(), float(storage[row][0, 0]), storage.write_mode


def test_a_storage_that_is_sent_to_a_worker_reads_the_file_there(tmp_path: Path) -> None:
    with FileStorage(tmp_path / "a.h5") as storage:
        for number in range(3):
            storage.append(np.full((2, 2), float(number)), number)
        assert len(storage) == 3  # it has looked at its file
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            pid, value, mode = pool.apply(first_value, (storage, 2))
        assert (value, mode) == (2.0, "readonly")
        assert pid != os.getpid()
        storage.append(np.zeros((2, 2)), 3)
    assert len(storage) == 4


def test_copies_of_a_storage_open_the_file_by_themselves(tmp_path: Path) -> None:
    storage = FileStorage(tmp_path / "a.h5", info={"run": "A"})
    storage.append(np.zeros(3), 0)
    for other in (copy.copy(storage), copy.deepcopy(storage), pickle.loads(pickle.dumps(storage))):
        assert len(other) == 1
        assert other.info["run"] == "A"
        with pytest.raises(StateError, match="reading only"):
            other.append(np.zeros(3), 1)
        other.close()
        del other
    storage.append(np.ones(3), 1)
    storage.close()
    later = pickle.loads(pickle.dumps(storage))
    assert later.write_mode == "append"
    later.append(np.ones(3), 2)
    later.close()
    assert storage.times.tolist() == [0, 1, 2]


def test_parts_of_long_files_are_read_without_the_rest(tmp_path: Path) -> None:
    fields = np.random.default_rng(0).normal(size=(120, 256, 256))
    with FileStorage(tmp_path / "a.h5") as storage:
        for number, values in enumerate(fields):
            storage.append(values, number)
    data = FileStorage(tmp_path / "a.h5", write_mode="readonly").data
    assert len(data) == 120
    odd = np.arange(120) % 2 == 1
    tracemalloc.start()
    try:
        assert np.array_equal(data[..., 3, 4], fields[:, 3, 4])
        assert np.array_equal(data[:, :2], fields[:, :2])
        assert np.array_equal(data[[5, -1], 7], fields[[5, -1], 7])
        assert np.array_equal(data[odd, 1, 2], fields[odd, 1, 2])
        assert np.array_equal(data[[]], fields[:0])
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < fields.nbytes / 2
    for index in ((..., 0), (3, ...), ..., (), (..., 5, 3, 2), (slice(2, 9, 3), None, 4)):
        assert np.array_equal(data[index], fields[index])
