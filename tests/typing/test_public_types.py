"""What a user's type checker sees; mypy reads this file, and pytest runs it."""

from pathlib import Path
from typing import Any, assert_type

import numpy as np

from holdfast import Logbook, LogLine, LogReader


def test_the_types_of_a_logbook_are_what_its_documentation_says() -> None:
    with Logbook("a", params={"x": 1}) as log:
        assert_type(log, Logbook)
        assert_type(log.params(y=2), dict[str, Any])
        assert_type(log["data/x"], Path)
        assert_type(log.elapsed, float)
        assert_type(log.run_id, str)
        log.array("x", [1, 2])
        log.arrays("b", compressed=False, x=np.zeros(3), y=[1.0])
        log.bytes("raw.bin", memoryview(b"x"))
        log.save_bytes("raw2.bin", b"x")
        log.save_json("m", {"a": 1})
        log.note("x", level=20)
    assert_type(log.status, str)


def test_the_types_of_a_reader_are_what_its_documentation_says() -> None:
    Logbook("a").array("x", [1])
    run = LogReader("outputs/log_a")
    assert_type(run.params, dict[str, Any])
    assert_type(run.arrays, list[str])
    assert_type(run.load_array("x"), "np.ndarray[Any, np.dtype[Any]]")
    assert_type(run.log_lines(), list[LogLine])
    assert_type(run.attempts, list[LogReader])
    assert run.state in ("running", "interrupted", "complete", "failed")


def test_wrong_arguments_are_seen_by_the_type_checker() -> None:
    """mypy reports an ignored error that is none, so each line here is checked too."""
    try:
        Logbook("a", sync="sometimes")  # type: ignore[arg-type]
    except ValueError:
        pass
    else:
        raise AssertionError
