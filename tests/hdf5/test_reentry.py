"""A signal handler or a finaliser comes in the middle: wherever it does, no row is lost or doubled.

The interpreter lets them in after calls and at jumps. A tracer of instructions stands for them, so
that each place is met.
"""

import contextlib
import dis
import itertools
import os
import random
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np
import pytest

from holdfast.errors import StateError
from holdfast.hdf5 import AppendFile, AppendReader, RowType

LETS_IN = {"CALL", "CALL_KW", "CALL_FUNCTION_EX", "RESUME", "JUMP_BACKWARD"}
FILES = ("_file.py", "_stream.py", "_engine.py", "_writer.py", "_checkpoint.py")


@cache
def places(code: CodeType) -> frozenset[int]:
    """Return the instructions before which a handler may come."""
    steps = list(dis.get_instructions(code))
    return frozenset(b.offset for a, b in itertools.pairwise(steps) if a.opname in LETS_IN)


@dataclass
class Handler:
    """Does something at the `at`-th place, once."""

    at: int
    do: Callable[[], object] = print
    armed: bool = False
    seen: int = 0
    place: str = ""

    def enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        if Path(frame.f_code.co_filename).name not in FILES:
            return None
        frame.f_trace_opcodes = True
        return self.step

    def step(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "opcode" and self.armed and frame.f_lasti in places(frame.f_code):
            self.seen += 1
            if self.seen == self.at:
                self.armed = False
                self.place = f"{frame.f_code.co_name}, line {frame.f_lineno}"
                self.do()
        return self.step


@contextmanager
def coming(handler: Handler) -> Iterator[None]:
    before = sys.gettrace()
    sys.settrace(handler.enter)
    try:
        yield
    finally:
        sys.settrace(before)


def use(handler: Handler, kind: RowType, what: str) -> None:
    """Append, give the journal up, append, close; a handler comes somewhere. Check all rows."""
    before = threading.gettrace()
    threading.settrace(handler.enter)  # the HDF5 thread, too, may run a finaliser
    try:
        file = AppendFile("x.h5", interval=3600, journal_bytes=1 << 12)
    finally:
        threading.settrace(before)
    stream = file.stream("x", kind)
    ours, theirs = itertools.count(1), itertools.count(1)
    accepted: list[float] = []

    def append(number: float) -> None:
        stream.append(np.full(kind.shape, number, kind.dtype)[()])
        accepted.append(number)

    def come() -> None:
        with contextlib.suppress(StateError):  # it is refused, and nothing has happened
            if what == "append":
                append(-next(theirs))
            else:
                getattr(file, what)()

    handler.do = come
    with contextlib.suppress(StateError), coming(handler):  # the handler may have closed the file
        append(next(ours))
        handler.armed = True
        append(next(ours))
        several = [next(ours) for _ in range(max(2, (12 << 10) // kind.nbytes))]
        stream.extend(np.stack([np.full(kind.shape, n, kind.dtype) for n in several]))
        accepted.extend(several)
        file.checkpoint()
        append(next(ours))
        file.close()
    handler.armed = False
    file.close()
    with pytest.raises(StateError):
        append(next(ours))
    reader = AppendReader("x.h5")
    rows = reader.read("x", 0, reader.length("x")).reshape(reader.length("x"), -1)
    assert (rows == rows[:, :1]).all()
    assert sorted(rows[:, 0]) == sorted(accepted)
    assert (np.diff(rows[rows[:, 0] > 0, 0]) > 0).all()


@pytest.mark.parametrize("what", ["append", "checkpoint", "close"])
@pytest.mark.parametrize("shape", [(), (3,), (3000,)], ids=["scalar", "vector", "large"])
def test_wherever_a_handler_comes_no_row_is_lost_or_doubled_and_nobody_waits_for_ever(
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    what: str,
    shape: tuple[int, ...],
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    step = 1 if request.config.getoption("--campaign", default=False) else 37
    start = random.Random(os.urandom(4)).randrange(step)  # noqa: S311 - the campaign takes all
    for at in itertools.count(1 + start, step):
        handler = Handler(at)
        try:
            use(handler, RowType(np.dtype("f8"), shape), what)
        except Exception as error:
            error.add_note(f"the handler came at place {at}: {handler.place}")
            raise
        if not handler.place:
            break
        os.unlink("x.h5")
    assert at > 400


def test_wherever_a_handler_uses_a_stream_that_is_being_begun_both_rows_are_there_or_one_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    with AppendFile("x.h5", interval=3600) as file:
        accepted: dict[str, list[float]] = {}

        def append(name: str, number: float) -> None:
            file.append(name, number)
            accepted.setdefault(name, []).append(number)

        for at in itertools.count(1):
            name = f"new{at}"

            def come(name: str = name) -> None:
                with contextlib.suppress(StateError):
                    append(name, -1.0)

            handler = Handler(at, come, armed=True)
            with coming(handler):
                append(name, 1.0)
            if not handler.place:
                break
    assert at > 50
    reader = AppendReader("x.h5")
    for name, numbers in accepted.items():
        assert sorted(reader.read(name, 0, reader.length(name))) == sorted(numbers), name
