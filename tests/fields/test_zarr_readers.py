"""Zarr stores read by other tools, in other processes, while fields are committed."""

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray
import zarr

from helpers import HANG
from holdfast.errors import InvalidInputError, StateError
from holdfast.fields import ZarrStorage, _hooks
from zarr_work import X, field, fill, held

READER = """
import sys
from pathlib import Path
import numpy as np
import xarray
import zarr

path, how = sys.argv[1:]
looks = largest = 0
while not Path("stop").exists():
    if how == "xarray":
        with xarray.open_zarr(path) as dataset:
            times, data = dataset["time"].values, dataset["data"].values
            last = dataset["data"][-1].values
    elif how == "dask":
        with xarray.open_zarr(path, chunks={}) as dataset:
            times, data = dataset["time"].values, dataset["data"].data.compute()
            last = dataset["data"][-1].data.compute()
    else:
        group = zarr.open_group(path, mode="r")
        times, data, last = group["time"][:], group["data"][:], group["data"][-1]
    count = len(times)
    assert times.tolist() == [n / 4 for n in range(count)], times
    expected = np.arange(32.0).reshape(8, 4) + np.arange(count)[:, None, None]
    assert np.array_equal(data, expected), count
    assert np.array_equal(last, expected[-1]), count
    assert count >= largest
    looks, largest = looks + 1, count
    print(count, flush=True)
"""


@pytest.fixture
def stop() -> Iterator[Path]:
    """The file that ends the readers."""
    path = Path("stop")
    yield path
    path.touch()


@pytest.mark.timeout(7200)
@pytest.mark.parametrize(
    ("how", "options"),
    [
        ("xarray", {"chunks": 4, "shards": 12}),
        ("dask", {"chunks": 4, "shards": 12}),
        ("zarr", {"chunks": (4, 3, 2), "shards": 8}),
        ("zarr", {"chunks": 3, "shards": 3}),
    ],
    ids=str,
)
def test_others_see_whole_commits_while_the_last_shard_is_replaced(
    how: str, options: dict[str, Any], stop: Path, request: pytest.FixtureRequest
) -> None:
    looks = 200 if request.config.getoption("--campaign", default=False) else 4
    with ZarrStorage(X, **options) as storage:
        fill(storage, range(1))
        storage.checkpoint()
        with open("seen", "w") as seen:
            program = [sys.executable, "-c", READER, str(X), how]
            reader = subprocess.Popen(program, stdout=seen, stderr=subprocess.PIPE, text=True)
        done = 1
        while Path("seen").read_text().count("\n") < looks and reader.poll() is None:
            fill(storage, range(done, done + 1))
            storage.checkpoint()
            done += 1
        stop.touch()
        _, problem = reader.communicate(timeout=HANG)
    assert not reader.returncode, problem
    assert held() == done


@pytest.mark.parametrize("chunks", [4, (4, 3, 2)], ids=str)
def test_whoever_has_a_shards_index_finds_its_chunks_in_those_that_replace_it(chunks: Any) -> None:
    shard = X / "data/c/0/0/0"
    with ZarrStorage(X, chunks=chunks, shards=8) as storage:
        before: list[bytes] = []
        for number in range(8):
            fill(storage, range(number, number + 1))
            storage.checkpoint()
            content = shard.read_bytes()
            index = 16 * 2 * (1 if chunks == 4 else 3 * 2) + 4
            assert all(content.startswith(old[:-index]) for old in before)
            before.append(content)
    assert held() == 8


def test_a_shard_that_is_replaced_again_and_again_does_not_grow_without_end() -> None:
    values = np.random.default_rng(1).random((64, 32))
    with ZarrStorage(X, chunks=8, shards=8) as storage:
        storage.append(values, 0)
        for _ in range(40):
            storage.append(values, storage.times[-1])
            storage.checkpoint()
    for shard in (X / "data/c").rglob("0"):
        if shard.is_file():
            assert shard.stat().st_size <= 3 * 8 * values.nbytes + 1000


