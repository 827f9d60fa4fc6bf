"""Putting messages: what is taken, who may put, and what is there afterwards."""

import gc
import itertools
import mmap
import multiprocessing
import os
import pickle
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import output, wait_until
from holdfast import (
    DataLogger,
    InvalidInputError,
    LogArchiveReader,
    LogPackage,
    StateError,
    assemble_log_archives,
)
from holdfast.acquisition import Producer, sources_in
from holdfast.acquisition._block import Block
from holdfast.acquisition._service import Service


def texts(logger: DataLogger, source: int | str) -> list[bytes]:
    reader = LogArchiveReader.live(logger.output_directory, source, onset_us=0)
    return [message.payload.tobytes() for message in reader.iter_messages()]


def test_a_message_can_be_read_as_soon_as_put_has_returned() -> None:
    logger = DataLogger("out", "rig")
    for number in range(50):
        logger.put(7, number, b"message %d" % number)
        assert texts(logger, 7)[-1] == b"message %d" % number


def test_messages_put_before_start_and_after_a_restart_are_kept() -> None:
    logger = DataLogger("out", "rig")
    logger.put(1, 1, b"before")
    logger.start()
    logger.put(1, 2, b"running")
    logger.stop()
    logger.start()
    logger.put(1, 3, b"again")
    logger.stop()
    logger.stop()
    assert texts(logger, 1) == [b"before", b"running", b"again"]


def test_a_logger_lives_between_start_and_stop_and_leaves_no_process() -> None:
    logger = DataLogger(Path("out"), "rig", thread_count=3, poll_interval=0)
    assert (logger.alive, logger.name) == (False, "rig")
    assert logger.output_directory == Path("out/rig_data_log").absolute()
    logger.start()
    logger.start()
    assert logger.alive
    pid = pid_of(logger)
    logger.stop()
    assert not runs(pid)
    assert logger._process is None


def test_after_stop_a_put_is_refused_with_the_remedy() -> None:
    with DataLogger("out", "rig") as logger:
        logger.put(1, 1, b"x")
    refused = pytest.raises(StateError, match=r"stopped.*start")
    with refused:
        logger.put(1, 2, b"y")
    with refused:
        logger.input_queue.put(LogPackage(np.uint8(1), np.uint64(2), np.zeros(1, np.uint8)))
    with refused:
        logger.put_many(1, [2], [b"y"])
    assert texts(logger, 1) == [b"x"]


