"""A program that runs one recording and kills what it is told to, some time later.

A line on standard input is JSON: a folder, a seed, seconds, and whom to kill. The answer is JSON:
how many puts of each producer had returned, which the producers count in shared memory, after each.
"""

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

LANES = 4
"""Two processes of two threads each; threads of the parent are lanes 0 and 1."""


def payload(lane: int, number: int) -> bytes:
    return b"%d/%d" % (lane, number) + b"." * (number * 7 % 90)


def put_for_ever(logger: DataLogger, lane: int, accepted: memoryview, base: int) -> None:
    chance = random.Random(lane)  # noqa: S311 - a test to be repeated
    number = base
    while True:
        if chance.random() < 0.01:
            count = chance.randint(1, 300)
            numbers = range(number, number + count)
            logger.put_many(lane, list(numbers), [payload(lane, n) for n in numbers])
            number += count
        else:
            name = lane if number % 3 else f"lane{lane}"
            logger.put(name, number, payload(lane, number))
            number += 1
        accepted[lane] = number


def produce(logger: DataLogger, lanes: tuple[int, int], order: Any, accepted: memoryview) -> None:
    for lane in lanes:
        base = order["counts"][lane]
        threading.Thread(
            target=put_for_ever, args=(logger, lane, accepted, base), daemon=True
        ).start()


def record(order: dict[str, Any], accepted: memoryview, pids: memoryview) -> None:
    """Be the parent of a recording: start a logger and a producing child, and put, too."""
    logger = DataLogger(order["folder"], "rig", max_unsynced=order["max_unsynced"])
    logger.start()
    assert logger._process is not None
    pids[0] = logger._process.pid
    child = os.fork()
    if child == 0:
        produce(logger, (2, 3), order, accepted)
        time.sleep(60)
        os._exit(0)
    pids[1] = child
    produce(logger, (0, 1), order, accepted)
    time.sleep(60)


def kill_one(order: dict[str, Any], shared: mmap.mmap) -> list[int]:
    words = memoryview(shared).cast("Q")
    accepted, pids = words[:LANES], words[LANES : LANES + 2]
    for lane in range(LANES):
        accepted[lane] = order["counts"][lane]
    pids[0] = pids[1] = 0
    parent = os.fork()
    if parent == 0:
        try:
            record(order, accepted, pids)
        finally:
            os._exit(77)
    while not pids[1]:
        time.sleep(0.001)
    time.sleep(order["seconds"])
    everybody = {"logger": pids[0], "producer": pids[1], "parent": parent}
    for name in order["kill"]:
        os.kill(everybody[name], signal.SIGKILL)
        time.sleep(order["pause"])
    for pid in (parent, pids[1]):  # the rest, so that the next round begins anew
        os.kill(pid, signal.SIGKILL)
    os.waitpid(parent, 0)
    wait_for_end(pids)
    return list(accepted)


def wait_for_end(pids: memoryview) -> None:
    """Return when the logger and the producing child are gone; the child's lock is free then."""
    deadline = time.monotonic() + 30
    while any(lives(pid) for pid in pids):
        if time.monotonic() > deadline:
            raise SystemExit("a process stayed behind")
        time.sleep(0.002)


def lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rsplit(b")", 1)[1].split()[0] not in (b"Z", b"X")
    except OSError:
        return False


if __name__ == "__main__":
    memory = mmap.mmap(-1, 4096)
    for line in sys.stdin:
        print(json.dumps(kill_one(json.loads(line), memory)), flush=True)
