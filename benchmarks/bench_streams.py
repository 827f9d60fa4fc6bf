"""Streams beside their peers and the physical limit, measured in one run.

    python benchmarks/bench_streams.py [--small] [--dir FOLDER]

Calls are timed one by one (median and p99.9) and all together, with checkpoints in the
background and the final close included (sustained). The limit is a list append for scalars and
an ``os.write`` of the same bytes for fields. Peers: h5py used the ordinary way (resize by one,
write, flush), and tensorboardX where it is installed.
"""

import argparse
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

Append = Callable[[int], object]


@dataclass(frozen=True)
class Timing:
    median: float
    p999: float
    sustained: float


def measure(append: Append, close: Callable[[], object], rows: int) -> Timing:
    """Time calls one by one in the first half, and the second half and the close as a whole."""
    clock = time.perf_counter_ns
    times = []
    for number in range(rows):
        start = clock()
        append(number)
        times.append(clock() - start)
    start = clock()
    for number in range(rows):
        append(number)
    close()
    total = clock() - start
    overhead = statistics.median(_empty_times())
    ordered = sorted(times)
    p999 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.999))]
    return Timing(statistics.median(times) - overhead, p999 - overhead, total / rows)


def _empty_times() -> list[int]:
    clock = time.perf_counter_ns
    times = []
    for _ in range(10_000):
        start = clock()
        times.append(clock() - start)
    return times


def show(name: str, timing: Timing, limit: Timing | None = None) -> None:
    ratio = "" if limit is None else f"{timing.median / limit.median:8.1f}x"
    total = "" if limit is None else f"{timing.sustained / limit.sustained:8.1f}x"
    print(
        f"  {name:<34}{timing.median / 1e3:10.2f}{ratio:>9}{timing.p999 / 1e3:10.2f}"
        f"{timing.sustained / 1e3:12.2f}{total:>9}"
    )


def head(title: str) -> None:
    print(f"\n{title}")
    print(f"  {'µs a row':<34}{'median':>10}{'ratio':>9}{'p99.9':>10}{'sustained':>12}{'ratio':>9}")


def holdfast_timing(
    folder: Path, values: list[Any], rows: int, names: int = 1, **options: Any
) -> tuple[Timing, int]:
    path = folder / "holdfast.h5"
    streams = Streams(path, "w", **options)
    for name in range(names):
        streams.append(f"s{name}", values[0])
    puts = [streams.appenders[f"s{name}"] for name in range(names)]
    count = len(values)

    def append(number: int) -> None:
        puts[number % names](values[number % count])

    timing = measure(append, streams.close, rows)
    return timing, path.stat().st_size


def facade_timing(folder: Path, value: Any, rows: int) -> Timing:
    streams = Streams(folder / "facade.h5", "w")
    streams.append("loss", value)
    return measure(lambda _: streams.append("loss", value), streams.close, rows)


def h5py_timing(folder: Path, values: list[Any], rows: int) -> Timing:
    file = h5py.File(folder / "h5py.h5", "w")
    first = np.asarray(values[0])
    data = file.create_dataset("s", (0, *first.shape), maxshape=(None, *first.shape), dtype="f8")

    def append(number: int) -> None:
        data.resize(len(data) + 1, axis=0)
        data[-1] = values[number % len(values)]
        file.flush()

    return measure(append, file.close, rows)


def tensorboard_timing(folder: Path, rows: int) -> Timing | None:
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        return None
    writer = SummaryWriter(str(folder / "tb"))
    return measure(lambda n: writer.add_scalar("loss", 1.5, n), writer.close, rows)


def write_timing(folder: Path, values: list[Any], rows: int) -> Timing:
    descriptor = os.open(folder / "raw", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    views = [memoryview(v) for v in values]
    timing = measure(
        lambda n: os.write(descriptor, views[n % len(views)]), lambda: os.close(descriptor), rows
    )
    (folder / "raw").unlink()
    return timing


def list_timing(rows: int) -> Timing:
    kept: list[float] = []
    return measure(lambda _: kept.append(1.5), lambda: None, rows)


def scalars(folder: Path, rows: int, slow_rows: int) -> None:
    head(f"scalar float64, {rows} rows twice")
    limit = list_timing(rows)
    show("list append (limit)", limit, limit)
    one, size = holdfast_timing(folder, [1.5], rows)
    show("holdfast, append of one stream", one, limit)
    show("holdfast, append(name, value)", facade_timing(folder, 1.5, rows), limit)
    twenty, _ = holdfast_timing(folder, [1.5], rows, names=20)
    show("holdfast, 20 names in turn", twenty, limit)
    packed, small = holdfast_timing(folder, [1.5], rows, compression="gzip")
    show("holdfast, gzip", packed, limit)
    board = tensorboard_timing(folder, slow_rows)
    if board is not None:
        show("tensorboardX add_scalar", board, limit)
    show("h5py resize, write, flush", h5py_timing(folder, [1.5], slow_rows), limit)
    print(f"  bytes a row on disk: {size / (2 * rows):.2f}, gzip {small / (2 * rows):.2f}")


def arrays(folder: Path, shape: tuple[int, ...], rows: int, slow_rows: int) -> None:
    head(f"float64 {shape}, {rows} rows twice")
    generator = np.random.default_rng(seed=0)
    values = [generator.normal(size=shape) for _ in range(8)]
    limit = write_timing(folder, values, rows)
    show("os.write (limit)", limit, limit)
    plain, _ = holdfast_timing(folder, values, rows)
    show("holdfast", plain, limit)
    packed, _ = holdfast_timing(folder, values, max(rows // 20, 10), compression="gzip")
    show("holdfast, gzip", packed, limit)
    show("h5py resize, write, flush", h5py_timing(folder, values, slow_rows), limit)


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

    def best(read: Callable[[], Any]) -> float:
        times = []
        for _ in range(5):
            start = time.perf_counter()
            read()
            times.append(time.perf_counter() - start)
        return min(times)

    def with_h5py() -> None:
        with h5py.File(path) as file:
            file["s"][:]

    plain = best(lambda: np.fromfile(raw))
    for name, seconds in (
        ("np.fromfile (limit)", plain),
        ("holdfast", best(lambda: StreamsReader(path)["s"][:])),
        ("h5py", best(with_h5py)),
    ):
        print(f"  {name:<34}{seconds * 1e3:10.2f} ms{seconds / plain:8.1f}x")


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
