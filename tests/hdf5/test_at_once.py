"""What happens at once: two closes, a stream begun while the file is closed, another's file."""

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from helpers import output
from holdfast.errors import AlreadyExistsError
from holdfast.hdf5 import AppendFile, AppendReader
from holdfast.hdf5._checkpoint import Checkpointer
from holdfast.journal import Block, JournalWriter
from journals import Writer, assert_whole, generations, snapshot

PATH = Path("x.h5")


def close_at(barrier: threading.Barrier, file: AppendFile) -> None:
    barrier.wait()
    file.close()


def test_threads_that_close_a_file_at_once_all_find_it_closed() -> None:
    for number in range(10):
        file = AppendFile(f"{number}.h5")
        for row in range(500):
            file.append("a", row)
        barrier = threading.Barrier(4)
        with ThreadPoolExecutor(4) as pool:
            closes = [pool.submit(close_at, barrier, file) for _ in range(4)]
        for close in closes:
            close.result()

        assert file.closed
        assert not Path(f"{number}.h5-journal").exists()
        with h5py.File(f"{number}.h5") as plain:
            np.testing.assert_array_equal(plain["a"][:], np.arange(500))


def test_a_stream_begun_by_a_signal_handler_while_the_file_is_closed_is_refused_or_kept() -> None:
    said = output(
        """
        import itertools, signal
        from holdfast.errors import HoldfastError
        from holdfast.hdf5 import AppendFile, AppendReader

        taken, within = [], [0]
        def handler(*_):
            if within[0] > 5:
                return  # or a slow machine would do nothing but begin handlers
            within[0] += 1
            try:
                number = next(numbers)  # a handler may be interrupted by the next
                file.append(f"late/{number}", number)
                taken.append(number)
                file.set_attribute("", f"k{number}", 1)
            except HoldfastError:
                pass
            finally:
                within[0] -= 1

        signal.signal(signal.SIGALRM, handler)
        refused = 0
        for round in range(30):
            taken.clear()
            numbers = itertools.count()
            file = AppendFile(f"{round}.h5")
            for number in range(3000):
                file.append("a", number)
            signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0003)
            file.close()
            signal.setitimer(signal.ITIMER_REAL, 0)
            reader = AppendReader(f"{round}.h5")
            assert reader.length("a") == 3000
            for number in taken:
                assert reader.read(f"late/{number}", 0, 1).tolist() == [number], (round, number)
            refused += len(taken) < 5
        print("done")
        """
    )

    assert said == "done"


def test_a_file_that_another_program_makes_meanwhile_is_left_alone_and_no_row_is_lost() -> None:
    file = AppendFile(PATH, interval=3600)
    file.append("a", 1.0)
    PATH.write_bytes(b"another program's")

    for call in (file.checkpoint, file.checkpoint, file.close):
        with pytest.raises(AlreadyExistsError, match="made by another program"):
            call()
    file.append("a", 2.0)
    assert PATH.read_bytes() == b"another program's"
    PATH.rename("theirs")
    file.close()

    assert Path("theirs").read_bytes() == b"another program's"
    assert AppendReader(PATH).read("a", 0, 2).tolist() == [1.0, 2.0]


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_a_file_made_in_the_instant_of_the_first_checkpoint_is_not_replaced(
    monkeypatch: pytest.MonkeyPatch, *, links: bool
) -> None:
    file = AppendFile(PATH, interval=3600)
    file.append("a", 1.0)
    link = os.link

    def late(source: Path, target: Path) -> None:
        if not target.exists():
            target.write_bytes(b"another program's")
        if not links:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        link(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", late)
        with pytest.raises(AlreadyExistsError, match="made by another program"):
            file.checkpoint()
    assert PATH.read_bytes() == b"another program's"
    PATH.unlink()
    file.close()
    assert AppendReader(PATH).read("a", 0, 1).tolist() == [1.0]


def test_a_generation_begun_in_vain_that_could_not_be_removed_is_in_nobodys_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writer = Writer()
    writer.define(1)
    writer.append(1, 5)

    def broken(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", broken)
        patch.setattr(os, "unlink", broken)
        with pytest.raises(OSError, match="Input/output"):
            writer.journal.rotate()
    assert generations() == ["00000001.journal", "00000002.journal"]

    writer.rotate()
    writer.append(1, 5)

    assert_whole(snapshot(), writer)
    writer.abandon()
    assert_whole(snapshot(), writer)


def test_hundreds_of_streams_in_a_small_journal_are_not_checkpointed_at_every_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given_up, carried = [], []
    run, carry = Checkpointer.run, JournalWriter.add_block

    def count(self: Checkpointer, *, final: bool, give_up: bool) -> None:
        given_up.append(give_up)
        run(self, final=final, give_up=give_up)

    def weigh(self: JournalWriter, *where: int, rows: int = 1, **options: Any) -> Block:
        carried.append(rows if options.get("carried") else 0)
        return carry(self, *where, rows=rows, **options)

    monkeypatch.setattr(Checkpointer, "run", count)
    monkeypatch.setattr(JournalWriter, "add_block", weigh)
    names, rounds, block = 300, 6, np.arange(500.0)
    with AppendFile(PATH, interval=3600, journal_bytes=64 << 10) as file:
        for _ in range(rounds):
            for name in range(names):
                file.extend(f"s{name}", block)

    assert 1 <= sum(given_up) <= 10
    assert sum(carried) <= 2 * names * rounds * len(block)
    reader = AppendReader(PATH)
    for stream in ("s0", "s299"):
        assert reader.read(stream, 0, 3000).tolist() == block.tolist() * rounds
