"""The faults of py-pde's storages, and wrong input, each shown to be absent.

The others have their tests where they belong: kills in ``test_kills.py``, whatever a storage does
in `holdfast.testing.storages`, transformations in ``test_trackers.py``.
"""

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from holdfast.errors import (
    FormatError,
    InvalidInputError,
    LockedError,
    MissingFileError,
    StateError,
)
from holdfast.fields import Field, FieldCollection, FileStorage, Grid, MemoryStorage
from holdfast.streams import Streams

GRID = Grid.cartesian([[0, 8], [0, 4]], [8, 4])


def field(number: float = 0, grid: Grid = GRID) -> Field:
    return Field(grid, np.full(grid.shape, float(number)))


def times(path: Path) -> list[float]:
    found: list[float] = FileStorage(path, write_mode="readonly").times.tolist()
    return found


# Crash safety


def test_fields_and_grid_are_there_before_writing_ends(tmp_path: Path) -> None:
    storage = FileStorage(tmp_path / "a.h5")
    storage.append(field(1), 0)
    other = FileStorage(tmp_path / "a.h5", write_mode="readonly")
    assert other.times.tolist() == [0]
    assert other.grid == GRID
    assert other.live is True
    storage.append(field(2), 1)
    assert len(other) == 2
    assert other[-1] == field(2)
    storage.close()
    assert FileStorage(tmp_path / "a.h5").live is False
    assert other[1] == field(2)


