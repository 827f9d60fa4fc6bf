"""What producers in other processes hear of their logger: its end, its restart, its problems."""

import contextlib
import json
import multiprocessing
import os
import pickle
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers import HANG, end, python, start, wait_until
from holdfast import DataLogger, LogArchiveReader, LogPackage, StateError, assemble_log_archives
from holdfast.acquisition import Producer, _watchdog, sources_in
from holdfast.acquisition._notice import Notice, remove_notices
from holdfast.journal import writer_lives

BREAKABLE_DISK = """
import errno, os
real = os.fsync
def fsync(descriptor):
    if os.path.exists("broken"):
        raise OSError(errno.EIO, "the disk failed")
    real(descriptor)
os.fsync = fsync
"""
"""Lets the logger process meet a failing disk while there is a file ``broken``."""


def put_until_told(handle: Any, source: int, results: Any) -> None:
    """Put for ever, and send each refusal that is news, with the count of messages kept."""
    put, kept, sent = handle.put, 0, ("", -1)
    results.send("begun")
    while True:
        try:
            if isinstance(handle, Producer):
                put(source, kept, b"%d" % kept)
            else:
                put(LogPackage(source, kept, b"%d" % kept))  # type: ignore[arg-type]
            kept += 1
        except (OSError, StateError) as error:
            if sent != (type(error).__name__, kept):  # else it would fill the pipe, and wait
                sent = type(error).__name__, kept
                results.send((sent[0], str(error), kept))
        time.sleep(0.002)


@contextlib.contextmanager
def child_of(handle: Any, method: str = "fork", source: int = 1) -> Iterator[Any]:
    """Run a process that puts, until it is killed; yield what it sends."""
    context: Any = multiprocessing.get_context(method)
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=put_until_told, args=(handle, source, sending))
    process.start()
    sending.close()
    try:
        assert receiving.poll(HANG)
        assert receiving.recv() == "begun"
        yield receiving
    finally:
        process.kill()
        process.join()
        receiving.close()


def heard(receiving: Any) -> tuple[str, str, int]:
    assert receiving.poll(HANG), "nothing was heard"
    name, text, kept = receiving.recv()
    return name, text, kept


def count(logger: DataLogger, source: int = 1) -> int:
    if source not in sources_in(logger.output_directory):
        return 0
    return LogArchiveReader.live(logger.output_directory, source, onset_us=0).message_count


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_after_stop_puts_of_other_processes_are_refused_too(method: str) -> None:
    logger = DataLogger("out", "rig")
    logger.start()
    with child_of(logger.producer, method) as receiving:
        wait_until(lambda: count(logger))
        logger.stop()
        name, text, kept = heard(receiving)
        assert name == "StateError"
        assert "stopped" in text
        assert "start()" in text
        folder = logger.output_directory
        wait_until(lambda: not any(map(writer_lives, folder.glob("producer-*"))))  # let go of
        assemble_log_archives(folder)
        assert kept == count(logger)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_what_the_logger_process_meets_is_raised_by_puts_of_other_processes(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_watchdog, "_PROGRAM", f"{BREAKABLE_DISK}\n{_watchdog._PROGRAM}")
    logger = DataLogger("out", "rig")
    logger.start()
    with child_of(logger.input_queue, method) as receiving:
        wait_until(lambda: count(logger))
        Path("broken").touch()
        name, text, before = heard(receiving)
        assert name == "OSError"
        assert "the disk failed" in text
        assert "kept" in text
        assert heard(receiving)[0] == "OSError"  # again, as long as it fails
        wait_until(lambda: not logger.alive)
        Path("broken").unlink()
        wait_until(lambda: count(logger) > before + 100)  # it goes on
        with pytest.raises(OSError, match="the disk failed"):
            logger.stop()
        while (found := heard(receiving))[0] == "OSError":
            continue
        assert found[0] == "StateError"


def test_a_logger_that_is_started_again_takes_puts_of_other_processes_again() -> None:
    logger = DataLogger("out", "rig")
    logger.start()
    with child_of(logger.producer) as receiving:
        for _ in range(3):
            before = count(logger)
            wait_until(lambda: count(logger) > before)  # noqa: B023 - called now
            logger.stop()
            name, _, kept = heard(receiving)
            assert name == "StateError"
            assert count(logger) == kept
            logger.start()
        logger.stop()


PUT_FIRST = """
    import pickle, sys
    pickle.loads(bytes.fromhex(sys.argv[1])).put(1, 0, b"late")
    """


def test_a_process_that_puts_first_after_stop_is_refused() -> None:
    logger = DataLogger("out", "rig")
    handle = pickle.dumps(logger.producer)
    logger.start()
    logger.stop()
    assert "StateError" in python(PUT_FIRST, handle.hex()).stderr
    assert count(logger) == 0


def test_after_stop_and_assembly_no_notice_is_left_and_what_comes_late_is_kept() -> None:
    logger = DataLogger("out", "rig")
    logger.put(2, 0, b"own")
    handle = pickle.dumps(logger.producer)
    logger.start()
    logger.stop()
    assemble_log_archives(logger.output_directory)
    assert os.listdir(logger.output_directory) == ["2_log.npz"]
    assert python(PUT_FIRST, handle.hex()).stderr == ""
    assert count(logger) == 1
    logger.start()
    assert list(logger.output_directory.glob("recording-*"))
    logger.stop()


