import errno
import os
import sys
from pathlib import Path
from typing import Any, ClassVar

import dask.array
import numpy as np
import pytest
import xarray
import zarr

from helpers import HANG, contents, output, start
from holdfast.errors import (
    FormatError,
    InvalidInputError,
    LockedError,
    MissingDependencyError,
    StateError,
)
from holdfast.fields import Field, FieldCollection, Grid, StorageBase, ZarrStorage, recover_store
from holdfast.testing.storages import StorageTests
from zarr_work import GRID as FLAT
from zarr_work import X, field, fill, held


class TestZarrStorage(StorageTests):
    def create(self, folder: Path, **options: Any) -> StorageBase:
        return ZarrStorage(folder / X, **options)

    def again(self, folder: Path, **options: Any) -> StorageBase:
        return self.create(folder, **options)


class TestZarrStorageOfSmallShards(TestZarrStorage):
    dtypes: ClassVar = ("f8", "f4", "f2", "i8", "u2", "?", "c8", "c16", ">f8")

    def create(self, folder: Path, **options: Any) -> StorageBase:
        return ZarrStorage(folder / X, chunks=1, shards=2, compression=None, **options)

    def same(self, found: Any, expected: Any) -> bool:
        if found.dtype != expected.dtype and found.dtype == expected.dtype.newbyteorder("<"):
            return bool(np.array_equal(found, expected))  # Zarr has one byte order
        return super().same(found, expected)


@pytest.mark.parametrize(
    "options", [{}, {"chunks": 2, "shards": 6}, {"chunks": 3, "compression": None}], ids=str
)
def test_xarray_dask_and_zarr_open_a_store_as_it_is(options: dict[str, Any]) -> None:
    with ZarrStorage(X, info={"run": "A", "nested": {"n": 1}}, **options) as storage:
        fill(storage, range(20))
    expected = np.stack([field(n).data for n in range(20)])
    with xarray.open_zarr(X) as dataset:
        assert dataset["data"].dims == ("time", "x", "y")
        np.testing.assert_array_equal(dataset["data"], expected, strict=True)
        assert dataset["time"].values.tolist() == [n / 4 for n in range(20)]
        np.testing.assert_allclose(dataset["x"], FLAT.axes_coords[0])
        np.testing.assert_allclose(dataset["y"], FLAT.axes_coords[1])
        assert dataset.attrs["run"] == "A"
        assert float(dataset["data"].sel(time=2.5, x=0.5, y=-0.75)) == expected[10, 0, 0]
    with xarray.open_zarr(X, consolidated=False) as dataset:
        np.testing.assert_array_equal(dataset["data"], expected)
    from_zarr: Any = dask.array.from_zarr
    array = from_zarr(str(X), component="data")
    np.testing.assert_array_equal(array.compute(), expected)
    assert float(array.sum().compute()) == expected.sum()
    group: Any = zarr.open_group(X, mode="r")
    assert sorted(name for name, _ in group.arrays()) == ["data", "time", "x", "y"]
    assert group["data"].shards[0] % group["data"].chunks[0] == 0


def test_a_collection_tells_its_parts_and_dimensions() -> None:
    both = FieldCollection([field(0), Field(FLAT, np.ones((2, 8, 4)), label="flow")])
    with ZarrStorage(X) as storage:
        storage.append(both, 0)
    with xarray.open_zarr(X) as dataset:
        assert dataset["data"].dims == ("time", "component", "x", "y")
        assert dataset["data"].attrs["parts"] == ["u", "flow"]


def test_a_data_array_keeps_its_dimensions_even_one_called_time() -> None:
    array = xarray.DataArray(np.ones((3, 2)), dims=("time", "lon"), coords={"lon": [1.0, 2.0]})
    with ZarrStorage(X) as storage:
        storage.append(array, 0)
        xarray.testing.assert_identical(storage[0], array)
    with xarray.open_zarr(X) as dataset:
        assert dataset["data"].dims == ("time", "time_", "lon")
        assert dataset["lon"].values.tolist() == [1, 2]


def test_full_shards_are_committed_at_once_and_never_change_again() -> None:
    storage = ZarrStorage(X, chunks=1, shards=4)
    fill(storage, range(10))
    written = {k: v for k, v in contents(X).items() if "/c/" in k}
    with xarray.open_zarr(X) as dataset:
        assert dataset.sizes["time"] == 8
    fill(storage, range(10, 21))
    storage.close()
    fresh = contents(X)
    assert written == {name: fresh[name] for name in written}
    assert len([name for name in fresh if name.startswith("data/c/")]) == 6
    assert os.listdir() == [X.name]


def test_another_process_reads_a_field_as_soon_as_it_was_appended() -> None:
    process = start(
        f"""
        import sys
        sys.path[:0] = [{str(Path(__file__).resolve().parents[1])!r}]
        from zarr_work import X, ZarrStorage, fill
        storage = ZarrStorage(X, chunks=1, shards=4)
        done = 0
        print(flush=True)
        for line in sys.stdin:
            fill(storage, range(done, done + int(line)))
            done += int(line)
            print(done, flush=True)
        """,
    )
    assert process.stdin
    assert process.stdout
    storage = ZarrStorage(X, write_mode="readonly")
    for count in (1, 2, 1, 3, 5, 4):
        process.stdin.write(f"{count}\n")
        process.stdin.flush()
        done = int(process.stdout.readline())
        assert held() == len(storage) == done
        assert storage.live
        assert np.array_equal(storage[-1].data, field(done - 1).data)
    process.kill()
    process.wait(HANG)
    process.communicate()
    assert held() == done
    assert not storage.live


def fill_up(storage: StorageBase) -> None:
    for number in range(1000):
        storage.append(np.full((64, 32), number), number)


