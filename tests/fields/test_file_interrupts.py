"""Interrupts and full disks within `FileStorage.append`."""

import linecache
import resource
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import h5py
import numpy as np
import pytest

import holdfast.fields._file_writer as writing
from holdfast.fields import FileStorage


def engines() -> int:
    return sum(thread.name == "holdfast-hdf5" for thread in threading.enumerate())


def letting_go(frame: FrameType) -> bool:
    """Whether a lock is about to be removed; an interrupt just then leaves it until the exit."""
    line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
    return line in ("if lock is not None:", "lock.remove()")


def interrupted_at(line: int, storage: FileStorage, field: Any) -> bool:
    """Append with an interrupt at one of the lines of the writer; tell whether it was."""
    left = line

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if frame.f_code.co_filename != writing.__file__:
            return None
        if event == "line" and not letting_go(frame):
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        storage.append(field, 0)
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def test_an_interrupt_while_a_file_is_replaced_leaves_the_old_or_the_new_one_and_no_thread() -> (
    None
):
    before, line, interrupted = engines(), 0, True
    while interrupted:
        line += 1
        with FileStorage("x.h5") as storage:
            storage.append(np.zeros((4, 4)), 0)
        storage = FileStorage("x.h5")
        storage.start_writing(np.ones((4, 4)))
        interrupted = interrupted_at(line, storage, np.ones((4, 4)))
        if not interrupted:
            storage.close()
        again = FileStorage("x.h5", write_mode="append")
        again.append(np.full((4, 4), 2.0), 5)
        again.close()
        assert FileStorage("x.h5", write_mode="readonly").data[:, 0, 0].tolist()[-1] == 2
        assert engines() == before, line
        assert [path.name for path in Path().iterdir()] == ["x.h5"]
    assert line > 20


def test_fields_whose_append_returned_before_an_interrupt_are_kept_and_the_next_goes_on() -> None:
    code = """
        import os, signal, sys, threading, time
        import numpy as np
        from holdfast.fields import FileStorage
        def interrupt():
            ready.wait()
            for _ in range(40):
                time.sleep(0.003)
                os.kill(os.getpid(), signal.SIGINT)
        ready = threading.Event()
        helper = threading.Thread(target=interrupt, daemon=True)
        helper.start()
        storage = FileStorage("x.h5", interval=0.01, journal_bytes=1 << 20)
        storage.append(np.full((64, 64), 0.0), 0)
        kept, tried, interrupts = [0], 1, 0
        while helper.is_alive():
            try:
                ready.set()
                while helper.is_alive():
                    tried += 1
                    storage.append(np.full((64, 64), float(tried)), tried)
                    kept.append(tried)
            except KeyboardInterrupt:
                interrupts += 1
        while True:
            try:
                storage.close()
                break
            except KeyboardInterrupt:
                pass
        read = FileStorage("x.h5", write_mode="readonly")
        times = read.times
        assert set(kept) <= set(times.tolist()), sorted(set(kept) - set(times.tolist()))[:5]
        assert (read.data[:, 0, 0] == times).all() and (read.data[:, 63, 63] == times).all()
        assert interrupts
        print("whole")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stdout.strip() == "whole", done.stderr


def test_appending_goes_on_when_a_full_disk_has_room_again() -> None:
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    storage = FileStorage("x.h5", interval=3600)
    kept = []
    storage.append(np.zeros((128, 128)), 0)
    kept.append(0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, old[1]))
    try:
        with pytest.raises(OSError, match="File too large"):  # noqa: PT012 - which one meets it is open
            for n in range(1, 1000):
                storage.append(np.full((128, 128), float(n)), n)
                kept.append(n)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)
    last = kept[-1] + 1
    assert FileStorage("x.h5", write_mode="readonly").times.tolist() == kept
    for n in range(last, last + 20):
        storage.append(np.full((128, 128), float(n)), n)
        kept.append(n)
    storage.close()
    with h5py.File("x.h5") as plain:
        assert plain["times"][:].tolist() == kept
        assert (plain["data"][:, 5, 5] == kept).all()


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("room", [0, 5000, 400_000])
@pytest.mark.parametrize("sync", ["background", "always"])
def test_a_full_disk_names_the_file_at_each_call_and_the_same_storage_goes_on(
    sync: Any, room: int, *, there: bool
) -> None:
    if there:
        with FileStorage("heat.h5") as storage:
            storage.append(np.zeros((64, 64)), 0)
    kept: list[float] = []
    storage = FileStorage("heat.h5", sync=sync, compression="gzip", chunk_shape=16)
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, old[1]))
    try:
        for _ in range(3):
            with pytest.raises(OSError, match=r"File too large.*heat\.h5"):  # noqa: PT012 - which one meets it is open
                for n in range(1000):
                    storage.append(np.full((64, 64), float(n)), len(kept))
                    kept.append(float(n))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)
    storage.append(np.full((64, 64), 7.0), len(kept))
    storage.close()
    assert FileStorage("heat.h5", write_mode="readonly").data[:, 5, 5].tolist() == [*kept, 7.0]
