"""Streams beside their peers and the physical limit, measured in one run.

    python benchmarks/bench_streams.py [--small] [--dir FOLDER]

Calls are timed one by one (median and p99.9) and all together, with checkpoints in the
background and the final close, which syncs, included (sustained). The limit is a list append for
scalars; for fields an ``os.write`` of the same bytes, which leaves them in memory, and one with an
``fsync`` at the end. What is measured beside a limit takes turns with it; the least of each is
told. ``disk``: bytes that the disk wrote for each byte of the rows, by the end of the close.
Peers: h5py used the ordinary way (resize by one, write, flush), and tensorboardX where it is
installed.
"""

import argparse
import functools
import itertools
import math
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from holdfast.streams import Streams, StreamsReader

Call = tuple[Callable[[Any], object], Any]
"""A callable and what it is called with. All are timed in the same loops, so that none has more
around it than another."""

ROUNDS = 3


@dataclass(frozen=True)
class Timing:
    """Nanoseconds a row, and bytes that went to the disk for each byte of a row."""

    median: float
    p999: float
    sustained: float
    disk: float = math.nan


def measure(
    calls: list[Call], close: Callable[[], object], rows: int, folder: Path, row_bytes: int = 8
) -> Timing:
    """Time calls one by one in the first half, and the second half and the close as a whole."""
    clock = time.perf_counter_ns
    times = []
    written = bytes_written(folder)
    for append, value in itertools.islice(itertools.cycle(calls), rows):
        start = clock()
        append(value)
        times.append(clock() - start)
    start = clock()
    for append, value in itertools.islice(itertools.cycle(calls), rows):
        append(value)
    close()
    total = clock() - start
    written = bytes_written(folder) - written
    overhead = statistics.median(_empty_times())
    ordered = sorted(times)
    p999 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.999))]
    return Timing(
        statistics.median(times) - overhead,
        p999 - overhead,
        total / rows,
        written / (2 * rows * row_bytes),
    )


def _empty_times() -> list[int]:
    clock = time.perf_counter_ns
    times = []
    for _ in range(10_000):
        start = clock()
        times.append(clock() - start)
    return times


def bytes_written(folder: Path) -> float:
    """Return how much the disk of a folder has written so far, by everybody."""
    device = os.stat(folder).st_dev
    path = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat")
    try:
        return int(path.read_text().split()[6]) * 512
    except OSError:  # not a disk, or not Linux
        return math.nan


def in_turn(*ways: Callable[[], Timing]) -> list[Timing]:
    """Measure several ways in turn, and return the least of each.

    A machine that is used by others, and memory that a virtual one has to fetch first, make
    everything slower at times, but nothing faster.
    """
    rounds = [[way() for way in ways] for _ in range(ROUNDS)]
    return [
        Timing(
            min(t.median for t in times),
            min(t.p999 for t in times),
            min(t.sustained for t in times),
            min(t.disk for t in times),
        )
        for times in zip(*rounds, strict=True)
    ]


def show(name: str, timing: Timing, *limits: Timing) -> None:
    # A list append may take less than the clock can tell.
    ratio = "".join(f"{timing.median / limit.median:7.1f}x" for limit in limits[:1] if limit.median)
    total = "".join(f"{timing.sustained / limit.sustained:7.1f}x" for limit in limits)
    print(
        f"  {name:<30}{timing.median / 1e3:10.3f}{ratio:>8}{timing.p999 / 1e3:11.2f}"
        f"{timing.sustained / 1e3:12.3f}{total:>16}{timing.disk:9.2f}"
    )


def head(title: str) -> None:
    print(
        f"\n{title}\n  {'µs a row':<30}{'median':>10}{'ratio':>8}{'p99.9':>11}{'sustained':>12}"
        f"{'ratios':>16}{'disk':>9}"
    )


def holdfast_timing(
    folder: Path, values: list[Any], rows: int, names: int = 1, **options: Any
) -> Timing:
    path = folder / "holdfast.h5"
    path.unlink(missing_ok=True)
    streams = Streams(path, "w", **options)
    for name in range(names):
        streams.append(f"s{name}", values[0])
    puts = [streams.appenders[f"s{name}"] for name in range(names)]
    calls: list[Call] = list(zip(itertools.cycle(puts), values * names, strict=False))
    return measure(calls, streams.close, rows, folder, np.asarray(values[0]).nbytes)


def facade_timing(folder: Path, value: Any, rows: int) -> Timing:
    streams = Streams(folder / "facade.h5", "w")
    streams.append("loss", value)
    return measure(
        [(functools.partial(streams.append, "loss"), value)], streams.close, rows, folder
    )


def h5py_timing(folder: Path, values: list[Any], rows: int) -> Timing:
    file = h5py.File(folder / "h5py.h5", "w")
    first = np.asarray(values[0])
    data = file.create_dataset("s", (0, *first.shape), maxshape=(None, *first.shape), dtype="f8")

    def append(value: Any) -> None:
        data.resize(len(data) + 1, axis=0)
        data[-1] = value
        file.flush()

    return measure([(append, v) for v in values], file.close, rows, folder, first.nbytes)


