"""Benchmarks run once, small, so that they cannot rot; what they measure is not judged here."""

import subprocess
import sys
from pathlib import Path

from helpers import HANG

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_the_benchmark_of_runs_prints_its_figures_and_cleans_up(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "bench_runs.py"), "--small", "--dir", str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=HANG,
    )

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for line in (
        "create, log one line",
        "table of 100",
        "exp[run_id] among 100",
        "import holdfast",
    ):
        assert line in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_benchmark_of_streams_prints_its_figures_and_cleans_up(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "bench_streams.py"), "--small", "--dir", str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=HANG,
    )

    assert done.returncode == 0, done.stderr
    for line in ("scalar float64", "float64 (512, 512)", "os.write (limit)", "scalars back"):
        assert line in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_plain_readers_are_counted_beside_a_writer(tmp_path: Path) -> None:
    arguments = ["--seconds", "3", "--interval", "0.5", "--every", "0.2", "--dir", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "watch_plain_readers.py"), *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=HANG,
    )

    assert done.returncode == 0, done.stderr
    assert "h5py opens" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_benchmark_of_the_store_prints_its_figures_and_cleans_up(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "bench_store.py"), "--small", "--dir", str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=HANG,
    )

    assert done.returncode == 0, done.stderr
    for line in ("get, a hit", "find one by a parameter", "table of all", "rebuild", "machinable"):
        assert line in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_benchmark_of_messages_prints_its_figures_and_cleans_up(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "bench_messages.py"), "--small", "--dir", str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=HANG,
    )

    assert done.returncode == 0, done.stderr
    for line in ("put of 64 bytes", "mcap", "4 producers", "assemble", "bytes a message"):
        assert line in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_benchmark_of_pipelines_prints_its_figures_and_cleans_up(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "bench_pipelines.py"), "--small", "--dir", str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=HANG,
    )

    assert done.returncode == 0, done.stderr
    for line in ("job transition among", "checksum of", "verified transfer", "YAML of 150 values"):
        assert line in done.stdout
    assert list(tmp_path.iterdir()) == []
