"""A program that runs recordings and kills their processes, one after the other.

A line on standard input is JSON: the folder, the first lane, seconds before each kill and who is
killed then. The answer is JSON: how many puts of each lane had returned, which the producers count
in shared memory, after each. A lane is a thread of one process; no two processes share one.
"""

import contextlib
import ctypes
import json
import mmap
import os
import random
import signal
import sys
import threading
import time
from typing import Any

from holdfast import DataLogger

MOST_LANES = 64
SOURCES = 4
_PR_SET_CHILD_SUBREAPER = 36


def payload(lane: int, number: int) -> bytes:
    return b"%d/%d" % (lane, number) + b"." * (number * 7 % 90)


def put_for_ever(logger: DataLogger, lane: int, accepted: memoryview) -> None:
    """Put messages 0, 1, 2 … whose time is the lane and the number."""
    chance = random.Random(lane)  # noqa: S311 - a test to be repeated
    number, source, first = 0, lane % SOURCES, lane << 32
    while True:
        if chance.random() < 0.01:
            numbers = range(number, number + chance.randint(1, 300))
            times = [first + n for n in numbers]
            logger.put_many(source, times, [payload(lane, n) for n in numbers])
            number = numbers.stop
        else:
            name = source if number % 3 else f"source{source}"
            logger.put(name, first + number, payload(lane, number))
            number += 1
        accepted[lane % MOST_LANES] = number


class Recording:
    """The parent of a recording: puts, has a child that puts, and replaces those that are killed.

    Parameters
    ----------
    order : dict
        What the program was told.
    shared : memoryview of words
        Accepted messages of each lane, then the pids of the logger process and of the child.
    """

    def __init__(self, order: dict[str, Any], shared: memoryview) -> None:
        self._accepted, self._pids = shared[:MOST_LANES], shared[MOST_LANES:]
        self._next_lane = order["lane"]
        self._logger = DataLogger(order["folder"], "rig", max_unsynced=order["max_unsynced"])
        self._logger.start()

    def run(self) -> None:
        self._begin_child()
        self._begin_threads(self._lanes())
        while True:
            if os.waitpid(self._pids[1], os.WNOHANG)[0]:
                self._begin_child()
            assert self._logger._process is not None
            self._pids[0] = self._logger._process.pid
            time.sleep(0.001)

    def _lanes(self) -> tuple[int, int]:
        self._next_lane += 2
        return self._next_lane - 2, self._next_lane - 1

    def _begin_child(self) -> None:
        lanes = self._lanes()
        child = os.fork()
        if child == 0:
            self._begin_threads(lanes)
            time.sleep(60)
            os._exit(0)
        self._pids[1] = child

    def _begin_threads(self, lanes: tuple[int, int]) -> None:
        for lane in lanes:
            arguments = (self._logger, lane, self._accepted)
            threading.Thread(target=put_for_ever, args=arguments, daemon=True).start()


def kill_some(order: dict[str, Any], shared: memoryview) -> list[int]:
    for place in range(MOST_LANES + 2):
        shared[place] = 0
    pids = shared[MOST_LANES : MOST_LANES + 2]
    parent = os.fork()
    if parent == 0:
        os.setpgid(0, 0)
        try:
            Recording(order, shared).run()
        finally:
            os._exit(77)
    while not pids[0]:
        time.sleep(0.001)
    for seconds, name in order["kills"]:
        time.sleep(seconds)
        kill({"logger": pids[0], "producer": pids[1], "parent": parent}[name])
    os.killpg(parent, signal.SIGKILL)  # with children that it has just begun; not the logger
    wait_for_end()
    return list(shared[:MOST_LANES])


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # killed before
        os.kill(pid, signal.SIGKILL)


def adopt_orphans() -> None:
    """Become the parent of all processes below whose own parent dies."""
    assert ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def wait_for_end() -> None:
    """Return when no process is left, be it one that nobody knew of."""
    deadline = time.monotonic() + 150
    with contextlib.suppress(ChildProcessError):
        while True:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.001)
            if time.monotonic() > deadline:
                raise SystemExit("a process stayed behind")


if __name__ == "__main__":
    adopt_orphans()
    memory = memoryview(mmap.mmap(-1, 4096)).cast("Q")
    for line in sys.stdin:
        print(json.dumps(kill_some(json.loads(line), memory)), flush=True)
