"""Scalars are appended without a lock: nothing comes between a row, its number and its count."""

import dis
import itertools
import sys
import threading
import time
from types import FrameType
from typing import Any

import numpy as np
import pytest

from helpers import output
from holdfast.errors import InvalidInputError
from holdfast.hdf5 import AppendFile, AppendReader, RowType

CALM = {
    "LOAD_FAST", "LOAD_DEREF", "STORE_DEREF", "LOAD_CONST", "LOAD_SMALL_INT", "BINARY_OP", "SWAP",
    "STORE_SUBSCR", "COPY", "NOP", "NOT_TAKEN", "LOAD_FAST_BORROW", "LOAD_FAST_CHECK",
}  # fmt: skip
"""Instructions after which CPython does not look whether a thread or a signal is waiting."""


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="elsewhere there is a lock")
@pytest.mark.parametrize("dtype", ["f8", "f4", "i8", "u1", "?"])
def test_nothing_that_is_called_or_jumped_to_comes_between_a_row_and_its_count(dtype: str) -> None:
    with AppendFile("x.h5") as file:
        append: Any = file.stream("x", RowType(np.dtype(dtype))).append
    code = list(dis.get_instructions(append))
    stores = [number for number, step in enumerate(code) if step.opname == "STORE_SUBSCR"]
    counted = [
        number
        for number, step in enumerate(code)
        if step.opname == "STORE_DEREF" and step.argval == "row"
    ]
    assert len(stores) == 2
    assert len(counted) == 1
    between = code[stores[0] : counted[0] + 1]
    assert {step.opname for step in between} <= CALM
    # What is loaded before must be loaded in the same go, too: the number of the row.
    first_load = next(n for n, step in enumerate(code) if step.argval == "row")
    assert first_load < stores[0]
    assert {step.opname for step in code[first_load : counted[0] + 1]} <= CALM
    assert len({step.positions.lineno for step in code[first_load : counted[0] + 1]}) == 1  # type: ignore[union-attr]


def check_rows(rows: Any, threads: int) -> list[int]:
    """Check that each thread's rows are there from its first on, in order; return how many."""
    counts = []
    for thread in range(threads):
        own = rows[rows >> 40 == thread] & ((1 << 40) - 1)
        np.testing.assert_array_equal(own, np.arange(len(own)))
        counts.append(len(own))
    assert sum(counts) == len(rows)
    return counts


def test_threads_hammer_one_stream_while_a_reader_and_checkpoints_look_on() -> None:
    threads, each = 4, 60_000
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with AppendFile("x.h5", interval=0.02, journal_bytes=1 << 17) as file:
            stream = file.stream("x", RowType(np.dtype("i8")))
            start = threading.Barrier(threads)

            def work(thread: int) -> None:
                start.wait()
                for number in range(each):
                    stream.append((thread << 40) + number)

            workers = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
            for worker in workers:
                worker.start()
            looks = 0
            reader: AppendReader | None = None
            while any(worker.is_alive() for worker in workers):
                if reader is None:
                    reader = AppendReader("x.h5")
                reader.refresh()
                check_rows(reader.read("x", 0, reader.length("x")), threads)
                looks += 1
            assert looks > 2
    finally:
        sys.setswitchinterval(interval)
    rows = AppendReader("x.h5").read("x", 0, threads * each)
    assert check_rows(rows, threads) == [each] * threads


def test_threads_that_are_traced_line_by_line_lose_and_double_no_row() -> None:
    """A debugger's tracer is Python between two lines, where another thread may come in."""
    threads, each = 3, 400
    with AppendFile("x.h5", journal_bytes=1 << 14, interval=0.05) as file:
        stream = file.stream("x", RowType(np.dtype("i8")))

        def tracer(frame: FrameType, event: str, argument: Any) -> Any:
            if frame.f_code.co_name == "append":
                time.sleep(0)
            return tracer

        def work(thread: int) -> None:
            for number in range(each):
                stream.append((thread << 40) + number)

        before = threading.gettrace()
        threading.settrace(tracer)
        try:
            workers = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
        finally:
            threading.settrace(before)
    rows = AppendReader("x.h5").read("x", 0, threads * each)
    assert check_rows(rows, threads) == [each] * threads


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_signal_handler_that_appends_scalars_is_hardly_ever_refused(name: str) -> None:
    """Nor does it wait for a checkpoint that waits for what it has interrupted."""
    said = output(
        """
        import signal, sys, time
        import numpy as np
        from holdfast.errors import StateError
        from holdfast.hdf5 import AppendFile

        file = AppendFile("x.h5", interval=0.02, journal_bytes=1 << 17)
        name = sys.argv[1]
        file.append("a", 0.0)
        theirs, refused = 0, 0

        def handler(*_):
            global theirs, refused
            try:
                file.append(name, -1.0 - theirs)
                theirs += 1
            except StateError:
                refused += 1
            if not ended:
                signal.setitimer(signal.ITIMER_REAL, 0.0001)

        ended = False
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.0001)
        until, number = time.monotonic() + 1.5, 0
        while time.monotonic() < until or theirs <= 50:
            for _ in range(100):
                number += 1
                file.append("a", float(number))
        ended = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        file.close()
        np.savez("told.npz", theirs=theirs, number=number)
        print(theirs > 2 * refused)
        """,
        name,
    )

    assert said == "True"
    told = np.load("told.npz")
    reader = AppendReader("x.h5")
    rows = np.concatenate([reader.read(n, 0, reader.length(n)) for n in reader.names])
    np.testing.assert_array_equal(rows[rows >= 0], np.arange(told["number"] + 1))
    np.testing.assert_array_equal(rows[rows < 0], -1 - np.arange(told["theirs"]))


@pytest.mark.parametrize("dtype", ["i1", "u2", "i8", "f8", "f4"])
def test_a_number_that_does_not_fit_is_refused_and_leaves_no_trace(dtype: str) -> None:
    with AppendFile("x.h5") as file:
        stream = file.stream("x", RowType(np.dtype(dtype)))
        for number in itertools.chain(range(5), [np.dtype(dtype).type(5)]):
            stream.append(number)
        with pytest.raises(InvalidInputError):
            stream.append(10**400)
        stream.append(6)
        assert stream.length == 7
    assert AppendReader("x.h5").read("x", 0, 7).tolist() == list(range(7))
