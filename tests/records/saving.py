"""A program that forks a process saving rows for each line it reads, and kills it at random.

A line is ``<file> <milliseconds>``; the answer is, for each of its threads, the number of the last
row whose save had returned.
"""

import json
import os
import signal
import struct
import sys
import threading
from pathlib import Path

from holdfast._sync import Durability
from holdfast.records import RecordWriter

THREADS = 2
REPORT = struct.Struct("<BI")


def save_for_ever(writer: RecordWriter, thread: int, report: int) -> None:
    record = writer.row()
    number = 0
    while True:
        number += 1
        record["thread"], record["number"] = thread, number
        record["filling"] = f"{number} " * (number * 37 % 3000)
        record.save()
        os.write(report, REPORT.pack(thread, number))


def kill_one(path: Path, milliseconds: float) -> list[int]:
    reader, report = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        writer = RecordWriter(path, Durability())
        for thread in range(1, THREADS):
            threading.Thread(target=save_for_ever, args=(writer, thread, report)).start()
        save_for_ever(writer, 0, report)
    os.close(report)
    killer = threading.Timer(milliseconds / 1000, os.kill, (pid, signal.SIGKILL))
    killer.start()
    with open(reader, "rb") as file:
        content = file.read()
    os.waitpid(pid, 0)
    killer.join()
    last = [0] * THREADS
    for thread, number in REPORT.iter_unpack(content):
        last[thread] = number
    return last


if __name__ == "__main__":
    for line in sys.stdin:
        file_name, milliseconds = line.split()
        print(json.dumps(kill_one(Path(file_name), float(milliseconds))), flush=True)
