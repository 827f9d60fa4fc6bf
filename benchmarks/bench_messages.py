"""Messages beside their peers and the physical limit, measured in one run.

    python benchmarks/bench_messages.py [--small] [--dir FOLDER] [--ataraxis PYTHON]

Messages have 64 bytes. A put is timed alone (median, p99, p99.9) and in bulk (sustained: until all
is sealed, synced and closed). Peers: mcap, and ataraxis-data-structures, which needs an environment
of its own: ``--ataraxis`` is its interpreter. What is missing is said to be.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from holdfast import DataLogger, LogArchiveReader, assemble_log_archives
from holdfast.acquisition import Producer

PAYLOAD = bytes(range(64))

ATARAXIS = """
import json, sys, time
from pathlib import Path
import numpy as np
from ataraxis_data_structures import DataLogger, LogPackage, assemble_log_archives

def main():
    count, folder = int(sys.argv[1]), Path(sys.argv[2])
    logger = DataLogger(folder, "bench")
    logger.start()
    queue, payload = logger.input_queue, np.arange(64, dtype=np.uint8)
    times, clock = [], time.perf_counter_ns
    begin = clock()
    for number in range(count):
        package = LogPackage(np.uint8(1), np.uint64(number), payload)
        start = clock()
        queue.put(package)
        times.append(clock() - start)
    logger.stop()
    total = clock() - begin
    begin = clock()
    # With its default, mapping, it has every message's file open at once, more than are allowed.
    assemble_log_archives(logger.output_directory, 2, memory_mapping=False)
    assembled = clock() - begin
    archive = next(folder.rglob("*.npz"))
    begin = clock()
    with np.load(archive) as found:
        for key in found.files:
            found[key]
    read = clock() - begin
    print(json.dumps([times, total, assembled, read, archive.stat().st_size]))

if __name__ == "__main__":
    main()
