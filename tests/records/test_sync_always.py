"""With ``sync="always"``: a row that the disk did not take is not in the table."""

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from holdfast._sync import Durability
from holdfast.records import Records, RecordWriter

PATH = Path("records/a.jsonl")


@pytest.fixture
def writer() -> RecordWriter:
    return RecordWriter(PATH.absolute(), Durability("always"))


@contextmanager
def broken(*names: str) -> Iterator[None]:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            patch.setattr(os, name, fail)
        yield


def saved() -> list[int]:
    return [row["n"] for row in Records(PATH)]


def test_a_row_that_did_not_reach_the_disk_is_taken_back_and_can_be_saved_again(
    writer: RecordWriter,
) -> None:
    writer.save(n=0)
    row = writer.row()
    for number in range(1, 5):
        row["n"], row["text"] = number, "x" * 50 * (5 - number)
        with broken("fsync"), pytest.raises(OSError, match="Input/output"):
            row.save()
        assert saved() == list(range(number))
        row.save()
        assert saved() == list(range(number + 1))
    assert Records(PATH).problems == []
    assert PATH.read_bytes().endswith(b"}\n")


def test_a_row_that_cannot_be_taken_back_is_so_before_the_next_one(writer: RecordWriter) -> None:
    writer.save(n=0)
    row = writer.row()
    row["n"] = 1
    for _ in range(3):
        with broken("fsync", "ftruncate"), pytest.raises(OSError, match="Input/output"):
            row.save()
    row.save()
    writer.save(n=2)

    assert saved() == [0, 1, 2]
    assert Records(PATH).problems == []


def test_a_row_that_cannot_be_taken_back_is_so_when_the_table_is_closed(
    writer: RecordWriter,
) -> None:
    writer.save(n=0)
    with broken("fsync", "ftruncate"), pytest.raises(OSError, match="Input/output"):
        writer.save(n=1)

    writer.close()

    assert saved() == [0]


def test_the_first_row_is_taken_back_too_and_its_folder_reaches_the_disk_later(
    writer: RecordWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    with broken("fsync"), pytest.raises(OSError, match="Input/output"):
        writer.save(n=0)
    synced, fsync = set(), os.fsync

    def note(descriptor: int) -> None:
        synced.add(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    writer.save(n=0)

    assert saved() == [0]
    assert {str(PATH.absolute()), str(PATH.parent.absolute()), str(Path.cwd())} <= synced


def test_a_reader_that_saw_a_row_which_was_then_taken_back_reads_on_rightly(
    writer: RecordWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.save(n=0)
    reader = Records(PATH)
    seen = []

    def fail(_: int) -> None:
        seen.append([row["n"] for row in reader])  # a sync that takes longer than a reader waits
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="Input/output"):
            writer.save(n=1)
    writer.save(n=2, longer="than the one before")

    assert seen == [[0, 1]]
    assert [row["n"] for row in reader] == [0, 2]
    assert reader.problems == []


def test_threads_that_save_while_syncs_fail_now_and_then_lose_and_double_nothing(
    writer: RecordWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.save(n=-1)
    fsync, calls, refused = os.fsync, [0], []

    def sometimes(descriptor: int) -> None:
        calls[0] += 1
        if calls[0] % 5 == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(descriptor)

    def work(thread: int) -> None:
        for number in range(40):
            while True:
                try:
                    writer.save(n=thread * 1000 + number)
                    break
                except OSError as error:
                    refused.append(error)

    monkeypatch.setattr(os, "fsync", sometimes)
    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for worker in threads:
        worker.start()
    for worker in threads:
        worker.join()

    assert len(refused) > 10
    found = saved()[1:]
    assert len(found) == 160
    for thread in range(4):
        own = [n for n in found if n // 1000 == thread]
        assert own == list(range(thread * 1000, thread * 1000 + 40))
