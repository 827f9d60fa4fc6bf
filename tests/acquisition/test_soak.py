"""Four processes at full speed against a disk that is too slow for them."""

import itertools
import multiprocessing
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast import DataLogger, LogArchiveReader, assemble_log_archives
from holdfast.acquisition import Producer, _watchdog

PRODUCERS = 4
PAYLOAD = 64
MAX_UNSYNCED = 8 << 20
ABLOCK = 16 << 20

SLOW_DISK = """
import os, time
real = os.fsync
def slow(descriptor):
    real(descriptor)
    time.sleep(os.fstat(descriptor).st_size / 40e6)
os.fsync = slow
"""
"""Lets the logger process bring 40 MB to the disk a second, and no more."""


def put_for(seconds: float, producer: Producer, source: int, results: Any) -> None:
    """Put as fast as it goes, and tell how often, how long each took, and the memory used."""
    end, took = time.monotonic() + seconds, np.zeros(1_000_000, np.uint32)
    payload, now = bytes(PAYLOAD), time.perf_counter_ns
    for number in itertools.count():
        start = now()
        producer.put(source, number, payload)
        took[number % len(took)] = min(now() - start, 2**32 - 1)
        if number % 1000 == 0 and time.monotonic() > end:
            break
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    results.put((source, number + 1, memory, took[: number + 1]))


@pytest.mark.timeout(600)
def test_four_producers_on_a_slow_disk_lose_nothing_in_bounded_memory_and_disk(
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    seconds = 60.0 if request.config.getoption("--campaign", default=False) else 1.0
    monkeypatch.setattr(_watchdog, "_PROGRAM", f"{SLOW_DISK}\n{_watchdog._PROGRAM}")
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    with DataLogger("out", "rig", max_unsynced=MAX_UNSYNCED) as logger:
        children = [
            context.Process(target=put_for, args=(seconds, logger.producer, source, results))
            for source in range(PRODUCERS)
        ]
        for child in children:
            child.start()
        found = sorted((results.get(timeout=seconds + 60) for _ in children), key=lambda r: r[0])
        for child in children:
            child.join()
        served = memory_of(logger)
    total = sum(count for _, count, _, _ in found)
    took = np.concatenate([latencies for *_, latencies in found]) / 1e3
    report = ", ".join(f"p{q} {np.percentile(took, q):.2f} µs" for q in (50, 99, 99.9))
    most = max(memory for _, _, memory, _ in found)
    size = sum(path.stat().st_size for path in Path("out").rglob("*.block"))
    with capsys.disabled():
        print(f"\n{total / seconds / 1e6:.2f} M messages/s, put {report}, {size / total:.1f} bytes")
        print(f"memory: producers {most >> 20} MiB ({before >> 20} before), logger {served >> 20}")
    assert size <= total * (PAYLOAD + 16) * 1.02 + PRODUCERS * ABLOCK
    assert most - before <= 4 * ABLOCK + (8 << 20)
    assert served <= 160 << 20
    assemble_log_archives(logger.output_directory)
    for source, count, _, _ in found:
        reader = LogArchiveReader(logger.output_directory / f"{source}_log.npz", onset_us=0)
        assert (reader.read_arrays().timestamps == np.arange(count, dtype=np.uint64)).all()


def memory_of(logger: DataLogger) -> int:
    assert logger._process is not None
    status = Path(f"/proc/{logger._process.pid}/status").read_text(encoding="utf-8")
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) << 10
