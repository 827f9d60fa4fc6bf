"""Loggers: their start and stop, their process, and several of them."""

import os
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import output, wait_until
from holdfast import (
    DataLogger,
    InvalidInputError,
    LogPackage,
    StateError,
)
from holdfast.acquisition import _watchdog
from holdfast.acquisition._block import Block
from holdfast.acquisition._service import Service
from messages import texts


def test_messages_put_before_start_and_after_a_restart_are_kept() -> None:
    logger = DataLogger("out", "rig")
    logger.put(1, 1, b"before")
    logger.start()
    logger.put(1, 2, b"running")
    logger.stop()
    logger.start()
    logger.put(1, 3, b"again")
    logger.stop()
    logger.stop()
    assert texts(logger, 1) == [b"before", b"running", b"again"]


def test_a_logger_lives_between_start_and_stop_and_leaves_no_process() -> None:
    logger = DataLogger(Path("out"), "rig", thread_count=3, poll_interval=0)
    assert (logger.alive, logger.name) == (False, "rig")
    assert logger.output_directory == Path("out/rig_data_log").absolute()
    logger.start()
    logger.start()
    assert logger.alive
    pid = pid_of(logger)
    logger.stop()
    assert not runs(pid)
    assert logger._process is None


def test_after_stop_a_put_is_refused_with_the_remedy() -> None:
    with DataLogger("out", "rig") as logger:
        logger.put(1, 1, b"x")
    refused = pytest.raises(StateError, match=r"stopped.*start")
    with refused:
        logger.put(1, 2, b"y")
    with refused:
        logger.input_queue.put(LogPackage(np.uint8(1), np.uint64(2), np.zeros(1, np.uint8)))
    with refused:
        logger.put_many(1, [2], [b"y"])
    assert texts(logger, 1) == [b"x"]


def test_a_program_that_ends_without_stop_loses_nothing_and_leaves_no_process() -> None:
    pid = output(
        """
        from holdfast import DataLogger
        logger = DataLogger("out", "rig")
        logger.start()
        for number in range(5000):
            logger.put(1, number, b"%d" % number)
        print(logger._process.pid)
        """
    )
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)
    assert texts(DataLogger("out", "rig"), 1) == [b"%d" % number for number in range(5000)]


def test_a_killed_logger_process_is_started_again_and_nothing_is_lost() -> None:
    with DataLogger("out", "rig") as logger:
        for number in range(3):
            pid = pid_of(logger)
            logger.put(1, number, b"%d" % number)
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: pid != pid_of(logger) and logger.alive)  # noqa: B023 - called now
    assert texts(logger, 1) == [b"0", b"1", b"2"]


def test_the_logger_process_ends_when_its_parent_is_killed() -> None:
    pid = output(
        """
        import os, signal, subprocess, sys
        program = (
            "import os, signal; from holdfast import DataLogger; l = DataLogger('out', 'rig');"
            "l.start(); l.put(1, 1, b'kept'); print(l._process.pid, flush=True);"
            "os.kill(os.getpid(), signal.SIGKILL)"
        )
        print(subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE,
                             text=True).stdout)
        """
    )
    wait_until(lambda: not runs(int(pid)))
    assert texts(DataLogger("out", "rig"), 1) == [b"kept"]


def pid_of(logger: DataLogger) -> int:
    assert logger._process is not None
    return logger._process.pid


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"instance_name": "a/b"}, "separator"),
        ({"instance_name": ""}, "empty"),
        ({"instance_name": "a", "thread_count": 0}, "thread_count.*0"),
        ({"instance_name": "a", "poll_interval": -1}, "poll_interval.*-1"),
        ({"instance_name": "a", "max_unsynced": "big"}, "max_unsynced.*'big'"),
    ],
)
def test_wrong_settings_are_named(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        DataLogger("out", **keywords)


def test_a_block_that_is_ready_after_a_stop_and_a_start_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stopped = threading.Event()
    monkeypatch.setattr(Block, "populate", lambda block: stopped.wait())
    logger = DataLogger("out", "rig")
    logger.start()
    rows = np.zeros((6000, 64), np.uint8)
    logger.put_many(1, range(6000), rows)  # a block is in the making for this thread
    (lane,) = logger.producer._lanes
    assert lane.awaits
    logger.stop()
    logger.start()
    stopped.set()
    wait_until(lambda: not lane.awaits)
    logger.put_many(1, range(6000), rows)
    Service(logger.output_directory).round(sync=True)
    logger.stop()
    assert len(texts(logger, 1)) == 12_000


def test_loggers_of_one_name_in_two_folders_do_not_meet() -> None:
    with DataLogger("a", "rig") as first, DataLogger("b", "rig") as second:
        first.put(1, 1, b"first")
        second.put(1, 1, b"second")
        assert first.alive
        assert second.alive
    assert texts(first, 1) == [b"first"]
    assert texts(second, 1) == [b"second"]


def test_two_loggers_in_one_folder_keep_the_messages_of_both() -> None:
    with DataLogger("out", "rig") as first, DataLogger("out", "rig") as second:
        for number in range(100):
            first.put(1, number, b"first")
            second.put(1, number, b"second")
    assert sorted(texts(first, 1)) == [b"first"] * 100 + [b"second"] * 100


def test_blocks_are_sealed_and_cut_while_the_logger_runs() -> None:
    with DataLogger("out", "rig", max_unsynced=1 << 20) as logger:
        for number in range(60_000):
            logger.put(1, number, bytes(64))
    blocks = list(logger.output_directory.glob("producer-*/*.block"))
    assert len(blocks) > 3
    size = sum(path.stat().st_size for path in blocks)
    assert size < 60_000 * 80 * 1.5
    assert len(texts(logger, 1)) == 60_000


def test_a_logger_process_that_dies_at_once_each_time_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_watchdog, "_PROGRAM", "import sys; sys.exit(7)")
    monkeypatch.setattr(_watchdog, "_WITHIN", 600.0)  # processes may be slow to start
    logger = DataLogger("out", "rig")
    logger.start()
    wait_until(lambda: not logger.alive and logger.producer.problem is not None)
    with pytest.raises(OSError, match=r"^the logger process died again and again.*code 7.*kept"):
        logger.put(1, 1, b"refused")
    logger.put(1, 2, b"kept")
    with pytest.raises(OSError, match="again and again"):
        logger.stop()
    assert texts(logger, 1) == [b"kept"]


def test_what_a_logger_process_says_that_nobody_foresaw_is_told_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_watchdog, "_PROGRAM", "print('no JSON', flush=True); input()")
    logger = DataLogger("out", "rig")
    logger.start()
    wait_until(lambda: logger.producer.problem is not None)
    with pytest.raises(OSError, match=r"^the logger process said 'no JSON'"):
        logger.stop()
