"""Two programs of a live reading: one appends at full speed, several follow it.

Called with ``write`` or ``follow`` and the number of rows. A follower takes one snapshot after
another, looks at each new row once, and prints what it saw, or ends with an error.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from holdfast.errors import MissingFileError
from holdfast.hdf5 import AppendFile, AppendReader

PATH = "x.h5"
VECTOR_EVERY, FIELD_EVERY = 20, 1500
FIELD = 48
FOLLOWERS = 4
STREAMS = {"scalar": 1, "vector": VECTOR_EVERY, "field": FIELD_EVERY}


def write(rows: int) -> None:
    with AppendFile(PATH, interval=0.1, journal_bytes=4 << 20) as file:
        for number in range(rows):
            if number == rows // 10:
                wait_for_followers()
            file.append("scalar", number)
            if number % VECTOR_EVERY == 0:
                file.append("vector", np.full(40, number))
            if number % FIELD_EVERY == 0:
                file.append("field", np.full((FIELD, FIELD), float(number)))
        print("written", flush=True)
        while not Path("seen").exists():  # or late followers would find a file that is closed
            time.sleep(0.01)


def wait_for_followers() -> None:
    """Return when all follow, so that they do so during all that comes."""
    while len(list(Path.cwd().glob("follows-*"))) < FOLLOWERS:
        time.sleep(0.001)


def opened() -> AppendReader:
    while True:
        try:
            return AppendReader(PATH)
        except MissingFileError:
            time.sleep(0.001)


def check(reader: AppendReader, name: str, start: int, stop: int) -> None:
    """Check each value of the rows: none torn, none missing, none twice."""
    content = reader.read(name, start, stop)
    if len(content) != stop - start:
        raise SystemExit(f"{name}: {len(content)} rows instead of {stop - start}")
    wanted = np.arange(start, stop) * STREAMS[name]
    flat = content.reshape(len(content), -1)
    if not (flat == wanted[:, None]).all():
        bad = int(np.flatnonzero((flat != wanted[:, None]).any(axis=1))[0])
        raise SystemExit(f"{name}: row {start + bad} is {flat[bad]}")


def follow(rows: int) -> None:
    reader = opened()
    ends = {name: -(-rows // every) for name, every in STREAMS.items()}
    seen = dict.fromkeys(STREAMS, 0)
    snapshots = progress = 0
    tenth = rows // 10
    while seen != ends:
        reader.refresh()  # which raises if it finds no moment to look
        snapshots += 1
        moved = False
        for name in reader.names:
            length = reader.length(name)
            if length < seen[name]:
                raise SystemExit(f"{name} shrank from {seen[name]} to {length}")
            if length > seen[name]:
                # With what was seen before, some of which is in HDF5 by now.
                check(reader, name, max(seen[name] - 100, 0), length)
                moved, seen[name] = True, length
        progress += moved
        if tenth and seen["scalar"] >= tenth:
            tenth = 0
            Path(f"follows-{os.getpid()}").touch()
    for name, end in ends.items():
        check(reader, name, 0, end)
    print(json.dumps({"snapshots": snapshots, "progress": progress, "problems": reader.problems}))


if __name__ == "__main__":
    {"write": write, "follow": follow}[sys.argv[1]](int(sys.argv[2]))
