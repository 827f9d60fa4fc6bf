"""A disk that fails for long: the journal keeps its bound, and no accepted row is lost."""

import errno
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from holdfast.errors import AlreadyExistsError
from holdfast.hdf5 import AppendFile, AppendReader, _room
from holdfast.testing.faults import Call, Faults, injected

BOUND = 1 << 20
LARGEST_BLOCK = 1 << 20
ROW = 128 << 10


@dataclass
class Failing:
    """Lets each sync of the HDF5 file fail, but nothing of the journal."""

    broken: bool = True
    tries: int = 0

    def __call__(self, call: Call) -> None:
        if call.name == "fsync" and call.target.endswith(".h5") and self.broken:
            self.tries += 1
            raise OSError(errno.EIO, "Input/output error", call.target)


@contextmanager
def failing(folder: Path) -> Iterator[Failing]:
    disk = Failing()
    with injected(Faults(before=disk), below=folder):
        yield disk


def row(number: int) -> np.ndarray:
    return np.full(ROW // 8, number, "f8")


def append_until_refused(file: AppendFile, kind: type[OSError] = OSError) -> tuple[int, OSError]:
    for number in range(100):
        try:
            file.append("large", row(number))
        except kind as error:
            return number, error
    pytest.fail("a journal on a failing disk grew without a bound")


def test_a_row_beyond_the_bound_is_refused_while_checkpoints_fail_and_none_before(
    tmp_path: Path,
) -> None:
    with failing(tmp_path) as disk, AppendFile("x.h5", journal_bytes=BOUND, interval=3600) as file:
        count, error = append_until_refused(file)

        assert BOUND <= count * ROW <= 2 * BOUND + LARGEST_BLOCK
        assert error.errno == errno.EIO
        assert "not taken" in str(error)
        assert "twice its bound" in str(error)
        read = AppendReader("x.h5").read("large", 0, count)
        assert (read[:, 0] == np.arange(count)).all()
        disk.broken = False
    assert AppendReader("x.h5").length("large") == count


def test_appending_goes_on_when_the_disk_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_room, "RETRY_SECONDS", 0)
    with failing(tmp_path) as disk, AppendFile("x.h5", journal_bytes=BOUND, interval=3600) as file:
        count, _ = append_until_refused(file)
        disk.broken = False
        for number in range(count, 50):
            file.append("large", row(number))
    read = AppendReader("x.h5").read("large", 0, 50)
    assert (read[:, 0] == np.arange(50)).all()


def test_calls_that_are_refused_try_a_checkpoint_again_only_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_room, "RETRY_SECONDS", 3600)
    with failing(tmp_path) as disk, AppendFile("x.h5", journal_bytes=BOUND, interval=3600) as file:
        append_until_refused(file)
        before = disk.tries
        for _ in range(20):
            with pytest.raises(OSError, match="not taken"):
                file.append("large", row(0))
        assert before == disk.tries == 1
        disk.broken = False
        file.checkpoint()
        file.append("large", row(0))


def test_threads_that_are_refused_all_hear_why(tmp_path: Path) -> None:
    heard: list[OSError] = []

    def write(name: str) -> None:
        try:
            for number in range(100):
                file.append(name, row(number))
        except OSError as error:
            heard.append(error)

    with failing(tmp_path) as disk, AppendFile("x.h5", journal_bytes=BOUND, interval=3600) as file:
        threads = [threading.Thread(target=write, args=(f"s{n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=150)
        assert [error.errno for error in heard] == [errno.EIO] * 4
        assert len(set(map(id, heard))) == 4
        disk.broken = False


def test_scalars_are_refused_at_the_same_bound(tmp_path: Path) -> None:
    with failing(tmp_path) as disk, AppendFile("x.h5", journal_bytes=BOUND, interval=3600) as file:
        for taken in range(BOUND):
            try:
                file.append("loss", float(taken))
            except OSError:
                break
        assert taken * 8 <= 2 * BOUND + LARGEST_BLOCK
        assert AppendReader("x.h5").length("loss") == taken
        disk.broken = False
    assert AppendReader("x.h5").length("loss") == taken


def test_where_another_program_made_the_file_the_bound_holds_too(tmp_path: Path) -> None:
    with AppendFile("x.h5", journal_bytes=BOUND, interval=3600) as file:
        file.append("large", row(0))
        Path("x.h5").write_bytes(b"somebody's")
        _, error = append_until_refused(file, AlreadyExistsError)
        assert "x.h5" in str(error)
        Path("x.h5").unlink()
        file.checkpoint()
    assert AppendReader("x.h5").length("large") > 1