def test_a_full_disk_refuses_a_field_and_takes_it_when_there_is_room(small_disk: Path) -> None:
    path = small_disk / "y.zarr"
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(256 << 10))
    storage = ZarrStorage(path)
    with pytest.raises(OSError, match="space") as caught:
        fill_up(storage)
    assert caught.value.errno == errno.ENOSPC
    done = len(storage)
    assert done > 4
    ballast.unlink()
    storage.append(np.full((64, 32), done), done)
    storage.close()
    again = ZarrStorage(path, write_mode="readonly")
    assert len(again) == done + 1
    assert [int(frame[0, 0]) for frame in again] == list(range(done + 1))


def test_a_store_stays_until_there_is_something_to_take_its_place() -> None:
    with ZarrStorage(X) as storage:
        fill(storage, range(3))
    program = f"""
        import os, signal, sys
        sys.path[:0] = [{str(Path(__file__).resolve().parents[1])!r}]
        from zarr_work import X, ZarrStorage, field
        storage = ZarrStorage(X)
        storage.start_writing(field(0))
        if {{append}}:
            storage.append(field(0), 0)
        print(flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    for append, count in ((False, 3), (True, 1)):
        process = start(program.format(append=append))
        process.wait(HANG)
        process.communicate()
        assert held() == count
        recover_store(X)
        assert held() == count


def test_an_exit_without_close_brings_everything_into_the_store() -> None:
    output(
        f"""
        import sys
        sys.path[:0] = [{str(Path(__file__).resolve().parents[1])!r}]
        from zarr_work import X, ZarrStorage, fill
        fill(ZarrStorage(X), range(7))
        """
    )
    assert os.listdir() == [X.name]
    with xarray.open_zarr(X) as dataset:
        assert dataset.sizes["time"] == 7


def test_a_second_writer_is_refused_and_named() -> None:
    with ZarrStorage(X) as storage:
        fill(storage, range(2))
        for mode in ("append", "truncate"):
            other = ZarrStorage(X, write_mode=mode)
            with pytest.raises(LockedError, match="being written"):
                other.append(field(2), 2)
    assert held() == 2


def test_a_forked_child_cannot_append() -> None:
    storage = ZarrStorage(X)
    fill(storage, range(2))
    child = os.fork()
    if not child:
        code = 1
        try:
            storage.append(field(2), 2)
        except StateError:
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    storage.close()
    assert held() == 2


@pytest.mark.parametrize("compression", ["zstd", None])
def test_a_flipped_bit_in_a_shard_is_found(compression: str | None) -> None:
    with ZarrStorage(X, chunks=1, compression=compression) as storage:
        fill(storage, range(3))
    shard = X / "data/c/0/0/0"
    whole = shard.read_bytes()
    first = whole.index(b"(\xb5/\xfd") + 20 if compression else 300
    for at in (first, len(whole) - 3, len(whole) - 20):
        shard.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        with pytest.raises(FormatError, match="restore it"):
            list(ZarrStorage(X, write_mode="readonly"))


def test_other_things_at_the_place_of_a_store_are_told_apart(tmp_path: Path) -> None:
    zarr.create_group("foreign.zarr").create_array("a", shape=(3,), dtype="f8")
    Path("file.zarr").write_text("no store")
    (tmp_path / "broken.zarr").mkdir()
    Path("broken.zarr/zarr.json").write_text('{"zarr_format"')
    for name in ("foreign.zarr", "file.zarr", "broken.zarr"):
        with pytest.raises(FormatError, match=name):
            len(ZarrStorage(name, write_mode="readonly"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"chunks": 0}, "at least 1"),
        ({"chunks": 4, "shards": 6}, "shards=8"),
        ({"compression": "lzma"}, "zstd"),
        ({"level": 23}, "from 1 to 22"),
        ({"sync": "never"}, "sync"),
    ],
    ids=str,
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        ZarrStorage(X, **options).append(field(0))


def test_without_zarr_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("google_crc32c", "zarr"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingDependencyError, match="pip install"):
        ZarrStorage(X).append(field(0))
    assert os.listdir() == []


def test_float32_a_checkpoint_and_sync_on_each_call() -> None:
    with ZarrStorage(X, dtype="float32", sync="always") as storage:
        fill(storage, range(3))
        storage.checkpoint()
        with xarray.open_zarr(X) as dataset:
            assert dataset["data"].dtype == np.float32
            assert dataset.sizes["time"] == 3
        storage.append(field(3), 0.75)
    assert held() == 4


def test_large_fields_have_a_chunk_each_and_tiny_ones_share(tmp_path: Path) -> None:
    with ZarrStorage("large.zarr") as storage:
        for number in range(3):
            storage.append(np.full((300, 300), float(number)))
    group: Any = zarr.open_group("large.zarr", mode="r")
    assert group["data"].chunks == (1, 300, 300)
    with ZarrStorage("tiny.zarr") as storage:
        for number in range(1000):
            storage.append(np.float64(number), number)
    files = [p for p in (tmp_path / "tiny.zarr").rglob("*") if p.is_file()]
    assert len(files) == 5
    assert sum(p.stat().st_size for p in files) < 30_000
    assert float(ZarrStorage("tiny.zarr", write_mode="readonly").data[:].sum()) == 499_500


def test_a_grid_of_one_axis_and_no_field_at_all() -> None:
    with ZarrStorage(X) as storage:
        storage.start_writing(Field(Grid.unit(5), np.zeros(5)))
    with xarray.open_zarr(X) as dataset:
        assert dict(dataset.sizes) == {"time": 0, "x": 5}
    assert len(ZarrStorage(X)) == 0
