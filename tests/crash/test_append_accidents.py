"""What else befalls an appending program: forks, signals, an end without close, the collector."""

import random
import signal
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from helpers import end, output, python, start, wait_until
from holdfast.errors import StateError
from holdfast.hdf5 import AppendFile, AppendReader

PATH = Path("x.h5")


def assert_in_file(name: str, count: int) -> None:
    """Check that plain h5py finds rows numbered from 0, and that there is no journal."""
    assert not Path("x.h5-journal").exists()
    with h5py.File(PATH, "r") as file:
        np.testing.assert_array_equal(file[name][:], np.arange(count))


def test_a_child_forked_in_the_middle_is_refused_and_its_parent_loses_nothing() -> None:
    said = output(
        """
        import os
        import numpy as np
        from holdfast.errors import StateError
        from holdfast.hdf5 import AppendFile

        file = AppendFile("x.h5", interval=0.01, journal_bytes=1 << 16)
        calls = [
            lambda: file.append("a", -1), lambda: file.append("big", np.zeros(4000)),
            lambda: file.append("new", -1), lambda: file.extend("a", [-1, -2]),
            lambda: file.set_attribute("a", "k", 1), file.checkpoint, file.sync,
        ]
        number = 0
        children = []
        for _ in range(30):
            for _ in range(700):
                file.append("a", number)
                number += 1
                if number % 100 == 0:
                    file.append("big", np.full(4000, number, float))
            child = os.fork()
            if child == 0:
                refused = 0
                for call in calls:
                    try:
                        call()
                    except StateError:
                        refused += 1
                file.close()
                os._exit(refused)
            children.append(child)
        for child in children:
            _, status = os.waitpid(child, 0)
            assert os.waitstatus_to_exitcode(status) == len(calls), status
        file.close()
        print(number)
        """
    )

    assert_in_file("a", int(said))


def test_a_forked_child_that_ends_like_a_program_leaves_the_file_to_its_parent() -> None:
    said = output(
        """
        import os, sys
        from holdfast.hdf5 import AppendFile

        file = AppendFile("x.h5")
        for number in range(1000):
            file.append("a", number)
        if os.fork() == 0:
            sys.exit(0)
        assert os.wait()[1] == 0
        for number in range(1000, 2000):
            file.append("a", number)
        print(os.path.isdir("x.h5-journal"))
        """
    )

    assert said == "True"
    assert_in_file("a", 2000)


def test_interrupts_at_any_instant_lose_no_row_and_double_none() -> None:
    interrupts = 400
    program = start(
        """
        import sys
        import numpy as np
        from holdfast.hdf5 import AppendFile

        file = AppendFile("x.h5", interval=0.02, journal_bytes=1 << 20)
        accepted, number, interrupts = bytearray(1 << 24), 0, 0
        while interrupts < int(sys.argv[1]):
            try:
                print("ready", flush=True)  # here, so that each interrupt comes within the `try`
                while True:
                    number += 1
                    file.append("a", number)
                    file.append("v", np.full(50, float(number)))
                    accepted[number] = 1
                    if number % 5000 == 0:
                        file.checkpoint()
                    if number % 7000 == 0:
                        file.append(f"late/{number}", number)
            except KeyboardInterrupt:
                interrupts += 1
        file.close()
        np.savez("told.npz", accepted=np.flatnonzero(np.frombuffer(accepted, "u1")))
        """,
        interrupts,
    )
    assert program.stdout is not None
    chance = random.Random(1)  # noqa: S311 - a test to be repeated
    for number in range(interrupts):
        time.sleep(chance.random() * 0.004)
        program.send_signal(signal.SIGINT)
        assert program.stdout.readline() == "ready\n" or number == interrupts - 1
    assert end(program) == 0

    accepted = set(np.load("told.npz")["accepted"].tolist())
    assert len(accepted) > 1000
    with h5py.File(PATH, "r") as file:
        for found in (file["a"][:].tolist(), file["v"][:, 49].tolist()):
            assert found == sorted(set(found))
            assert accepted <= set(found)
            assert len(found) <= len(accepted) + interrupts
        assert (file["v"][:] == file["v"][:, :1]).all()


@pytest.mark.parametrize(
    ("last_line", "code"),
    [("", 0), ("sys.exit(3)", 3), ("raise ValueError", 1), ("del file", 0)],
    ids=["the script ends", "sys.exit", "an exception", "the file is forgotten"],
)
def test_a_program_that_ends_without_close_has_its_rows_in_the_file(
    last_line: str, code: int
) -> None:
    done = python(
        f"""
        import sys
        from holdfast.hdf5 import AppendFile
        file = AppendFile("x.h5", interval=0.05, journal_bytes=1 << 16)
        for number in range(20_000):
            file.append("a", number)
        {last_line}
        """
    )

    assert done.returncode == code
    assert_in_file("a", 20_000)


def test_threads_still_appending_when_the_program_ends_lose_no_accepted_row() -> None:
    said = output(
        """
        import threading, time
        from holdfast.errors import StateError
        from holdfast.hdf5 import AppendFile
        file = AppendFile("x.h5", interval=0.02, journal_bytes=1 << 16)
        counted = [0]

        def work():
            try:
                while True:
                    file.append("a", counted[0])
                    counted[0] += 1
            except StateError:
                pass

        threading.Thread(target=work, daemon=True).start()
        while counted[0] < 5000:
            time.sleep(0.001)
        file.close()
        time.sleep(0.05)
        print(counted[0])
        """
    )

    assert_in_file("a", int(said))


