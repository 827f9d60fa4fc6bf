"""A program that forks a saving process for each line it reads, and kills it at a random instant.

A line is ``<folder> <seed> <milliseconds>``; the answer is a line of JSON: for each kind of save,
the number of the last one whose call had returned. The processes are forked from this one, which
has everything imported and no threads.
"""

import json
import os
import random
import signal
import struct
import sys
import time

import numpy as np

from holdfast import Logbook
from holdfast.run._environment import environment

KINDS = ("params", "meta", "array", "arrays", "json", "text", "note")
REPORT = struct.Struct("<BI")
LENGTH = 3000


def save(log: Logbook, kind: str, number: int) -> None:
    values = [number] * LENGTH
    match kind:
        case "params":
            log.params({f"p{number % 7}": number}, n=number, ext=("yaml", "json")[number // 5 % 2])
        case "meta":
            log.meta(n=number, values=values)
        case "array":
            log.array("deep/x", np.full(LENGTH * 10, number))
        case "arrays":
            log.arrays("b", compressed=bool(number % 2), x=np.full(LENGTH, number), n=[number])
        case "json":
            log.json("x", values)
        case "text":
            log.text("x", f"{number} " * LENGTH)
        case "note":
            log.note(f"step {number}\n{f'{number} ' * (number % 500)}")


def save_for_ever(folder: str, seed: int, report: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a test to be repeated
    numbers = dict.fromkeys(KINDS, 0)
    log = Logbook("a", folder)
    while True:
        kind = chance.choice(KINDS)
        numbers[kind] += 1
        save(log, kind, numbers[kind])
        os.write(report, REPORT.pack(KINDS.index(kind), numbers[kind]))


def kill_one(folder: str, seed: int, milliseconds: float) -> dict[str, int]:
    reader, report = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        save_for_ever(folder, seed, report)
    os.close(report)
    time.sleep(milliseconds / 1000)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    with open(reader, "rb") as file:
        content = file.read()
    last = dict.fromkeys(KINDS, 0)
    for index, number in REPORT.iter_unpack(content):
        last[KINDS[index]] = number
    return last


if __name__ == "__main__":
    environment()
    for line in sys.stdin:
        folder, seed, milliseconds = line.split()
        print(json.dumps(kill_one(folder, int(seed), float(milliseconds))), flush=True)