def test_an_old_file_stays_until_the_first_new_field(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with FileStorage(path) as old:
        old.append(field(1), 5)
    new = FileStorage(path)
    new.start_writing(field(), info={"run": "B"})
    assert len(new) == 0
    assert times(path) == [5]
    new.close()
    assert times(path) == [5]
    new = FileStorage(path)
    new.start_writing(field())
    new.append(field(2), 7)
    assert times(path) == [7]
    new.close()
    assert times(path) == [7]


def test_writing_that_ends_without_a_field_leaves_an_empty_storage(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with FileStorage(path) as old:
        old.append(field(1), 5)
    new = FileStorage(path)
    new.start_writing(field())
    new.end_writing()
    assert times(path) == []


def test_a_file_that_is_not_kept_open_is_written_and_continued(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    for turn in range(2):
        storage = FileStorage(path, keep_opened=False, write_mode="append")
        for number in range(4):
            storage.append(field(number), 4 * turn + number)
        storage.end_writing()
    assert times(path) == [0, 1, 2, 3, 4, 5, 6, 7]


# Integrity


def test_information_of_the_constructor_wins(tmp_path: Path) -> None:
    with FileStorage(tmp_path / "a.h5", info={"run": "A", "old": 1}) as storage:
        storage.append(field(), 0)
    for mode, expected in (("append", {"run": "B", "old": 1}), ("truncate", {"run": "B"})):
        storage = FileStorage(tmp_path / "a.h5", info={"run": "B"}, write_mode=mode)  # type: ignore[arg-type]
        with storage:
            storage.append(field(), 1)
        info = FileStorage(tmp_path / "a.h5").info
        assert {key: info.get(key) for key in ("run", "old")} == {"old": None} | expected


def test_more_fields_than_max_length_are_refused_and_fewer_are_no_zeros(tmp_path: Path) -> None:
    with FileStorage(tmp_path / "a.h5", max_length=3) as storage:
        storage.append(field(1), 1)
        storage.append(field(2), 2)
        assert storage.extract_time_range(0, 9).times.tolist() == [1, 2]
        storage.append(field(3), 3)
        with pytest.raises(StateError, match="max_length"):
            storage.append(field(4), 4)
    assert times(tmp_path / "a.h5") == [1, 2, 3]


def test_a_second_solution_does_not_go_back_in_time(tmp_path: Path) -> None:
    storage = FileStorage(tmp_path / "a.h5")
    for number in range(2):
        storage.append(field(number), number)
    storage.end_writing()
    storage.start_writing(field())
    with pytest.raises(InvalidInputError, match="allow_backwards"):
        storage.append(field(), 0)
    storage.append(field(2), 1 - 1e-14)  # a solver's rounding is none
    storage.close()
    with FileStorage(tmp_path / "b.h5", allow_backwards=True) as free:
        free.append(field(), 1)
        free.append(field(), 0)
    assert times(tmp_path / "b.h5") == [1, 0]
    assert free.extract_time_range(0, 0.5).times.tolist() == [0]


def test_given_lists_and_arrays_are_not_shared() -> None:
    given, info = [np.zeros(3), np.zeros(3)], {"a": {"b": 1}}
    storage = MemoryStorage([0, 1], given, info=info)
    of_fields = MemoryStorage.from_fields([0, 1], given)
    given[0][:] = 9
    info["a"]["b"] = 2
    assert storage[0].tolist() == of_fields[0].tolist() == [0, 0, 0]
    assert storage.info["a"] == {"b": 1}


def test_a_range_of_times_from_a_file_can_be_appended_to(tmp_path: Path) -> None:
    with FileStorage(tmp_path / "a.h5") as storage:
        for number in range(4):
            storage.append(field(number), number)
        found = storage.extract_time_range((1, 2))
    found.append(field(9), 9)
    assert found.times.tolist() == [1, 2, 9]


def test_a_slice_of_a_view_is_a_list_of_fields() -> None:
    both = FieldCollection([Field(GRID, field(1).data, label="u"), field(2)])
    storage = MemoryStorage.from_fields([both] * 3)
    assert storage.view_field("u")[1:] == [both[0], both[0]]
    with pytest.raises(IndexError):
        storage.view_field("u")[3]


# Wrong input


def test_another_process_or_storage_that_writes_is_named(tmp_path: Path) -> None:
    first = FileStorage(tmp_path / "a.h5", write_mode="append")
    first.append(field(), 0)
    second = FileStorage(tmp_path / "a.h5", write_mode="append")
    with pytest.raises(LockedError):
        second.append(field(), 1)
    first.close()
    second.append(field(), 1)
    second.close()
    assert times(tmp_path / "a.h5") == [0, 1]


def test_a_cell_that_is_run_again_replaces_what_it_still_holds_open(tmp_path: Path) -> None:
    for number in range(2):
        storage = FileStorage(tmp_path / "a.h5")
        storage.append(field(number), number)
    storage.close()
    assert times(tmp_path / "a.h5") == [1]


@pytest.mark.parametrize(
    "options",
    [
        {"every": 0},
        {"every": True},
        {"every": 1.5},
        {"every": None},
        {"chunks": 0},
        {"chunks": "a"},
        {"sync": "sometimes"},
        {"dtype": object},
        {"dtype": "S3"},
        {"info": 3},
        {"max_length": 0},
        {"compression": "zippo"},
        {"compression": "gzip", "compression_opts": 10},
        {"dtype": "nonsense"},
        {"write_mode": "overwrite"},
    ],
)
def test_wrong_options_are_refused_when_the_storage_is_made(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInputError):
        FileStorage(tmp_path / "a.h5", **options)


def test_a_dtype_that_would_lose_more_than_digits_is_refused(tmp_path: Path) -> None:
    for values, dtype in ((np.ones(3) * 1j, "f4"), (np.ones(3), "i4")):
        with pytest.raises(InvalidInputError):
            FileStorage(tmp_path / "a.h5", dtype=dtype).append(values)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_cut_short_or_no_hdf5_is_told_from_an_empty_one(tmp_path: Path) -> None:
    with FileStorage(tmp_path / "a.h5") as storage:
        for number in range(5):
            storage.append(np.full((64, 64), float(number)))
    content = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "a.h5").write_bytes(content[: len(content) // 2])
    with pytest.raises(FormatError, match="copy"):
        FileStorage(tmp_path / "a.h5")[-1]
    (tmp_path / "b.h5").write_bytes(b"no HDF5 at all")
    with pytest.raises(FormatError):
        len(FileStorage(tmp_path / "b.h5"))
    with FileStorage(tmp_path / "b.h5") as storage:  # to be replaced it may be damaged
        storage.append(field(), 3)
    assert times(tmp_path / "b.h5") == [3]


def test_a_file_of_something_else_is_refused_by_name(tmp_path: Path) -> None:
    with Streams(tmp_path / "a.h5") as streams:
        streams.append("energy", 1.0)
    with pytest.raises(FormatError, match="energy"):
        len(FileStorage(tmp_path / "a.h5"))
    with pytest.raises(FormatError, match="energy"):
        FileStorage(tmp_path / "a.h5", write_mode="append").append(field(), 0)


def test_a_file_that_is_not_there_is_empty_and_one_that_vanished_is_an_error(
    tmp_path: Path,
) -> None:
    storage = FileStorage(tmp_path / "a.h5", write_mode="readonly")
    assert len(storage) == 0
    assert storage.shape is None
    with pytest.raises(IndexError):
        storage[0]
    with FileStorage(tmp_path / "a.h5") as writer:
        writer.append(field(), 0)
    assert len(storage) == 1
    (tmp_path / "a.h5").unlink()
    assert len(storage) == 0
    with pytest.raises((IndexError, MissingFileError)):
        storage[0]


def test_the_reader_follows_a_file_that_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with FileStorage(path) as storage:
        storage.append(field(1), 0)
    reader = FileStorage(path, write_mode="readonly")
    assert reader.grid == GRID
    line = Grid.unit(3)
    with FileStorage(path) as storage:
        storage.append(field(2, line), 4)
    assert reader.times.tolist() == [4]
    assert reader.grid == line
    assert reader[-1] == field(2, line)


def test_a_full_disk_takes_no_half_field_and_writing_goes_on(tmp_path: Path) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    storage = FileStorage(tmp_path / "a.h5", journal_bytes=64 << 20)
    values = np.zeros((64, 64))
    storage.append(values, 0)
    done = 1
    resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, hard))
    try:
        with pytest.raises(OSError):  # noqa: PT011, PT012 - by the system, at some turn
            for done in range(1, 2000):
                storage.append(values + done, done)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(FileStorage(tmp_path / "a.h5", write_mode="readonly")) == done
    storage.append(values + done, done)
    storage.close()
    found = FileStorage(tmp_path / "a.h5")
    assert found.times.tolist() == list(range(done + 1))
    assert [float(f[0, 0]) for f in found] == list(range(done + 1))


def test_a_time_that_did_not_fit_after_its_values_is_brought_in_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = FileStorage(tmp_path / "a.h5")
    storage.append(np.full(4, 0.0), 0)
    writer: Any = storage._writer
    intact = writer._times

    class Full:
        length = property(lambda self: intact.length)

        def append(self, value: float) -> None:
            raise OSError(28, "No space left on device")

    for retried in (True, False):
        base = len(storage)
        writer._times = Full()
        with pytest.raises(OSError, match="No space"):
            storage.append(np.full(4, float(base)), base)
        assert len(storage) == base
        writer._times = intact
        if retried:
            storage.append(np.full(4, float(base)), base)
            assert len(storage) == base + 1
        else:
            storage.append(np.full(4, float(base + 1)), base + 1)
            assert len(storage) == base + 2
    storage.close()
    found = FileStorage(tmp_path / "a.h5")
    assert found.times.tolist() == [0, 1, 2, 3]
    assert [float(f[0]) for f in found] == [0, 1, 2, 3]


@pytest.mark.parametrize("longer", ["data", "times"])
def test_rows_without_their_partner_do_not_count_and_are_left_out_when_it_goes_on(
    tmp_path: Path, longer: str
) -> None:
    path = tmp_path / "a.h5"
    with FileStorage(path, info={"a": 1}) as storage:
        for number in range(3):
            storage.append(field(number), number)
    with h5py.File(path, "a") as file:  # as a kill between the two, or a power loss, leaves it
        del file.attrs["data_length"]
        file[longer].resize(4, axis=0)
    assert times(path) == [0, 1, 2]
    with FileStorage(path, write_mode="append") as storage:
        storage.append(field(3), 3)
    assert times(path) == [0, 1, 2, 3]
    found = FileStorage(path)
    assert [float(f.data[0, 0]) for f in found] == [0, 1, 2, 3]
    assert found.info["a"] == 1
    with h5py.File(path) as file:
        assert len(file["data"]) == len(file["times"]) == 4


def test_a_forked_child_does_not_write_its_parent_s_file(tmp_path: Path) -> None:
    storage = FileStorage(tmp_path / "a.h5")
    storage.append(field(0), 0)
    pid = os.fork()
    if not pid:
        try:
            storage.append(field(1), 1)
        except StateError:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    storage.append(field(1), 1)
    storage.close()
    assert times(tmp_path / "a.h5") == [0, 1]
