"""The benchmark of fields runs once, small, so that it cannot rot."""

import subprocess
import sys
from pathlib import Path

from helpers import HANG

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "bench_fields.py"


def test_the_benchmark_of_fields_prints_its_figures_and_cleans_up(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), "--small", "--dir", str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=HANG,
    )

    assert done.returncode == 0, done.stderr
    for line in ("os.write (limit)", "np.fromfile (limit)", "in memory", "parallel=processes"):
        assert line in done.stdout
    assert list(tmp_path.iterdir()) == []