def tensorboard_timing(folder: Path, rows: int) -> Timing | None:
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        return None
    writer = SummaryWriter(str(folder / "tb"))
    return measure(
        [(functools.partial(writer.add_scalar, "loss"), 1.5)], writer.close, rows, folder
    )


def write_timing(folder: Path, values: list[Any], rows: int, *, sync: bool = False) -> Timing:
    descriptor = os.open(folder / "raw", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    write = functools.partial(os.write, descriptor)

    def close() -> None:
        if sync:
            os.fsync(descriptor)
        os.close(descriptor)

    calls: list[Call] = [(write, memoryview(v)) for v in values]
    timing = measure(calls, close, rows, folder, values[0].nbytes)
    (folder / "raw").unlink()
    return timing


def list_timing(folder: Path, rows: int) -> Timing:
    kept: list[float] = []
    return measure([(kept.append, 1.5)], lambda: None, rows, folder)


def scalars(folder: Path, rows: int, slow_rows: int) -> None:
    head(f"scalar float64, {rows} rows twice; ratios to a list append")
    sizes = {}

    def file_of(**options: Any) -> Timing:
        timing = holdfast_timing(folder, [1.5], rows, **options)
        sizes[options.get("compression")] = (folder / "holdfast.h5").stat().st_size / (2 * rows)
        return timing

    limit, one, facade, twenty, packed = in_turn(
        lambda: list_timing(folder, rows),
        file_of,
        lambda: facade_timing(folder, 1.5, rows),
        lambda: holdfast_timing(folder, [1.5], rows, names=20),
        lambda: file_of(compression="gzip"),
    )
    show("list append (limit)", limit, limit)
    show("holdfast, append of one stream", one, limit)
    show("holdfast, append(name, value)", facade, limit)
    show("holdfast, 20 names in turn", twenty, limit)
    show("holdfast, gzip", packed, limit)
    board = tensorboard_timing(folder, slow_rows)
    if board is not None:
        show("tensorboardX add_scalar", board, limit)
    show("h5py resize, write, flush", h5py_timing(folder, [1.5], slow_rows), limit)
    print(f"  bytes a row in the file: {sizes[None]:.2f}, gzip {sizes['gzip']:.2f}")


def arrays(folder: Path, shape: tuple[int, ...], rows: int, slow_rows: int) -> None:
    head(f"float64 {shape}, {rows} rows twice; ratios to os.write, the second to one with fsync")
    generator = np.random.default_rng(seed=0)
    values = [generator.normal(size=shape) for _ in range(8)]
    raw, synced, plain = in_turn(
        lambda: write_timing(folder, values, rows),
        lambda: write_timing(folder, values, rows, sync=True),
        lambda: holdfast_timing(folder, values, rows),
    )
    show("os.write (limit)", raw, raw, synced)
    show("os.write, fsync (limit)", synced, raw, synced)
    show("holdfast", plain, raw, synced)
    packed = holdfast_timing(folder, values, max(rows // 20, 10), compression="gzip")
    show("holdfast, gzip", packed, raw, synced)
    show("h5py resize, write, flush", h5py_timing(folder, values, slow_rows), raw, synced)


def bulk_read(folder: Path, rows: int) -> None:
    print(f"\nread {rows} scalars back")
    path = folder / "read.h5"
    values = np.arange(float(rows))
    with Streams(path, "w") as streams:
        streams.append("s", 0.0)
        for value in values[1:]:
            streams.append("s", float(value))
    raw = folder / "raw.bin"
    values.tofile(raw)

    def with_h5py() -> None:
        with h5py.File(path) as file:
            file["s"][:]

    def opened_by_h5py() -> None:
        with h5py.File(path) as file:
            file["s"]

    open_stream = StreamsReader(path)["s"]
    ways: dict[str, Callable[[], object]] = {
        "np.fromfile (limit)": lambda: np.fromfile(raw),
        "holdfast, open and read": lambda: StreamsReader(path)["s"][:],
        "holdfast, read": lambda: open_stream[:],
        "holdfast, open": lambda: StreamsReader(path)["s"],
        "h5py, open and read": with_h5py,
        "h5py, open": opened_by_h5py,
    }
    best = dict.fromkeys(ways, math.inf)
    for _ in range(5 * ROUNDS):
        for name, read in ways.items():
            start = time.perf_counter()
            read()
            best[name] = min(best[name], time.perf_counter() - start)
    for name, seconds in best.items():
        ratio = seconds / best["np.fromfile (limit)"]
        print(f"  {name:<30}{seconds * 1e3:10.2f} ms{ratio:8.1f}x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a quick run, for tests")
    parser.add_argument("--dir", type=Path, default=Path(), help="a folder on the disk to measure")
    options = parser.parse_args()
    scale = 100 if options.small else 1
    folder = Path(tempfile.mkdtemp(prefix="bench-streams-", dir=options.dir))
    try:
        scalars(folder, 1_000_000 // scale, max(2000 // scale, 20))
        arrays(folder, (8,), 200_000 // scale, max(2000 // scale, 20))
        arrays(folder, (128, 128), 3000 // scale, max(300 // scale, 5))
        arrays(folder, (512, 512), max(400 // scale, 5), max(50 // scale, 5))
        bulk_read(folder, 1_000_000 // scale)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
