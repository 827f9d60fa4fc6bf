"""Two containers share a store: neither sees the other's processes, though host and boot agree."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import store_work as work
from helpers import HANG, wait_until
from holdfast import LogReader, Store, get

TESTS = str(Path(__file__).resolve().parents[1])
IN_A_CONTAINER = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
LONG_AGO = 3600.0

LAUNCH_ALL = "import sys, store_work; store_work.launch_all(sys.argv[1], *map(int, sys.argv[2:]))"
WAIT = """
import sys
import store_work as work
from holdfast import Store, get
with Store(sys.argv[1]):
    try:
        get(work.waits_for, path=sys.argv[2]).launch()
    except Exception as error:
        print(type(error).__name__, error)
    else:
        print("finished")
"""


@pytest.fixture(autouse=True)
def containers() -> None:
    try:
        done = subprocess.run([*IN_A_CONTAINER, "true"], check=False, capture_output=True)
    except FileNotFoundError:
        pytest.skip("unshare is not installed")
    if done.returncode:
        pytest.skip(f"a pid namespace needs more rights here: {done.stderr.decode().strip()}")


def container(program: str, *arguments: object, **options: Any) -> "subprocess.Popen[str]":
    """Start a program in a pid namespace of its own; killing what is returned ends all of it."""
    command = [*IN_A_CONTAINER, sys.executable, "-c", program, *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": TESTS}
    return subprocess.Popen(command, text=True, env=environment, **options)


def inside_of(process: "subprocess.Popen[str]") -> int:
    """Return the pid, as seen from here, of the program in a container."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    wait_until(lambda: children.read_text().split())
    return int(children.read_text().split()[0])


def grow_old(folder: Path) -> None:
    """Let every sign of life in a store be an hour old, as after an hour of silence."""
    old = time.time() - LONG_AGO
    for path in [*folder.glob(".claims/*/*"), *folder.glob("*/log.txt")]:
        try:
            os.utime(path, (old, old))
        except FileNotFoundError:
            continue  # released meanwhile


def test_two_containers_record_every_run_once_though_their_processes_are_killed(
    tmp_path: Path, request: Any
) -> None:
    large = request.config.getoption("--campaign", default=False)
    count, kills = (200, 60) if large else (24, 3)
    folder = tmp_path / "storage"
    chance = random.Random(count)  # noqa: S311 - moments, not secrets
    running = [container(LAUNCH_ALL, folder, count, seed) for seed in range(2)]
    for number in range(kills):
        wait_until(lambda: list(folder.glob("*/log.txt")))
        time.sleep(chance.random() / 2)
        victim = running[number % 2]
        victim.kill()  # and with it, all of the container
        victim.wait(HANG)
        running[number % 2] = container(LAUNCH_ALL, folder, count, 10 + number)
        age_claims_of(folder, running)
    while any(process.poll() is None for process in running):
        age_claims_of(folder, running)
        time.sleep(0.1)
    assert [process.returncode for process in running] == [0, 0]

    with Store(folder) as store:
        for n in range(count):
            run = get(work.count_up, n=n)
            assert run.is_finished()
            assert [row["row"] for row in run.records("rows")] == list(range(work.ROWS))
            assert run.result == n * n
            for claim in folder.glob(".claims/*/*"):
                os.utime(claim, (1, 1))
            run.launch()
        assert store.claims.identities() == []
    rows = Counter((tmp_path / "ended.txt").read_text().split())
    assert sum(rows.values()) <= count + kills


def age_claims_of(folder: Path, running: "list[subprocess.Popen[str]]") -> None:
    """Let the signs of life of ended containers be old, as they are after some minutes."""
    living = set()
    for process in running:
        if process.poll() is None:
            try:
                living.add(os.readlink(f"/proc/{inside_of(process)}/ns/pid"))
            except FileNotFoundError:
                continue
    old = time.time() - LONG_AGO
    for path in [*folder.glob(".claims/*/*"), *folder.glob("*/metadata.json")]:
        try:
            text = path.read_text()
        except FileNotFoundError:
            continue
        if not any(namespace in text for namespace in living) and '"pid_namespace"' in text:
            aged = path.with_name("log.txt") if path.name == "metadata.json" else path
            try:
                os.utime(aged, (old, old))
            except FileNotFoundError:
                continue


