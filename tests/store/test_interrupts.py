"""Ctrl-C at any line of a launch: the run says what it is, and the same line launches it again."""

import dis
import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any, Self

import pytest

import holdfast
import store_work as work
from holdfast import Store, get

SOURCE = str(Path(holdfast.__file__).parent)


def test_ctrl_c_at_any_line_of_a_launch_leaves_a_run_that_can_be_launched(
    request: pytest.FixtureRequest,
) -> None:
    every = 3 if request.config.getoption("--campaign") else 61
    lines = Interrupt(0)
    with lines:
        get(work.prints, word="whole").launch()
    at, ended = 1, Counter[str]()
    while at < lines.seen:
        run = get(work.prints, word=str(at))
        stdout = sys.stdout
        try:
            with Interrupt(at) as interrupt:
                run.launch()
        except KeyboardInterrupt:
            pass
        assert sys.stdout is stdout, interrupt.place
        ended[run.reader.state if run.is_started() else "not begun"] += 1
        assert run.launch(timeout=0.0).is_finished(), interrupt.place
        assert run.output() == f"{at}\nto the other stream\n", interrupt.place
        at += every
    assert ended.keys() == {"not begun", "failed", "complete"}
    assert Store("storage").claims.identities() == []


class Interrupt:
    """Raises KeyboardInterrupt at the n-th line that Holdfast executes in a block."""

    def __init__(self, at: int) -> None:
        self.at, self.seen, self.place = at, 0, ""

    def __enter__(self) -> Self:
        self.before = sys.gettrace()
        sys.settrace(self.trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self.before)

    def trace(self, frame: FrameType, event: str, _: object) -> Any:
        if not frame.f_code.co_filename.startswith(SOURCE):
            return None
        self.seen += event == "line"
        reached = event == "line" and self.seen >= self.at > 0
        if reached and not finalising(frame) and not leaving(frame):
            self.place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
            sys.settrace(self.before)
            raise KeyboardInterrupt
        return self.trace


def finalising(frame: FrameType | None) -> bool:
    """Whether a `__del__` is running, of which Python reports exceptions and goes on."""
    while frame is not None and frame.f_code.co_name != "__del__":
        frame = frame.f_back
    return frame is not None


def leaving(frame: FrameType) -> bool:
    """Whether a ``with`` is about to call ``__exit__``, where Python lets no signal in.

    A tracer that raises there would leave the block's lock locked, as no Ctrl-C can.
    """
    code, at = frame.f_code, frame.f_lasti
    ahead = [
        opcode == dis.opmap["LOAD_CONST"] and code.co_consts[argument] is None
        for opcode, argument in zip(
            code.co_code[at : at + 10 : 2], code.co_code[at + 1 : at + 11 : 2], strict=False
        )
    ]
    # Three times None, at once or after a value to be returned was put aside.
    return any(all(ahead[i : i + 3]) for i in range(len(ahead) - 2))
