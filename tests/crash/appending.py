"""A program that forks an appending process for each line it reads, and kills it some time later.

A line is JSON: the file, a seed, microseconds, and how many rows each stream has by now. The answer
is JSON, too: how many rows each stream has whose calls had returned. The process counts them in
shared memory, after each call. It is forked from this one, which has everything imported and no
threads.
"""

import gc
import json
import mmap
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast.hdf5 import AppendFile, RowType

POINT = np.dtype([("n", "<i8"), ("half", "<f4"), ("tag", "S5")])
STREAMS = (
    "scalar",
    "vector",
    "deep/field",
    "point",
    "packed",
    "block",
    "late",
    "shared1",
    "shared2",
)
LONGEST_BLOCK = 700
THREADS = (1, 2)
NAMES = 12
"""How many names are made late, of one row each time; ``late`` counts their rows together."""


def shared_value(thread: int, number: int) -> int:
    return (thread << 40) + number


def rows(stream: str, start: int, stop: int) -> npt.NDArray[Any]:
    """Return rows by their numbers, as every one of their names has them."""
    numbers = np.arange(start, stop)
    if stream == "scalar":
        return numbers * 0.5
    if stream == "vector":
        return numbers[:, None] + np.arange(10.0)
    if stream == "deep/field":
        return numbers[:, None, None] + np.arange(64.0 * 64).reshape(64, 64)
    if stream == "point":
        points = np.zeros(len(numbers), POINT)
        points["n"], points["half"] = numbers, numbers % 1000 / 2
        points["tag"] = [b"r%d" % (number % 1000) for number in numbers]
        return points
    if stream == "packed":
        return (numbers[:, None] // 7 + np.arange(4)).astype("<i4")
    return numbers * 3


def late_name(number: int) -> str:
    return f"late/n{number % NAMES}"


class Program:
    """What one process appends until it is killed."""

    def __init__(self, order: dict[str, Any], accepted: memoryview) -> None:
        self.chance = random.Random(order["seed"])  # noqa: S311 - a test to be repeated
        self.counts = {name: int(order["counts"][name]) for name in STREAMS}
        self.accepted = accepted
        self.file = AppendFile(
            order["path"],
            interval=self.chance.choice([0.005, 0.02, 5]),
            journal_bytes=self.chance.choice([1 << 16, 1 << 18, 1 << 20]),
        )
        # Options are of the one that begins a dataset, and the same ones each time.
        self.file.stream("packed", RowType(np.dtype("<i4"), (4,)), compression="gzip")
        self.file.stream("scalar", RowType(np.dtype("<f8")), shuffle=True)

    def done(self, name: str, count: int = 1) -> None:
        self.counts[name] += count
        self.accepted[STREAMS.index(name)] = self.counts[name]

    def one(self, name: str) -> None:
        number = self.counts[name]
        self.file.append(name, rows(name, number, number + 1)[0])
        self.done(name)

    def block(self) -> None:
        start, count = self.counts["block"], self.chance.randint(1, LONGEST_BLOCK)
        self.file.extend("block", rows("block", start, start + count))
        self.done("block", count)

    def late(self) -> None:
        number = self.counts["late"]
        self.file.append(late_name(number), number)
        self.done("late")

    def attribute(self) -> None:
        self.file.set_attribute("scalar", "unit", f"V{'x' * self.chance.randint(0, 300)}")

    def in_thread(self, thread: int) -> None:
        name = f"shared{thread}"
        while True:
            self.file.append("shared", shared_value(thread, self.counts[name]))
            self.done(name)

    def for_ever(self) -> None:
        for thread in THREADS if self.chance.random() < 0.5 else ():
            threading.Thread(target=self.in_thread, args=(thread,), daemon=True).start()
        if self.chance.random() < 0.2:
            threading.Thread(target=collect_for_ever, daemon=True).start()
        acts: list[tuple[Callable[[], None], int]] = [
            (lambda: self.one("scalar"), 60),
            (lambda: self.one("vector"), 20),
            (lambda: self.one("deep/field"), 4),
            (lambda: self.one("point"), 10),
            (lambda: self.one("packed"), 20),
            (self.block, 3),
            (self.late, 1),
            (self.attribute, 1),
        ]
        while True:
            for act in self.chance.choices([a for a, _ in acts], [w for _, w in acts], k=50):
                act()
            if self.chance.random() < 0.01:
                self.file.checkpoint()


def collect_for_ever() -> None:
    while True:
        gc.collect()


def kill_one(order: dict[str, Any], shared: mmap.mmap) -> dict[str, int]:
    accepted = memoryview(shared).cast("Q")
    for index, name in enumerate(STREAMS):
        accepted[index] = order["counts"][name]
    pid = os.fork()
    if pid == 0:
        try:
            Program(order, accepted).for_ever()
        finally:
            os._exit(77)
    time.sleep(order["microseconds"] / 1e6)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if not os.WIFSIGNALED(status):
        raise SystemExit(f"the process ended by itself with {status}")
    return {name: accepted[index] for index, name in enumerate(STREAMS)}


if __name__ == "__main__":
    memory = mmap.mmap(-1, 4096)
    for line in sys.stdin:
        print(json.dumps(kill_one(json.loads(line), memory)), flush=True)
