"""The benchmark of readers runs, small, so that it cannot rot."""

import subprocess
import sys
from pathlib import Path

from helpers import HANG

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "bench_readers.py"


def test_a_writer_is_measured_beside_its_readers(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), "--rows", "2000", "--dir", str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=HANG,
    )

    assert done.returncode == 0, done.stderr
    assert "sustained" in done.stdout
    assert list(tmp_path.iterdir()) == []