@pytest.fixture
def stopped(tmp_path: Path) -> Iterator["tuple[subprocess.Popen[str], int]"]:
    """Give a container whose program has begun a run and is stopped in the middle of it."""
    process = container(WAIT, tmp_path / "storage", tmp_path / "go", stdout=subprocess.PIPE)
    wait_until(lambda: list(tmp_path.glob("storage/*/working")))
    pid = inside_of(process)
    os.kill(pid, signal.SIGSTOP)
    yield process, pid
    process.kill()
    process.communicate()


def test_a_container_that_gives_signs_of_life_is_not_taken_over_from(
    tmp_path: Path, stopped: "tuple[subprocess.Popen[str], int]"
) -> None:
    with Store(tmp_path / "storage"):
        run = get(work.waits_for, path=str(tmp_path / "go"))
        assert run.is_active()
        with pytest.raises(TimeoutError, match=r"is being made by process \d+ on"):
            run.launch(timeout=0.2)
        assert run.launch("skip").is_active()
    process, pid = stopped
    (tmp_path / "go").touch()
    os.kill(pid, signal.SIGCONT)
    assert process.communicate(timeout=HANG)[0] == "finished\n"


def test_a_writer_stopped_past_its_take_over_and_woken_up_cannot_finish(
    tmp_path: Path, stopped: "tuple[subprocess.Popen[str], int]"
) -> None:
    grow_old(tmp_path / "storage")
    (tmp_path / "go").touch()
    with Store(tmp_path / "storage") as store:
        run = get(work.waits_for, path=str(tmp_path / "go")).launch()
        assert run.result == str(tmp_path / "go")
        before = {p: p.read_bytes() for p in run.directory.rglob("*") if p.is_file()}

        process, pid = stopped
        os.kill(pid, signal.SIGCONT)
        said = process.communicate(timeout=HANG)[0]

        assert said.startswith("StateError")
        assert "taken over" in said
        after = {p: p.read_bytes() for p in run.directory.rglob("*") if p.is_file()}
        changed = {p for p in before | after if before.get(p) != after.get(p)}
        assert all("attempts" in path.parts for path in changed), "its late rows are in its own"
        assert run.reader.stream("x")[:].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
        assert run.reader.meta["environment"]["pid"] == os.getpid()
        assert [attempt.state for attempt in run.reader.attempts] == ["interrupted"]
        assert store.claims.identities() == []


def test_a_writer_that_wakes_up_while_its_successor_works_cannot_finish(
    tmp_path: Path, stopped: "tuple[subprocess.Popen[str], int]"
) -> None:
    grow_old(tmp_path / "storage")
    successor = container(WAIT, tmp_path / "storage", tmp_path / "go", stdout=subprocess.PIPE)
    try:
        wait_until(lambda: list(tmp_path.glob("storage/*/attempts/1/working")))
        wait_until(lambda: list(tmp_path.glob("storage/*/working")))
        os.kill(inside_of(successor), signal.SIGSTOP)
        process, pid = stopped
        (tmp_path / "go").touch()
        os.kill(pid, signal.SIGCONT)
        assert process.communicate(timeout=HANG)[0].startswith("StateError")
        (path,) = (p.parent for p in tmp_path.glob("storage/*/metadata.json"))
        assert LogReader(path).status == "initialized"
        assert LogReader(path).stream("x")[:].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]

        os.kill(inside_of(successor), signal.SIGCONT)
        assert successor.communicate(timeout=HANG)[0] == "finished\n"
    finally:
        successor.kill()
        successor.communicate()
    assert LogReader(path).state == "complete"
    assert LogReader(path).meta["attempt"] == 2
    assert LogReader(path).stream("x")[:].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert [row["row"] for row in LogReader(path).records("rows")] == [0, 1, 2, 3, 4]