def test_the_queue_takes_packages_and_never_fills() -> None:
    queue = DataLogger("out", "rig").input_queue
    queue.put(LogPackage(np.uint8(3), np.uint64(5), np.array([1, 2], np.uint8)))
    queue.put_nowait(LogPackage(np.uint8(3), np.uint64(6), np.array([], np.uint8)))
    assert (queue.qsize(), queue.empty(), queue.full()) == (0, True, False)
    with pytest.raises(InvalidInputError, match="LogPackage, not tuple"):
        queue.put((1, 2, b"x"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("source", "time", "payload", "message"),
    [
        (-1, 0, b"", "source must be .* not -1"),
        (65536, 0, b"", "65536"),
        (1.5, 0, b"", "1.5"),
        (None, 0, b"", "NoneType"),
        ("../up", 0, b"", "separator"),
        ("12", 0, b"", "pass 12 itself"),
        (1, -5, b"", "time must be .* not -5"),
        (1, 2**64, b"", "18446744073709551616"),
        (1, 0.5, b"", "float: 0.5"),
        (1, 0, "text", "payload must be bytes.*str: 'text'"),
        (1, 0, [1, 2], "list"),
        (1, 0, np.array([object()]), "ndarray"),
    ],
)
@pytest.mark.parametrize("known", [False, True])
def test_what_is_no_message_is_named_and_changes_nothing(
    source: Any, time: Any, payload: Any, message: str, *, known: bool
) -> None:
    logger = DataLogger("out", "rig")
    logger.put(1, 0, b"sound") if known else None
    with pytest.raises(InvalidInputError, match=message):
        logger.put(source, time, payload)
    logger.put(1, 1, b"later")
    assert texts(logger, 1) == ([b"sound"] if known else []) + [b"later"]


@pytest.mark.parametrize(
    "payload",
    [
        b"\1\2\3\4",
        bytearray(b"\1\2\3\4"),
        memoryview(b"\1\2\3\4"),
        np.array([[1, 2], [3, 4]], np.uint8),
        np.array([0x0201, 0x0403], "<u2"),
        np.array((0x0201, 0x0403), [("a", "<u2"), ("b", "<u2")]),
        np.array([[1, 0], [2, 0], [3, 0], [4, 0]], np.uint8)[:, 0],
    ],
)
def test_a_payload_is_the_bytes_of_anything_that_has_some(payload: Any) -> None:
    logger = DataLogger("out", "rig")
    logger.put(1, 0, payload)
    logger.put(1, 1, payload)
    assert texts(logger, 1) == [b"\1\2\3\4"] * 2


def test_payloads_of_every_size_are_kept_also_those_larger_than_a_block() -> None:
    logger = DataLogger("out", "rig")
    sizes = [0, 1, 70_000, 3, 20 << 20, 64, 1 << 16, 0]
    for number, size in enumerate(sizes):
        logger.put("camera", number, bytes([number]) * size)
    assert [len(text) for text in texts(logger, "camera")] == sizes
    with pytest.raises(InvalidInputError, match="at most 1073741824"):
        logger.put(1, 0, mmap.mmap(-1, (1 << 30) + 1))


def test_many_sources_with_numbers_and_names_stay_apart() -> None:
    logger = DataLogger("out", "rig")
    for number in range(3000):
        logger.put(number, number, b"%d" % number)
        logger.put(f"s{number}", number, b"named %d" % number)
    found = sources_in(logger.output_directory)
    assert found[:3000] == list(range(3000))
    assert len(found) == 6000
    assert texts(logger, 2999) == [b"2999"]
    assert texts(logger, "s17") == [b"named 17"]


def test_put_many_keeps_rows_of_an_array_and_items_of_a_list_across_blocks() -> None:
    logger = DataLogger("out", "rig")
    rows = np.arange(300_000 * 4, dtype=np.uint8).reshape(-1, 4)
    logger.put_many("array", np.arange(len(rows)), rows)
    logger.put_many("list", [1, 2, 3], [b"one", b"", b"three"])
    logger.put_many("list", [], [])
    reader = LogArchiveReader.live(logger.output_directory, "array", onset_us=0)
    assert np.array_equal(reader.decode("4u1"), rows)
    assert texts(logger, "list") == [b"one", b"", b"three"]


@pytest.mark.parametrize(
    ("times", "payloads", "message"),
    [
        ([1, 2], [b"x"], "2 times and 1 payloads"),
        ([1.5], [b"x"], "float64"),
        ([-1], [b"x"], "-1"),
        ([1], b"x", "list of payloads"),
        ([1], ["x"], "str"),
    ],
)
def test_put_many_names_what_does_not_fit(times: Any, payloads: Any, message: str) -> None:
    logger = DataLogger("out", "rig")
    with pytest.raises(InvalidInputError, match=message):
        logger.put_many(1, times, payloads)
    assert sources_in(logger.output_directory) == []


def put_some(producer: Producer, source: int, count: int) -> None:
    for number in range(count):
        producer.put(source, number, b"%d" % number)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_forked_and_spawned_processes_put_into_the_same_folder(method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    with DataLogger("out", "rig") as logger:
        logger.put(0, 0, b"parent")
        children = [
            context.Process(target=put_some, args=(logger.producer, source, 500))
            for source in (1, 2)
        ]
        for child in children:
            child.start()
        put_some(logger.producer, 3, 500)
        for child in children:
            child.join()
            assert child.exitcode == 0
    for source in (1, 2, 3):
        assert texts(logger, source) == [b"%d" % number for number in range(500)]


def test_threads_keep_their_order_and_lend_their_blocks_to_later_ones() -> None:
    logger = DataLogger("out", "rig")
    barrier = threading.Barrier(8)

    def work(source: int) -> None:
        barrier.wait()
        put_some(logger.producer, source, 3000)

    for _ in range(3):
        threads = [threading.Thread(target=work, args=(source,)) for source in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(logger.producer._lanes) <= 17
    for source in range(8):
        found = texts(logger, source)
        assert sorted(found) == sorted([b"%d" % number for number in range(3000)] * 3)


def test_a_signal_handler_may_put_in_the_middle_of_a_put() -> None:
    logger = DataLogger("out", "rig")
    numbers = itertools.count()

    def handler(*_: object) -> None:
        number = next(numbers)
        logger.put("handler", number, b"%d" % number)
        signal.setitimer(signal.ITIMER_REAL, 0.0005)  # not before its end: it would nest for ever

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0005)
    try:
        put_some(logger.producer, 1, 100_000)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    seen = next(numbers)
    assert seen
    assert texts(logger, "handler") == [b"%d" % number for number in range(seen)]
    assert texts(logger, 1) == [b"%d" % number for number in range(100_000)]


# The handler may also meet a callback of the garbage collector, whose exceptions go nowhere.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_exceptions_in_the_middle_of_puts_lose_and_tear_nothing() -> None:
    logger = DataLogger("out", "rig")
    returned = []

    def handler(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, handler)
    number = 0
    try:
        while number < 60_000:
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0004)
                while number < 60_000:
                    number += 1
                    logger.put(1, number, b"%d" % number)
                    returned.append(number)
            except KeyboardInterrupt:
                continue
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    reader = LogArchiveReader.live(logger.output_directory, 1, onset_us=0)
    found = [int(message.payload.tobytes()) for message in reader.iter_messages()]
    assert [int(message.timestamp_us) for message in reader.iter_messages()] == found
    assert len(found) == len(set(found))
    assert set(returned) <= set(found)


def test_a_child_that_is_forked_while_threads_put_puts_for_itself() -> None:
    logger = DataLogger("out", "rig")
    logger.put(1, 0, b"parent")
    pid = os.fork()
    if pid == 0:
        try:
            logger.put(1, 1, b"child")
        finally:
            os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    logger.put(1, 2, b"parent again")
    assert texts(logger, 1) == [b"parent", b"child", b"parent again"]
    assert len(list(logger.output_directory.glob("producer-*"))) == 2


def test_handles_are_pickled_as_what_they_need_to_write() -> None:
    logger = DataLogger("out", "rig")
    for handle in (logger.producer, logger.input_queue):
        again = pickle.loads(pickle.dumps(handle))
        assert type(again) is type(handle)
    pickle.loads(pickle.dumps(logger.producer)).put(1, 1, b"by a copy")
    assert texts(logger, 1) == [b"by a copy"]


def test_a_worker_that_unpickles_a_producer_for_each_task_makes_no_more_folders() -> None:
    handle = pickle.dumps(DataLogger("out", "rig").producer)
    program = """
        import os, sys
        import pickle
        handle = bytes.fromhex(sys.argv[1])
        for number in range(100):
            pickle.loads(handle).put(1, number, b"task")
        print(len(os.listdir("out/rig_data_log")))
        """
    assert int(output(program, handle.hex())) <= 3  # as often as garbage was collected


def test_a_producer_that_is_garbage_lets_go_of_its_folder() -> None:
    logger = DataLogger("out", "rig")
    logger.put(1, 1, b"kept")
    folder = logger.output_directory
    del logger
    gc.collect()
    assemble_log_archives(folder)
    assert [path.name for path in folder.iterdir()] == ["1_log.npz"]


def test_a_program_that_ends_without_stop_loses_nothing_and_leaves_no_process() -> None:
    pid = output(
        """
        from holdfast import DataLogger
        logger = DataLogger("out", "rig")
        logger.start()
        for number in range(5000):
            logger.put(1, number, b"%d" % number)
        print(logger._process.pid)
        """
    )
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)
    assert texts(DataLogger("out", "rig"), 1) == [b"%d" % number for number in range(5000)]