def test_threads_append_to_one_stream_and_each_finds_its_rows_in_its_order() -> None:
    output(
        """
        import gc, threading
        import numpy as np
        from holdfast.hdf5 import AppendFile

        file = AppendFile("x.h5", interval=0.02, journal_bytes=1 << 17)
        file.append("a", np.array([-1, -1]))
        running = True

        def collect():
            while running:
                gc.collect()

        def work(thread):
            for number in range(3000):
                file.append("a", np.array([thread, number]))
                if number % 1000 == 0:
                    file.append(f"late/{thread}/{number}", number)
                    file.set_attribute("a", f"k{thread}", number)

        collector = threading.Thread(target=collect)
        collector.start()
        workers = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        running = False
        collector.join()
        file.close()
        """
    )

    with h5py.File(PATH, "r") as file:
        rows = file["a"][1:]
        for thread in range(4):
            own = rows[rows[:, 0] == thread][:, 1]
            np.testing.assert_array_equal(own, np.arange(3000))
            assert file["a"].attrs[f"k{thread}"] == 2000
            assert [int(file[f"late/{thread}/{n}"][0]) for n in range(0, 3000, 1000)] == list(
                range(0, 3000, 1000)
            )
        assert len(rows) == 4 * 3000


@pytest.mark.parametrize("how", ["append", "extend", "array"])
def test_a_signal_handler_that_appends_is_refused_or_its_row_is_there(how: str) -> None:
    said = output(
        """
        import itertools, signal, sys, time
        import numpy as np
        from holdfast.errors import StateError
        from holdfast.hdf5 import AppendFile

        how = sys.argv[1]
        file = AppendFile("x.h5", interval=0.02)
        theirs, refused, numbers = [], 0, itertools.count(1)

        def row(number):
            return np.full(40, number) if how == "array" else number

        def handler(*_):
            global refused
            number = -next(numbers)
            try:
                file.append("a", row(number))
                theirs.append(number)
                file.append("b", number)
            except StateError:
                refused += 1
            signal.setitimer(signal.ITIMER_REAL, 0.001)  # not before: it would nest for ever

        file.append("a", row(0))
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        number, until = 1, time.monotonic() + 1.5
        while time.monotonic() < until or len(theirs) <= 50 or number <= 1000:
            count = 1 if how != "extend" else 1 + number % 300
            if how == "extend":
                file.extend("a", np.arange(number, number + count))
            else:
                file.append("a", row(number))
            number += count
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        file.close()
        np.savez("told.npz", theirs=theirs, number=number)
        print("done")
        """,
        how,
    )

    assert said == "done"
    told = np.load("told.npz")
    with h5py.File(PATH, "r") as file:
        found = file["a"][:]
        found = found[:, 17] if found.ndim == 2 else found
    np.testing.assert_array_equal(found[found >= 0], np.arange(told["number"]))
    assert sorted(found[found < 0].tolist()) == sorted(told["theirs"].tolist())


def test_a_file_is_closed_once_however_often_a_signal_handler_closes_it() -> None:
    said = output(
        """
        import signal
        from holdfast.hdf5 import AppendFile

        file = AppendFile("x.h5")
        for number in range(30_000):
            file.append("a", number)

        def handler(*_):
            try:
                file.close()
            except RuntimeError:
                pass

        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
        file.close()
        signal.setitimer(signal.ITIMER_REAL, 0)
        print("closed")
        """
    )

    assert said == "closed"
    assert_in_file("a", 30_000)


def test_interrupts_while_a_file_is_closed_leave_it_open_or_closed_and_whole() -> None:
    output(
        """
        import signal
        from holdfast.hdf5 import AppendFile

        def interrupt(*_):
            raise KeyboardInterrupt

        signal.signal(signal.SIGALRM, interrupt)
        for round in range(40):
            file = AppendFile("x.h5")
            for number in range(round * 500, round * 500 + 500):
                file.append("a", number)
            signal.setitimer(signal.ITIMER_REAL, 0.0001 * (round + 1))
            try:
                file.close()
                signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                pass
            file.close()
        """
    )

    assert_in_file("a", 20_000)


def test_a_reader_sees_right_rows_after_the_file_was_closed_and_opened_again() -> None:
    with AppendFile(PATH) as file:
        file.append("a", 0)
        reader = AppendReader(PATH)
        for number in range(1, 5000):
            file.append("a", number)
    with AppendFile(PATH) as file:
        for number in range(5000, 5010):
            file.append("a", number)

        reader.refresh()

        assert reader.length("a") == 5010
        np.testing.assert_array_equal(reader.read("a", 0, 5010), np.arange(5010))


def test_appending_after_close_is_refused() -> None:
    file = AppendFile(PATH)
    file.append("a", 0)
    file.close()

    with pytest.raises(StateError, match="closed"):
        file.append("a", 1)
    wait_until(lambda: not Path("x.h5-journal").exists())
    assert_in_file("a", 1)
