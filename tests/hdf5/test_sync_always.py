"""With ``sync="always"``: who is told that a row was not kept may append it again."""

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest

from crash.test_append_simulated import another_boot
from helpers import output
from holdfast.errors import StateError
from holdfast.hdf5 import AppendFile, AppendReader, recover
from holdfast.journal import read_journal
from holdfast.testing.faults import Faults, injected
from journals import Writer, assert_whole, snapshot

PATH = Path("x.h5")
FOLDER = Path("x.h5-journal")


@contextmanager
def broken_fsync(times: int = 1 << 30) -> Iterator[list[str]]:
    """Let syncs fail, so many times; yield what was to be synced."""
    failed: list[str] = []
    fsync = os.fsync

    def fail(descriptor: int) -> None:
        if len(failed) >= times:
            fsync(descriptor)
            return
        failed.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        yield failed


def rows() -> list[float]:
    reader = AppendReader(PATH)
    found: list[float] = reader.read("a", 0, reader.length("a")).tolist()
    return found


@pytest.mark.parametrize("how", ["append", "extend", "array"])
def test_a_row_that_no_sync_brought_to_the_disk_is_not_there_and_can_be_appended_again(
    how: str,
) -> None:
    def add(number: float) -> None:
        if how == "extend":
            file.extend("a", [number])
        elif how == "array":
            file.append("a", np.array(number))
        else:
            file.append("a", number)

    file = AppendFile(PATH, sync="always")
    file.append("a", 0.0)
    for number in range(1, 20):
        with broken_fsync(1 + number % 2), pytest.raises(OSError, match="was not taken"):
            add(-float(number))
        assert rows() == list(range(number))
        with another_boot(pytest.MonkeyPatch()):
            assert rows() == list(range(number))  # nor after a power loss
        add(float(number))
        assert rows() == list(range(number + 1))
    file.close()

    with h5py.File(PATH) as plain:
        assert plain["a"][:].tolist() == list(range(20))


def test_whatever_call_of_an_append_fails_the_row_comes_once_when_it_is_appended_again(
    tmp_path: Path,
) -> None:
    def use(path: Path, faults: Faults) -> None:
        with AppendFile(path, sync="always") as file:
            for number in range(3):
                for name in ("a", "b"):
                    try:
                        file.append(name, float(number))
                    except OSError:
                        faults.heal()
                        file.append(name, float(number))
                assert AppendReader(path).read("b", 0, number + 1).tolist() == list(
                    range(number + 1)
                )
            faults.at = None

    with injected(Faults(), below=tmp_path) as seen:
        use(tmp_path / "seen.h5", seen)
    appending = [n for n, call in enumerate(seen.calls) if "journal" in call[1]][8:60]
    for at in appending[::3]:
        folder = tmp_path / str(at)
        folder.mkdir()
        with injected(Faults(at, errno.EIO, lasting=True), below=folder) as faults:
            use(folder / "x.h5", faults)
        with h5py.File(folder / "x.h5") as plain:
            assert plain["a"][:].tolist() == plain["b"][:].tolist() == [0, 1, 2]


def test_after_a_power_loss_every_row_whose_append_returned_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = AppendFile(PATH, sync="always", interval=3600)
    for number in range(700):
        file.append("a", float(number))
    with another_boot(monkeypatch):
        assert rows() == list(range(700))
    file.close()


@pytest.mark.parametrize("mapped", [True, False], ids=["mapped", "written"])
def test_a_kill_between_sync_and_publication_leaves_a_whole_journal(*, mapped: bool) -> None:
    writer = Writer(mapped=mapped)
    writer.define(1)
    writer.append(1, 5)
    writer.journal.sync()
    block = writer.blocks[1]
    block.write(5, bytes(range(24)))
    block.mark(6)
    writer.abandon()

    journal = snapshot()

    assert journal.problems == []
    assert journal.rows(1) == (0, 6)  # on the disk, and nobody was told that it is not


@pytest.mark.parametrize("mapped", [True, False], ids=["mapped", "written"])
def test_a_row_taken_back_leaves_the_marks_of_those_before(*, mapped: bool) -> None:
    writer = Writer(mapped=mapped)
    writer.define(1)
    writer.append(1, 5)
    writer.journal.sync()
    writer.append(1, 3)
    block = writer.blocks[1]
    for _ in range(3):
        block.write(8, b"\xff" * 24)
        with broken_fsync(), pytest.raises(OSError, match="Input/output"):
            writer.journal.publish_durably(block, 9)
        assert_whole(snapshot(), writer)
    writer.append(1, 30)
    writer.journal.sync()
    with pytest.MonkeyPatch.context() as patch, another_boot(patch):
        journal = read_journal(FOLDER)
        assert journal is not None
        assert journal.rows(1) == (0, 38)
    writer.abandon()
    assert_whole(snapshot(), writer)