def test_a_notice_by_which_its_owner_goes_on_survives_an_assembly_that_saw_it_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logger = DataLogger("out", "rig")
    pickle.dumps(logger.producer)
    logger.start()
    logger.stop()
    rename = os.rename

    def started_meanwhile(source: Path, target: Path) -> None:
        monkeypatch.setattr(os, "rename", rename)
        logger.start()
        rename(source, target)

    monkeypatch.setattr(os, "rename", started_meanwhile)
    remove_notices(logger.output_directory)
    told = logger.producer.notice.read()
    logger.stop()
    assert told
    assert not told.stopped


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_process_begun_after_stop_is_refused_until_the_logger_is_started_again(
    method: str,
) -> None:
    logger = DataLogger("out", "rig")
    logger.start()
    logger.stop()
    with child_of(logger.producer, method) as receiving:
        assert heard(receiving)[0] == "StateError"
        assert count(logger) == 0
        logger.start()
        wait_until(lambda: count(logger))
        logger.stop()


def test_a_new_recording_in_the_folder_does_not_hear_of_the_end_of_the_one_before() -> None:
    first = DataLogger("out", "rig")
    first.start()
    second = DataLogger("out", "rig")
    second.start()
    with child_of(first.producer, source=1) as old, child_of(second.producer, source=2) as new:
        wait_until(lambda: count(first, 1) and count(second, 2))
        first.stop()
        assert heard(old)[0] == "StateError"
        before = count(second, 2)
        wait_until(lambda: count(second, 2) > before + 100)
        assert not new.poll(0)
        second.stop()
        assert heard(new)[0] == "StateError"


def test_processes_whose_parent_is_killed_go_on_and_assembly_tidies_after_all() -> None:
    parent = start(
        """
        import os, signal, time
        from holdfast import DataLogger
        logger = DataLogger("out", "rig")
        logger.start()
        child = os.fork()
        if not child:
            for number in range(10**9):
                logger.put(1, number, b"x")
                time.sleep(0.001)
        logger.put(2, 0, b"x")
        print(child, flush=True)
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        process_group=0,
    )
    logger = DataLogger("out", "rig")
    try:
        assert parent.wait(HANG) == -signal.SIGKILL
        wait_until(lambda: count(logger))
        assemble_log_archives(logger.output_directory)
        assert list(logger.output_directory.glob("recording-*"))
        before = count(logger)
        wait_until(lambda: count(logger) > before + 1500)  # for longer than a look takes to come
    finally:
        os.killpg(parent.pid, signal.SIGKILL)
        end(parent)
    assemble_log_archives(logger.output_directory)
    names = sorted(path.name for path in logger.output_directory.iterdir())
    assert names == ["1_log.npz", "2_log.npz"]


def test_a_forked_child_sees_whether_the_logger_process_runs() -> None:
    logger = DataLogger("out", "rig")
    logger.start()
    wait_until(lambda: writer_lives(logger.output_directory / "logger"))
    receiving, sending = multiprocessing.Pipe(duplex=False)
    child = os.fork()
    if not child:
        try:
            sending.send(logger.alive)
            wait_until(lambda: not logger.alive)
            sending.send("ended")
        finally:
            os._exit(0)
    assert receiving.recv() is True
    logger.stop()
    assert receiving.poll(HANG)
    assert receiving.recv() == "ended"
    os.waitpid(child, 0)


def test_a_recording_of_one_process_leaves_nothing_but_its_messages() -> None:
    with DataLogger("out", "rig") as logger:
        logger.put(1, 0, b"x")
    assemble_log_archives(logger.output_directory)
    assert [path.name for path in logger.output_directory.iterdir()] == ["1_log.npz"]


def test_a_full_disk_does_not_keep_others_from_hearing_of_the_end(small_disk: Path) -> None:
    logger = DataLogger(small_disk, "rig")
    logger.start()
    with child_of(logger.producer) as receiving:
        wait_until(lambda: count(logger) and any(small_disk.glob("*/logger/lock")))
        with (small_disk / "filler").open("wb", buffering=0) as file, pytest.raises(OSError):  # noqa: PT011, PT012 - any
            while True:
                file.write(bytes(4096))
        with contextlib.suppress(OSError):  # its process meets the full disk, too
            logger.stop()
        found = heard(receiving)
        while found[0] == "OSError":  # its own puts
            found = heard(receiving)
        assert found[0] == "StateError"


def test_a_notice_that_is_damaged_says_nothing() -> None:
    Path("out").mkdir()
    notice = Notice(Path("out"), "1")
    notice.own()
    notice.share()
    notice.tell(error=OSError(5, "broken " * 1000, "/x" * 1000))
    told = notice.read()
    assert told is not None
    assert (told.stopped, told.problems) == (False, 1)
    assert isinstance(told.error, OSError)
    (path,) = Path("out").iterdir()
    sound = path.read_bytes()
    assert json.loads(sound[17:])["problems"] == 1
    assert len(sound) == 4096
    for at in range(len(sound.rstrip())):
        path.write_bytes(sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1 :])
        assert Notice(Path("out"), "1").read() is None, at
    path.unlink()
    assert Notice(Path("out"), "1").read() is None
    notice.tell(stopped=True)
    again = notice.read()
    assert again is not None
    assert (again.stopped, again.problems) == (True, 1)


@pytest.mark.parametrize("letter", ["x", "\x01", "é", "\U0001f600", "\udc80", '"', "\n"])
def test_a_notice_holds_the_beginning_of_errors_of_any_length(letter: str) -> None:
    Path("out").mkdir()
    notice = Notice(Path("out"), "1")
    notice.own()
    notice.share()
    notice.tell(error=OSError(5, letter * 10_000, f"/{letter}" * 10_000))
    told = notice.read()
    assert told is not None
    assert isinstance(told.error, OSError)
    assert letter * 100 in str(told.error.strerror)
