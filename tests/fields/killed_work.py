"""Forks writers of one file, kills each by SIGKILL, and says what it had accepted.

A line ``path mode first microseconds`` starts one, which appends fields with the numbers from
`first` on; instead of the microseconds, ``accepted`` waits for the first field. The answer is the
number after the last field whose append had returned.
"""

import os
import signal
import sys
import time

import numpy as np

from holdfast.fields import Field, FileStorage, Grid

GRID = Grid.cartesian([[0, 1], [0, 2]], [16, 24])


def write(path: str, mode: str, first: int, answer: int) -> None:
    storage = FileStorage(path, write_mode=mode, info={"run": "A"}, interval=0.02)  # type: ignore[arg-type]
    for number in range(first, first + 1_000_000):
        storage.append(Field(GRID, np.full(GRID.shape, float(number))), number)
        os.write(answer, number.to_bytes(8, "little"))


def main() -> None:
    for line in sys.stdin:
        path, mode, first, delay = line.split()
        reader, answer = os.pipe()
        pid = os.fork()
        if not pid:
            write(path, mode, int(first), answer)
        os.close(answer)
        content = os.read(reader, 8) if delay == "accepted" else b""
        time.sleep(0 if content else float(delay) / 1e6)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        while more := os.read(reader, 1 << 16):
            content = more
        accepted = int.from_bytes(content[-8:], "little") + 1 if content else int(first)
        os.close(reader)
        print(accepted, flush=True)


if __name__ == "__main__":
    main()
