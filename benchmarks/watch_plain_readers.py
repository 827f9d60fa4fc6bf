"""Count how plain HDF5 readers fare beside a writer at full speed.

    python benchmarks/watch_plain_readers.py [--seconds 60] [--interval 5] [--every 1] [--dir DIR]

Every so often a plain ``h5py.File(path, "r")``, and ``h5ls`` where it is installed, open the
file that another process appends to. Counted are reads that succeed, reads that are stale (they
show no row more than a checkpoint interval and a second ago did), and failures.
"""

import argparse
import multiprocessing
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import h5py

from holdfast.streams import Streams, StreamsReader


def write(path: Path, interval: float, stop: Any) -> None:
    with Streams(path, "w", interval=interval) as streams:
        number = 0
        while not stop.is_set():
            for _ in range(1000):
                streams.append("x", float(number))
                number += 1
            time.sleep(0.001)


def plain_read(path: Path) -> int | None:
    """Return how many rows h5py sees, None if it fails or sees wrong ones."""
    try:
        with h5py.File(path, "r") as file:
            length = len(file["x"])
            right = file["x"][length - 1] == length - 1 and file["x"][length // 2] == length // 2
    except (OSError, KeyError, RuntimeError, ValueError):
        return None
    return length if right else None


def listing_works(path: Path) -> bool:
    done = subprocess.run(["h5ls", str(path)], capture_output=True, timeout=60, check=False)
    return done.returncode == 0 and b"Dataset" in done.stdout


def watch(path: Path, seconds: float, interval: float, every: float) -> Counter[str]:
    counts: Counter[str] = Counter()
    history: list[tuple[float, int]] = []
    h5ls = shutil.which("h5ls")
    reader = StreamsReader(path)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        now = time.monotonic()
        history.append((now, len(reader["x"])))
        expected = max((n for at, n in history if at < now - interval - 1), default=0)
        length = plain_read(path)
        counts["h5py opens"] += 1
        counts["h5py failed"] += length is None
        counts["h5py stale"] += length is not None and length < expected
        if h5ls:
            counts["h5ls runs"] += 1
            counts["h5ls failed"] += not listing_works(path)
        time.sleep(max(0.0, now + every - time.monotonic()))
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--interval", type=float, default=5)
    parser.add_argument("--every", type=float, default=1)
    parser.add_argument("--dir", type=Path, default=Path())
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="watch-", dir=options.dir))
    path = folder / "live.h5"
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    writer = context.Process(target=write, args=(path, options.interval, stop))
    writer.start()
    try:
        while not path.exists():
            time.sleep(0.01)
        counts = watch(path, options.seconds, options.interval, options.every)
        for name, count in counts.items():
            print(f"{name:<14}{count:8d}")
    finally:
        stop.set()
        writer.join()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
