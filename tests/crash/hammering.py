"""Moves its own jobs of a shared tracker for ever, and notes each transition that returned."""

import itertools
import os
import random
import sys
from pathlib import Path

from holdfast import ProcessingTracker

number, round_ = int(sys.argv[1]), sys.argv[2]
chance = random.Random(f"{number} {round_}")  # noqa: S311 - a test to be repeated
tracker = ProcessingTracker(Path("tracker.yaml"))
notes = os.open(f"notes-{number}", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
(mine,) = tracker.initialize_jobs([(f"job{number}", "")])
for step in itertools.count():
    tag = f"{round_}.{step}"
    os.write(notes, f"begin {tag}\n".encode())
    if step % 2:
        tracker.fail_job(mine, tag)
    else:
        tracker.start_job(mine, tag)
    os.write(notes, f"end {tag}\n".encode())
    if chance.random() < 0.2:
        tracker.fold()
    if chance.random() < 0.1:
        new = tracker.initialize_jobs([(f"job{number}", tag)])
        os.write(notes, f"added {new[0]}\n".encode())
