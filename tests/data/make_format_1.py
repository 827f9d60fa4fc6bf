"""Make the runs with streams and records of ``format_1``; see its README. Never run it again.

    python tests/data/make_format_1.py FOLDER

The identity of process and boot is replaced before anything is written: the header of a journal's
generation has a check, so that it cannot be changed afterwards.
"""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np

from holdfast import _process

HERE = Path(__file__).parent / "format_1"
BOOT = "00000000-0000-4000-8000-000000000000"
SOMEBODY = _process.Identity("laptop", 8760, 367133, BOOT, "pid:[4026531836]")
ROWS = 40


def make(folder: Path, name: str, *, killed: bool) -> None:
    from holdfast import Logbook

    options = {"interval": 3600, "journal_bytes": 1 << 13}
    log = Logbook(name, base_dir=folder, params={"dt": 0.5}, stream_options=options)
    for n in range(ROWS):
        log.append("loss", n / 4)
        log.append("position", np.array([n, n + 1, n + 2], np.int32), timestamps=True)
        log.append("deep/label", f"step {n:02}")
        log.record("train", iteration=n, error=1 / (n + 1))
        if n == ROWS // 2:
            log.set_attributes("loss", units="J")
            log.record("train", iteration=-1, note="half of it")
            log._rows.streams().checkpoint()
    sanitise(log.path)
    if not killed:
        log.mark_complete()
        sanitise(log.path)
        return
    log._rows.streams().file.sync()
    os.kill(os.getpid(), signal.SIGKILL)


def sanitise(run: Path) -> None:
    """Put the environment of the run that was frozen first into a run's metadata."""
    path = run / "metadata.json"
    known = json.loads((HERE / "log_frozen" / "metadata.json").read_text())
    metadata = json.loads(path.read_text())
    path.write_text(json.dumps({**metadata, "environment": known["environment"]}, indent=2))


if __name__ == "__main__":
    vars(_process).update(boot_id=lambda: BOOT, this_process=lambda: SOMEBODY)
    target = Path(sys.argv[1])
    make(target, "kept", killed=False)
    make(target, "killed", killed=True)  # and this program with it