def test_a_killed_logger_process_is_started_again_and_nothing_is_lost() -> None:
    with DataLogger("out", "rig") as logger:
        for number in range(3):
            pid = pid_of(logger)
            logger.put(1, number, b"%d" % number)
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: pid != pid_of(logger) and logger.alive)  # noqa: B023 - called now
    assert texts(logger, 1) == [b"0", b"1", b"2"]


def test_the_logger_process_ends_when_its_parent_is_killed() -> None:
    pid = output(
        """
        import os, signal, subprocess, sys
        program = (
            "import os, signal; from holdfast import DataLogger; l = DataLogger('out', 'rig');"
            "l.start(); l.put(1, 1, b'kept'); print(l._process.pid, flush=True);"
            "os.kill(os.getpid(), signal.SIGKILL)"
        )
        print(subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE,
                             text=True).stdout)
        """
    )
    wait_until(lambda: not runs(int(pid)))
    assert texts(DataLogger("out", "rig"), 1) == [b"kept"]


def pid_of(logger: DataLogger) -> int:
    assert logger._process is not None
    return logger._process.pid


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"instance_name": "a/b"}, "separator"),
        ({"instance_name": ""}, "empty"),
        ({"instance_name": "a", "thread_count": 0}, "thread_count.*0"),
        ({"instance_name": "a", "poll_interval": -1}, "poll_interval.*-1"),
        ({"instance_name": "a", "max_unsynced": "big"}, "max_unsynced.*'big'"),
    ],
)
def test_wrong_settings_are_named(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        DataLogger("out", **keywords)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ((256, 0, b""), "source_id .* 256"),
        (("camera", 0, b""), "'camera'"),
        ((1, -1, b""), "-1"),
        ((1, 1, np.array([256, 257], np.uint16)), "uint16"),
        ((1, 1, np.zeros((2, 2), np.uint8)), r"\(2, 2\)"),
        ((1, 1, "text"), "str: 'text'"),
    ],
)
def test_a_package_says_which_of_its_fields_is_wrong(fields: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        LogPackage(*fields)


class Interrupting(int):
    """A source that lets something happen in the middle of a put, as a signal handler may."""

    action: Any

    def __hash__(self) -> int:
        action, type(self).action = type(self).action, lambda: None
        action()
        return int.__hash__(self)


@pytest.mark.parametrize("again", [False, True])
def test_a_stop_in_the_middle_of_a_put_does_not_lose_its_message(*, again: bool) -> None:
    logger = DataLogger("out", "rig")
    logger.start()
    logger.put(1, 0, b"before")

    def stop() -> None:
        logger.stop()
        logger.start() if again else None

    Interrupting.action = stop
    logger.put(Interrupting(1), 1, b"within")
    Service(logger.output_directory).round(sync=True)
    assert texts(logger, 1) == [b"before", b"within"]
    assemble_log_archives(logger.output_directory)
    assert texts(logger, 1) == [b"before", b"within"]
    logger.stop()


def test_a_block_that_is_ready_after_a_stop_and_a_start_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stopped = threading.Event()
    monkeypatch.setattr(Block, "populate", lambda block: stopped.wait())
    logger = DataLogger("out", "rig")
    logger.start()
    rows = np.zeros((6000, 64), np.uint8)
    logger.put_many(1, range(6000), rows)  # a block is in the making for this thread
    (lane,) = logger.producer._lanes
    assert lane.awaits
    logger.stop()
    logger.start()
    stopped.set()
    wait_until(lambda: not lane.awaits)
    logger.put_many(1, range(6000), rows)
    Service(logger.output_directory).round(sync=True)
    logger.stop()
    assert len(texts(logger, 1)) == 12_000


def test_loggers_of_one_name_in_two_folders_do_not_meet() -> None:
    with DataLogger("a", "rig") as first, DataLogger("b", "rig") as second:
        first.put(1, 1, b"first")
        second.put(1, 1, b"second")
        assert first.alive
        assert second.alive
    assert texts(first, 1) == [b"first"]
    assert texts(second, 1) == [b"second"]


def test_two_loggers_in_one_folder_keep_the_messages_of_both() -> None:
    with DataLogger("out", "rig") as first, DataLogger("out", "rig") as second:
        for number in range(100):
            first.put(1, number, b"first")
            second.put(1, number, b"second")
    assert sorted(texts(first, 1)) == [b"first"] * 100 + [b"second"] * 100


def test_blocks_are_sealed_and_cut_while_the_logger_runs() -> None:
    with DataLogger("out", "rig", max_unsynced=1 << 20) as logger:
        for number in range(60_000):
            logger.put(1, number, bytes(64))
    blocks = list(logger.output_directory.glob("producer-*/*.block"))
    assert len(blocks) > 3
    size = sum(path.stat().st_size for path in blocks)
    assert size < 60_000 * 80 * 1.5
    assert len(texts(logger, 1)) == 60_000
