"""Jobs, checksums, transfers and YAML beside ataraxis-data-structures and the machine's limits.

``python benchmarks/bench_pipelines.py [--small] [--dir FOLDER] [--peer PYTHON]``

PYTHON is an interpreter whose ataraxis-data-structures has a ProcessingTracker and a directory
checksum; without one, the peer's figures are left out.
Data go into a temporary folder on the disk that holds FOLDER, and are removed. Each figure is
a median; times of the peer are taken in a process of its own, in the same run.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import xxhash

from holdfast import (
    ProcessingTracker,
    YamlConfig,
    _sync,
    calculate_directory_checksum,
    transfer_directory,
)

FRESH = """
import sys, time
from pathlib import Path
from holdfast.jobs import ProcessingTracker
begin = time.perf_counter()
ProcessingTracker(Path(sys.argv[1])).start_job(sys.argv[2])
print(time.perf_counter() - begin)
"""

PEER_JOBS = """
import sys, time
from pathlib import Path
from ataraxis_data_structures import ProcessingTracker
tracker = ProcessingTracker(Path(sys.argv[1]))
ids = tracker.initialize_jobs([("job", str(n)) for n in range(int(sys.argv[2]))])
begin = time.perf_counter()
for job in ids[:3]:
    tracker.start_job(job)
print((time.perf_counter() - begin) / 3)
"""

PEER_CHECKSUM = """
import sys, time
from pathlib import Path
from ataraxis_data_structures import calculate_directory_checksum
if __name__ == "__main__":
    begin = time.perf_counter()
    calculate_directory_checksum(Path(sys.argv[1]), save_checksum=False)
    print(time.perf_counter() - begin)
"""


@dataclass
class Setup(YamlConfig):
    folder: Path = Path("data")
    rates: list[float] = field(default_factory=lambda: [0.1 * n for n in range(100)])
    names: dict[str, Path] = field(default_factory=lambda: {f"n{n}": Path("x") for n in range(50)})


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--small", action="store_true", help="a few seconds, to see that it works")
    parser.add_argument("--dir", type=Path, default=Path.cwd(), help="a folder on the disk to use")
    parser.add_argument("--peer", help="an interpreter with ataraxis-data-structures")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-pipelines-", dir=options.dir) as folder:
        print(f"in {folder}, Python {sys.version.split()[0]}, {os.cpu_count()} cores\n")
        transitions(Path(folder), options.peer, small=options.small)
        bytes_and_files(Path(folder), options.peer, small=options.small)
        configuration(Path(folder), turns=3 if options.small else 30)
        _sync.drain()


def start_next(tracker: ProcessingTracker, ids: Iterator[str]) -> None:
    tracker.start_job(next(ids))


def median(turns: int, work: Callable[[], object]) -> float:
    """Return the median seconds of some work."""
    found = []
    for _ in range(turns):
        begin = time.perf_counter()
        work()
        found.append(time.perf_counter() - begin)
    return statistics.median(found)


def peer_seconds(peer: str | None, program: str, *arguments: object) -> float | None:
    """Run a program of the peer's; None where there is no peer."""
    if peer is None:
        return None
    done = subprocess.run(
        [peer, "-c", program, *map(str, arguments)], check=False, capture_output=True, text=True
    )
    return float(done.stdout.split()[-1]) if done.returncode == 0 and done.stdout else None


def transitions(folder: Path, peer: str | None, *, small: bool) -> None:
    for count in (100, 1000) if small else (100, 1000, 10_000, 100_000):
        path = folder / f"jobs{count}.yaml"
        tracker = ProcessingTracker(path)
        ids = tracker.initialize_jobs([("job", str(n)) for n in range(count)])
        ours = median(100, partial(start_next, tracker, iter(ids)))
        command = [sys.executable, "-c", FRESH, str(path), ids[-1]]
        fresh = [
            float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            for _ in range(1 if small else 20)
        ]
        line = f"job transition among {count:7}: {ours * 1e3:.2f} ms, first of a process "
        line += f"{statistics.median(fresh) * 1e3:.2f} ms (least {min(fresh) * 1e3:.2f})"
        theirs = None
        if count <= 1000:
            theirs = peer_seconds(peer, PEER_JOBS, folder / f"peer{count}.yaml", count)
        print(line + (f", peer {theirs * 1e3:.0f} ms ({theirs / ours:.0f} x)" if theirs else ""))


def bytes_and_files(folder: Path, peer: str | None, *, small: bool) -> None:
    source, size = folder / "source", (1 if small else 4) << 20
    source.mkdir()
    content = os.urandom(size)
    for number in range(8 if small else 64):
        (source / f"{number}.bin").write_bytes(content)
    total = sum(path.stat().st_size for path in source.iterdir())
    whole = b"".join(path.read_bytes() for path in source.iterdir())
    turns = 3 if small else 9
    limit = median(turns, lambda: xxhash.xxh3_128_digest(whole))
    files = list(source.iterdir())
    streamed = median(turns, lambda: [one_thread(path) for path in files])
    ours = median(turns, lambda: calculate_directory_checksum(source, save_checksum=False))
    theirs = peer_seconds(peer, PEER_CHECKSUM, source)
    print(
        f"checksum of {total >> 20} MiB: {total / ours / 1e9:.1f} GB/s; xxh3 of one thread "
        f"reading the same cached files {total / streamed / 1e9:.1f} GB/s, ours is "
        f"{streamed / ours:.2f} of it; in memory {total / limit / 1e9:.1f} GB/s, {limit / ours:.2f}"
        + (f"; peer {total / theirs / 1e9:.1f} GB/s" if theirs else "")
    )
    target = folder / "target"
    plain = median(turns, lambda: copied(["cp", "-r", str(source), str(target)], target))
    read_back = median(turns, partial(copied_and_read_back, source, target))
    for verify, least, what in (
        (False, plain, "cp -r"),
        (True, read_back, "cp -r, sync, read back"),
    ):
        ours = median(turns, partial(transferred, source, target, verify=verify))
        word = "verified transfer" if verify else "transfer"
        print(f"{word}: {total / ours / 1e9:.2f} GB/s, {ours / least:.2f} x {what}")


def one_thread(path: Path) -> bytes:
    """Hash a file as plainly as it can be."""
    state, buffer = xxhash.xxh3_128(), memoryview(bytearray(1 << 19))
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            state.update(buffer[:count])
    return state.digest()


def copied_and_read_back(source: Path, target: Path) -> None:
    """Do what a verified copy at least is: copy, bring to the disk, read from the disk."""
    copied(["cp", "-r", str(source), str(target)], target)
    subprocess.run(["sync", "-f", str(target)], check=True)
    for path in target.iterdir():
        with open(path, "rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            while file.read(1 << 20):
                pass


def copied(command: list[str], target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(command, check=True)


def transferred(source: Path, target: Path, *, verify: bool) -> None:
    shutil.rmtree(target, ignore_errors=True)
    transfer_directory(source, target, 0, verify_integrity=verify)


def configuration(folder: Path, turns: int) -> None:
    path = folder / "setup.yaml"
    config = Setup()
    save = median(turns, lambda: config.to_yaml(path))
    load = median(turns, lambda: Setup.from_yaml(path))
    print(f"YAML of 150 values: save {save * 1e3:.2f} ms, load {load * 1e3:.2f} ms")


if __name__ == "__main__":
    main()
