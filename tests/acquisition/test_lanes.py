"""Who may put: threads, forked and spawned processes, signal handlers, interrupted calls."""

import gc
import itertools
import multiprocessing
import os
import pickle
import signal
import threading
from typing import Any

import pytest

from helpers import open_files, output
from holdfast import (
    DataLogger,
    LogArchiveReader,
    assemble_log_archives,
)
from holdfast.acquisition._service import Service
from messages import put_some, texts


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


def test_a_thread_has_one_file_open_for_the_block_it_fills() -> None:
    logger = DataLogger("out", "rig")
    logger.put(1, 0, b"x")
    opened = open_files(logger.output_directory)
    assert len([path for path in opened if path.endswith(".block")]) == 1


def test_with_few_files_allowed_many_threads_put_and_all_is_assembled_and_read() -> None:
    counts = output(
        """
        import resource, threading
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
        from holdfast import DataLogger, LogArchiveReader, assemble_log_archives
        logger, barrier = DataLogger("out", "rig"), threading.Barrier(150, timeout=50)
        logger.start()
        def work(source):
            barrier.wait()
            logger.put(source, 0, b"x")
            barrier.wait()  # all blocks are open at once
        threads = [threading.Thread(target=work, args=(n,)) for n in range(150)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        logger.stop()
        assemble_log_archives(logger.output_directory)
        archives = list(logger.output_directory.glob("*.npz"))
        print(len(archives), sum(LogArchiveReader(path, 0).message_count for path in archives))
        """
    )
    assert counts == "150 150"