@pytest.mark.parametrize("compression", ["zstd", None])
def test_a_series_at_a_point_reads_only_its_tiles(compression: Any) -> None:
    cells = np.random.default_rng(2).random((50, 40, 30))
    with ZarrStorage(X, chunks=(10, 8, 7), shards=20, compression=compression) as storage:
        for number, values in enumerate(cells):
            storage.append(values, number)
        np.testing.assert_array_equal(storage.data[:, 11, 29], cells[:, 11, 29])
        np.testing.assert_array_equal(storage.data[3:47, -1, 4:9:2], cells[3:47, -1, 4:9:2])
        assert storage.data[:, 5:5, 0].shape == (50, 0)
        with pytest.raises(IndexError):
            _ = storage.data[:, 40]
    again = ZarrStorage(X, write_mode="readonly")
    np.testing.assert_array_equal(again.data[:], cells)
    np.testing.assert_array_equal(again.data[:, 39, 29], cells[:, 39, 29])
    with xarray.open_zarr(X) as dataset:
        np.testing.assert_array_equal(dataset["data"], cells)
    group: Any = zarr.open_group(X, mode="r")
    assert group["data"].chunks == (10, 8, 7)
    for shard in (X / "data/c").iterdir():  # every other tile is damaged
        path = shard / "0" / "0"
        content = bytearray(path.read_bytes())
        table = np.frombuffer(content[-(16 * 2 * 25 + 4) : -4], "<u8").reshape(2, 25, 2)
        for offset, length in table[:, 1:].reshape(-1, 2):
            if offset < len(content):
                content[int(offset) : int(offset + length)] = bytes(int(length))
        path.write_bytes(content)
    fresh = ZarrStorage(X, write_mode="readonly")
    np.testing.assert_array_equal(fresh.data[:, 0, 0], cells[:, 0, 0])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"chunks": (4, 0, 2)}, "shape of a chunk"),
        ({"chunks": (4, 1.5, 2)}, "shape of a chunk"),
        ({"chunks": ()}, "shape of a chunk"),
        ({"chunks": (4, 8, 4), "shards": 6}, "shards=8"),
        ({"chunks": 4, "shards": 6}, "shards=8"),
        ({"dtype": "complex256"}, "Zarr"),
        ({"dtype": "text"}, "no dtype of numbers"),
    ],
    ids=str,
)
def test_options_that_cannot_be_are_refused_when_the_storage_is_made(
    options: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidInputError, match=says):
        ZarrStorage(X, **options)


@pytest.mark.parametrize("chunks", [(4, 9, 4), (4, 8), (4, 2, 2, 2)], ids=str)
def test_tiles_that_do_not_fit_the_fields_are_refused_with_what_would(chunks: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"up to \(4, 8, 4\)"):
        ZarrStorage(X, chunks=chunks).append(field(0), 0)
    assert os.listdir() == []


def test_a_store_that_is_replaced_while_it_is_read_is_an_error_and_no_mixture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with ZarrStorage(X, chunks=1, shards=2) as storage:
        fill(storage, range(6))
    reader = ZarrStorage(X, write_mode="readonly")
    fields = reader.data
    assert len(fields) == 6
    monkeypatch.setattr(_hooks, "READ_BYTES", 1)
    frames = reader.frames(range(6))
    assert next(frames)[0, 0] == 0
    with ZarrStorage(X, chunks=1, shards=2) as storage:
        for number in range(6):
            storage.append(field(100 + number), number)
    with pytest.raises(StateError, match="replaced or cleared"):
        list(frames)
    assert fields[0, 0, 0] == 100


def test_a_copy_for_another_process_reads_while_this_one_writes() -> None:
    storage = ZarrStorage(X, chunks=1, shards=2)
    fill(storage, range(3))
    held()
    copy = pickle.loads(pickle.dumps(storage))
    assert len(copy) == 3
    assert np.array_equal(copy[2].data, field(2).data)
    with pytest.raises(StateError, match="reading only"):
        copy.append(field(3), 1)
    fill(storage, range(3, 4))
    storage.close()
    storage.close()
    fill(pickle.loads(pickle.dumps(storage)), range(4, 5))


def test_an_append_within_an_append_is_refused_and_changes_nothing() -> None:
    storage = ZarrStorage(X)
    fill(storage, range(1))
    writer: Any = storage._writer
    with pytest.raises(StateError, match="signal handler"):
        writer.append(Nested(storage), 0.25)
    fill(storage, range(1, 2))
    storage.close()
    assert held() == 2


@dataclass
class Nested:
    """Values that are asked for while they are appended, by what appends itself."""

    storage: ZarrStorage

    def __array__(self, *args: Any, **keywords: Any) -> Any:
        fill(self.storage, range(7, 8))
        return field(1).data
