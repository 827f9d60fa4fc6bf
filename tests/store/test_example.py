"""The tutorial runs as a user runs it, and computes nothing twice."""

import os
import re
import subprocess
import sys
from pathlib import Path

from holdfast import LogReader, Store

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "exoplanet" / "explore.py"


def explore(folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(SCRIPT)],
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
        cwd=folder,
        env=os.environ | {"NO_COLOR": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_exoplanet_has_the_gravity_it_was_given_and_is_measured_once(tmp_path: Path) -> None:
    first = explore(tmp_path)
    second = explore(tmp_path)

    assert first.startswith("0 of 3 runs are there")
    assert second.startswith("3 of 3 runs are there")
    said = re.findall(r"g = +([\d.]+) \+- ([\d.]+) m/s\^2, ([\d.]+) on", first)
    assert said == re.findall(r"g = +([\d.]+) \+- ([\d.]+) m/s\^2, ([\d.]+) on", second)
    assert len(said) == 3
    for dilation, (gravity, error, scaled) in zip([0.5, 1.0, 2.0], said, strict=True):
        assert abs(float(gravity) - 24.79 / dilation**2) < 6 * float(error)
        assert abs(float(scaled) - 24.79) < 0.5
    runs = list(Store(tmp_path / "storage").runs())
    assert [LogReader(run).state for run in runs] == ["complete"] * 3
    assert all(len(LogReader(run).stream("height")) == 40 for run in runs)
