"""Many processes note runs and ask the index at once; some of them are killed."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

from helpers import HANG
from holdfast.store._index import Index
from store_runs import answers, truth

TESTS = Path(__file__).parents[1]

WORKER = """
import os, sys, time
from pathlib import Path
from holdfast.store._index import Index
from store_runs import begin
store, number, count, gate = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
index = Index(store)
while not os.path.exists(gate):
    time.sleep(0.005)
for step in range(count):
    log = begin(store, "work", worker=number, step=step, dt=number + step / 1000)
    index.note(log.path)
    if step % 3:
        log.mark_complete()
    else:
        log.mark_failed("every third")
    index.note(log.path)
    found = index.find(worker=number, step=step)
    assert found == [log.path], (found, log.path)
    assert len(index.find(worker=number)) == step + 1
    if step == count // 2 and number == 0:
        index.rebuild()
"""


def started(store: Path, workers: int, count: int, gate: Path) -> "list[subprocess.Popen[str]]":
    command = [sys.executable, "-c", textwrap.dedent(WORKER), str(store)]
    return [
        subprocess.Popen(
            [*command, str(number), str(count), str(gate)],
            env=os.environ | {"PYTHONPATH": str(TESTS)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(workers)
    ]


def test_eight_processes_note_and_ask_at_once_and_miss_nothing(tmp_path: Path) -> None:
    store, gate = tmp_path / "store", tmp_path / "gate"
    workers = started(store, 8, 12, gate)

    gate.touch()
    for worker in workers:
        _, errors = worker.communicate(timeout=HANG)
        assert worker.returncode == 0, errors

    index = Index(store)
    assert answers(index) == truth(store)
    assert len(index.find()) == 8 * 12
    assert len(index.find(state="failed")) == 8 * 4
    doubled = index.sql("SELECT identity FROM runs GROUP BY identity HAVING count(*) > 1")
    assert len(doubled) == 0
    check_file(index)
    index.close()


def test_processes_that_are_killed_leave_an_index_that_answers_the_same(tmp_path: Path) -> None:
    store, gate = tmp_path / "store", tmp_path / "gate"
    workers = started(store, 4, 10_000, gate)
    gate.touch()
    index = Index(store)
    for number, worker in enumerate(workers):
        while not (store.is_dir() and len(index.find()) > 8):
            time.sleep(0.01)
        time.sleep(0.07 * number)
        worker.send_signal(signal.SIGKILL)
    for worker in workers:
        worker.communicate(timeout=HANG)

    assert answers(index) == answers(Index(store)) == truth(store)
    assert len(index.find(state="running")) == 0
    check_file(index)
    index.close()


def check_file(index: Index) -> None:
    connection = sqlite3.connect(index.sqlite_file)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