def test_after_a_failed_sync_all_pages_are_written_again_that_it_may_have_dropped() -> None:
    writer = Writer()
    writer.define(1)
    writer.append(1, 1000)
    with broken_fsync(), pytest.raises(OSError, match="Input/output"):
        writer.journal.sync()
    written: set[int] = set()
    pwrite = os.pwrite

    def note(descriptor: int, content: bytes, offset: int) -> int:
        written.add(offset // 4096)
        return pwrite(descriptor, content, offset)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "pwrite", note)
        writer.journal.sync()

    size = writer.blocks[1].row_bytes * 1000
    assert len(written) >= 2 + size // 4096
    assert_whole(snapshot(), writer)


def test_threads_that_append_while_syncs_fail_now_and_then_lose_and_double_nothing() -> None:
    file = AppendFile(PATH, sync="always", interval=0.02, journal_bytes=1 << 15)
    file.append("a", -1)
    fsync, lock, calls, refused = os.fsync, threading.Lock(), [0], [0]

    def sometimes(descriptor: int) -> None:
        with lock:
            calls[0] += 1
            bad = calls[0] % 7 == 0
        if bad:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(descriptor)

    def work(thread: int) -> None:
        for number in range(60):
            while True:
                try:
                    file.append("a", thread * 1000 + number)
                    break
                except OSError:
                    refused[0] += 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", sometimes)
        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for worker in threads:
            worker.start()
        for worker in threads:
            worker.join()
    file.close()

    assert refused[0] > 5
    with h5py.File(PATH) as plain:
        found = plain["a"][1:]
    for thread in range(4):
        own = found[found // 1000 == thread]
        assert own.tolist() == list(range(thread * 1000, thread * 1000 + 60))
    assert len(found) == 240


def test_attributes_are_on_the_disk_when_the_call_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    file = AppendFile(PATH, sync="always", interval=3600)
    file.append("a", 1.0)
    file.set_attribute("a", "units", "m")

    with another_boot(monkeypatch):
        assert AppendReader(PATH).attributes("a") == {"units": "m"}
    with broken_fsync(), pytest.raises(OSError, match="Input/output"):
        file.set_attribute("a", "units", "km")
    file.set_attribute("a", "units", "km")
    file.close()
    assert AppendReader(PATH).attributes("a") == {"units": "km"}


def test_a_signal_handler_within_a_sync_is_refused_and_its_row_is_not_there() -> None:
    said = output(
        """
        import signal, time
        from holdfast.errors import StateError
        from holdfast.hdf5 import AppendFile

        file = AppendFile("x.h5", sync="always", interval=3600)
        taken, refused = 0, 0

        def handler(*_):
            global taken, refused
            try:
                file.append("b", float(taken))
                taken += 1
            except StateError:
                refused += 1
            # Not before: it would come within itself, between the row and its count.
            signal.setitimer(signal.ITIMER_REAL, 0.0007)

        file.append("a", 0.0)
        file.append("b", 0.0)
        taken = 1
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.0007)
        number, until = 1, time.monotonic() + 1
        while time.monotonic() < until or taken + refused <= 20:
            file.append("a", float(number))
            number += 1
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        file.close()
        print(number, taken)
        """
    )
    number, taken = said.split()

    with h5py.File(PATH) as plain:
        assert plain["a"][:].tolist() == list(range(int(number)))
        assert plain["b"][:].tolist() == list(range(int(taken)))


def test_a_row_refused_by_the_disk_is_still_refused_after_recovery() -> None:
    file = AppendFile(PATH, sync="always", interval=3600)
    file.append("a", 1.0)
    with broken_fsync(), pytest.raises(OSError, match="was not taken"):
        file.append("a", 2.0)
    image = {p.name: p.read_bytes() for p in FOLDER.iterdir()}
    file.close()
    Path("copy.h5-journal").mkdir()
    for name, content in image.items():
        Path("copy.h5-journal", name).write_bytes(content)

    assert recover("copy.h5").rows == {"a": 1}
    with pytest.raises(StateError):
        file.append("a", 3.0)