"""


def percentiles(times: list[int]) -> list[float]:
    ordered = np.sort(np.array(times)) / 1e3
    return [float(ordered[int((len(ordered) - 1) * share)]) for share in (0.5, 0.99, 0.999)]


def each(put: Callable[[int], object], count: int) -> list[int]:
    clock, times = time.perf_counter_ns, []
    for number in range(count):
        start = clock()
        put(number)
        times.append(clock() - start)
    return times


def show(name: str, figures: list[float], limit: list[float]) -> None:
    median, p99, p999 = figures
    print(f"  {name:<34}{median:10.2f}{median / limit[0]:8.1f}x{p99:10.2f}{p999:10.2f}")


def rate(name: str, count: int, seconds: float, best: float | None = None) -> float:
    found = count / seconds
    ratio = "" if best is None else f"{found / best:10.3f}x"
    print(f"  {name:<44}{found:14,.0f} /s{ratio}")
    return found


def put_bulk(producer: Producer, source: int, count: int) -> None:
    put = producer.put
    for number in range(count):
        put(source, number, PAYLOAD)


def latency(folder: Path, count: int, mcap: "Mcap | None", ataraxis: Any) -> None:
    print(f"\nput of 64 bytes, µs, {count} times")
    print(f"  {'':<34}{'median':>10}{'':>9}{'p99':>10}{'p99.9':>10}")
    kept: list[bytes] = []
    limit = percentiles(each(lambda _: kept.append(PAYLOAD), count))
    show("list append (limit)", limit, limit)
    with DataLogger(folder, "latency") as logger:
        put = logger.put
        show("holdfast put", percentiles(each(lambda n: put(1, n, PAYLOAD), count)), limit)
    if mcap is not None:
        few = max(count // 10, 100)
        show("mcap writer", percentiles(each(mcap.put, few)), limit)
        mcap.close()
    if ataraxis is not None:
        show("ataraxis queue.put", percentiles(ataraxis[0]), limit)


def sustained(folder: Path, count: int) -> None:
    print(f"\nsustained to disk, {count} messages a producer, until all is synced")
    for producers in (1, 2, 4):
        logger = DataLogger(folder, f"sustained{producers}")
        logger.start()
        context = multiprocessing.get_context("fork")
        processes = [
            context.Process(target=put_bulk, args=(logger.producer, source, count))
            for source in range(producers)
        ]
        begin = time.perf_counter()
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        logger.stop()
        rate(f"holdfast, {producers} producers", producers * count, time.perf_counter() - begin)
        shutil.rmtree(logger.output_directory)
    content = PAYLOAD * 1024
    begin = time.perf_counter()
    with (folder / "raw").open("wb") as file:
        for _ in range(max(count // 1024, 1)):
            file.write(content)
        file.flush()
        os.fsync(file.fileno())
    rate("write and fsync of the bytes alone (limit)", count, time.perf_counter() - begin)


def assembled(folder: Path, name: str, times: Any, sources: int = 1) -> None:
    """Time the assembly of messages of some times, of sources in turn."""
    logger = DataLogger(folder, "assembled")
    rows = np.frombuffer(PAYLOAD, np.uint8).reshape(1, -1).repeat(len(times), axis=0)
    logger.start()
    for source in range(sources):
        logger.put_many(source, times[source::sources], rows[source::sources])
    logger.stop()
    begin = time.perf_counter()
    assemble_log_archives(logger.output_directory)
    rate(f"holdfast, assemble, {name}", len(times), time.perf_counter() - begin)
    shutil.rmtree(logger.output_directory)


def archives(folder: Path, count: int, ataraxis: Any) -> None:
    print(f"\narchives, {count} messages")
    logger = DataLogger(folder, "archives")
    logger.start()
    logger.put(1, 0, np.array([10**15]))
    put_bulk(logger.producer, 1, count)
    logger.stop()
    begin = time.perf_counter()
    assemble_log_archives(logger.output_directory)
    mine = rate("holdfast, assemble", count, time.perf_counter() - begin)
    path = logger.output_directory / "1_log.npz"
    begin = time.perf_counter()
    arrays = LogArchiveReader(path).read_arrays()
    if not int(arrays.timestamps.sum()) + int(arrays.payload[::64].sum()):
        raise SystemExit("the archive holds nothing")
    rate("holdfast, read_arrays and use them", count, time.perf_counter() - begin)
    begin = time.perf_counter()
    for _ in LogArchiveReader(path).iter_messages():
        pass
    single = rate("holdfast, iter_messages", count, time.perf_counter() - begin)
    print(f"  holdfast, bytes a message{path.stat().st_size / count:34.1f}")
    assembled(folder, "times in no order", np.random.default_rng(0).integers(1, 10**9, count))
    assembled(folder, f"{count // 250} sources", np.arange(1, count // 10), count // 250)
    if ataraxis is not None:
        times, _, joined, read, size = ataraxis
        rate("ataraxis, assemble", len(times), joined / 1e9, mine)
        rate("ataraxis, read", len(times), read / 1e9, single)
        print(f"  ataraxis, bytes a message{size / len(times):34.1f}")


class Mcap:
    """The mcap writer, as its documentation uses it."""

    def __init__(self, path: Path) -> None:
        from mcap.writer import Writer

        self._file = path.open("wb")
        self._writer = Writer(self._file)
        self._writer.start()
        schema = self._writer.register_schema("bytes", "", b"")
        self._channel = self._writer.register_channel("1", "bytes", schema)

    def put(self, number: int) -> None:
        self._writer.add_message(self._channel, number, PAYLOAD, number)

    def close(self) -> None:
        finish: Callable[[], None] = self._writer.finish
        finish()
        self._file.close()


def mcap_writer(folder: Path) -> Mcap | None:
    try:
        return Mcap(folder / "peer.mcap")
    except ImportError:
        print("mcap is not installed, and left out")
        return None


def run_ataraxis(python: str | None, folder: Path, count: int) -> Any:
    if python is None:
        print("ataraxis-data-structures is left out; --ataraxis names an interpreter that has it")
        return None
    program = folder / "peer.py"
    program.write_text(ATARAXIS)
    try:
        done = subprocess.run(
            [python, str(program), str(count), str(folder)],
            check=False,
            capture_output=True,
            text=True,
        )
    except OSError as error:
        print(f"ataraxis-data-structures is left out: {error}")
        return None
    if done.returncode:
        print(f"ataraxis-data-structures failed, and is left out: {done.stderr[-300:]}")
        return None
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a quick run, for tests")
    parser.add_argument("--dir", type=Path, default=Path(), help="a folder on the disk to measure")
    parser.add_argument("--ataraxis", help="a Python that has ataraxis-data-structures")
    options = parser.parse_args()
    scale = 100 if options.small else 1
    folder = Path(tempfile.mkdtemp(prefix="bench-messages-", dir=options.dir))
    try:
        print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores")
        ataraxis = run_ataraxis(options.ataraxis, folder, 5_000 // scale)
        latency(folder, 1_000_000 // scale, mcap_writer(folder), ataraxis)
        sustained(folder, 2_000_000 // scale)
        archives(folder, 5_000_000 // scale, ataraxis)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
