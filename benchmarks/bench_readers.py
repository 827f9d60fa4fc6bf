"""A writer's appends without and with four processes that follow it.

    python benchmarks/bench_readers.py [--rows N] [--dir FOLDER]

Asked is whether readers make the writer wait: by a lock, or by work that is put on it. So readers
are kept off the writer's core where there is another one, and look 50 times a second each, as who
follows does. Memory bandwidth and caches are shared all the same; what the readers' cores cost is
not counted.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from holdfast.streams import Streams

READERS, ROUNDS = 4, 3
FOLLOW = """
import sys, time
from holdfast.hdf5 import AppendReader
reader = AppendReader(sys.argv[1])
print("follows", flush=True)
while True:
    reader.refresh()
    length = reader.length("s")
    reader.read("s", max(length - 1000, 0), length)
    time.sleep(0.02)
"""


def keep_on(cores: set[int]) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


def follower(path: Path, cores: set[int]) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", FOLLOW, str(path)], stdout=subprocess.PIPE, text=True
    )
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(process.pid, cores)
    if process.stdout is not None:
        process.stdout.readline()
    return process


def measure(path: Path, rows: int, readers: int, cores: set[int]) -> tuple[float, float, float]:
    """Return the median and p99 of calls, and the whole by the row, in microseconds."""
    clock = time.perf_counter_ns
    streams = Streams(path, "w", interval=1.0)
    streams.append("s", 0.0)
    put = streams.appenders["s"]
    followers = [follower(path, cores) for _ in range(readers)]
    try:
        times = []
        for _ in range(rows):
            start = clock()
            put(1.5)
            times.append(clock() - start)
        start = clock()
        for _ in range(rows):
            put(1.5)
        total = clock() - start
    finally:
        for process in followers:
            process.kill()
            process.communicate()
    streams.close()
    times.sort()
    return statistics.median(times) / 1e3, times[int(rows * 0.99)] / 1e3, total / rows / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--dir", type=Path, default=Path())
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    others = set(cores[1:]) or set(cores)
    keep_on(set(cores[:1]))
    folder = Path(tempfile.mkdtemp(prefix="bench-readers-", dir=options.dir))
    found: dict[int, list[tuple[float, float, float]]] = {0: [], READERS: []}
    try:
        for _ in range(ROUNDS):  # in turn, so that what else the machine does meets both
            for readers, results in found.items():
                results.append(measure(folder / "x.h5", options.rows, readers, others))
    finally:
        shutil.rmtree(folder)
    print(f"{'µs a row':<12}{'alone':>10}{f'{READERS} readers':>12}{'ratio':>8}")
    columns = zip(*(zip(*results, strict=True) for results in found.values()), strict=True)
    for name, (alone, read) in zip(("median", "p99", "sustained"), columns, strict=True):
        one, two = statistics.median(alone), statistics.median(read)
        print(f"{name:<12}{one:>10.3f}{two:>12.3f}{two / one:>8.2f}")


if __name__ == "__main__":
    main()
