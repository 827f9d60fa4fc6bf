"""Zarr stores whose writer is killed, or whose disk fails, at any moment."""

import contextlib
import errno
import os
import random
import shutil
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import xarray

from helpers import HANG, start
from holdfast.fields import ZarrStorage, recover_store
from holdfast.testing.faults import Call, Faults, injected
from zarr_work import X, field, held

KILLED = """
    import sys
    sys.path[:0] = [{tests!r}]
    from zarr_work import X, ZarrStorage, field, fill
    storage = ZarrStorage(X, write_mode="append", chunks=1, shards={shards})
    done = len(storage)
    print(done, flush=True)
    while True:
        storage.append(field(done), done / 4)
        done += 1
        print(done, flush=True)
"""


def test_whenever_a_writing_process_is_killed_every_accepted_field_is_there(
    request: pytest.FixtureRequest,
) -> None:
    chance = random.Random(7)  # noqa: S311 - a test to be repeated
    tests = str(Path(__file__).resolve().parents[1])
    last = 0
    for _ in range(200 if request.config.getoption("--campaign", default=False) else 4):
        process = start(KILLED.format(tests=tests, shards=3), stderr=sys.stderr)
        assert process.stdout
        for _ in range(chance.randrange(40)):
            last = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        rest = process.stdout.read()
        process.wait(HANG)
        process.communicate()
        last = max([last, *map(int, rest.split("\n")[:-1])])
        count = held()
        assert count in (last, last + 1)
        if chance.random() < 0.4:
            recover_store(X)
            with xarray.open_zarr(X) as dataset:
                assert dataset.sizes["time"] == count
            assert os.listdir() == [X.name]


def use(path: Path, accepted: list[int]) -> None:
    """Write two stores at one place, one after the other, in several sessions."""
    for first, count in ((0, 5), (5, 4)):
        mode: Any = "truncate" if not first else "append"
        with ZarrStorage(path, write_mode=mode, chunks=1, shards=2) as storage:
            for number in range(first, first + count):
                storage.append(field(number), number / 4)
                accepted[0] = number + 1


def test_a_crash_before_any_call_that_changes_a_file_loses_no_accepted_field(
    ram: Path, request: pytest.FixtureRequest
) -> None:
    folder = ram / "live"
    folder.mkdir()
    images: list[tuple[str, Path, int]] = []
    accepted = [0]
    step = 1 if request.config.getoption("--campaign", default=False) else 5

    def before(call: Call) -> None:
        if len(faults.calls) % step == 0:
            image = ram / f"image-{len(images)}"
            shutil.copytree(folder, image)
            images.append((f"before {call.name} of {call.target}", image, accepted[0]))

    faults = Faults(before=before)
    with injected(faults, below=folder):
        use(folder / X, accepted)
    assert len(images) > 20
    for what, image, least in images:
        try:
            assert least <= held(image / X) <= least + 1
            if not (image / X).exists() and not (image / f"{X}-journal").exists():
                continue
            recover_store(image / X)
            assert least <= held(image / X) <= least + 1
            if (image / X / "zarr.json").exists():
                with xarray.open_zarr(image / X) as dataset:
                    assert dataset.sizes["time"] == held(image / X)
        except Exception as error:
            error.add_note(f"crash {what}")
            raise


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=["full", "broken"])
def test_a_disk_that_fails_at_any_call_loses_nothing_and_the_same_object_goes_on(
    ram: Path, number: int, request: pytest.FixtureRequest
) -> None:
    def work(path: Path, faults: Faults) -> None:
        def patiently(step: Any) -> None:
            try:
                step()
            except OSError:
                faults.heal()
                step()

        storage = ZarrStorage(path, chunks=1, shards=2)
        for n in range(5):
            patiently(lambda n=n: storage.append(field(n), n / 4))
        patiently(storage.close)

    with injected(Faults(), below=ram) as seen:
        work(ram / X, seen)
    step = 1 if request.config.getoption("--campaign", default=False) else 4
    for at in range(number % step, len(seen.calls), step):
        folder = ram / str(at)
        folder.mkdir()
        with injected(Faults(at, number), below=folder) as faults:
            work(folder / X, faults)
        assert held(folder / X) == 5, seen.calls[at]
        assert os.listdir(folder) == [X.name], seen.calls[at]
        shutil.rmtree(folder)


# An interrupt between the opening of a file and its being noted leaves it to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_at_the_keyboard_within_an_append_loses_nothing() -> None:
    chance = random.Random(9)  # noqa: S311 - a test to be repeated
    for turn in range(5):
        path, done = Path(f"{turn}.zarr"), 0
        storage = ZarrStorage(path, chunks=1, shards=2)
        storage.start_writing(field(0))
        timer = threading.Timer(chance.random() / 5, os.kill, (os.getpid(), signal.SIGINT))
        with contextlib.suppress(KeyboardInterrupt):
            timer.start()
            while True:
                storage.append(field(done), done / 4)
                done += 1
        timer.join()
        count = len(storage)
        assert count in (done, done + 1)
        for number in range(count, count + 3):
            storage.append(field(number), number / 4)
        storage.close()
        assert held(path) == count + 3
