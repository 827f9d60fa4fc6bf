"""The Data Loggers part of document 004 works as written there."""

import inspect
from multiprocessing import Process
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast import (
    DataLogger,
    LogArchiveReader,
    LogMessage,
    LogPackage,
    assemble_log_archives,
)

ONSET = 1_733_000_000_000_000


def parameters(of: Any) -> dict[str, Any]:
    return {
        name: p.default
        for name, p in inspect.signature(of).parameters.items()
        if name not in ("self", "layout", "max_unsynced")
    }


EMPTY = inspect.Parameter.empty


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        (
            DataLogger,
            {
                "output_directory": EMPTY,
                "instance_name": EMPTY,
                "thread_count": 5,
                "poll_interval": 5,
            },
        ),
        (LogArchiveReader, {"archive_path": EMPTY, "onset_us": None}),
        (LogArchiveReader.get_batches, {"workers": -1, "batch_multiplier": 4}),
        (LogArchiveReader.iter_messages, {"keys": None}),
        (
            assemble_log_archives,
            {
                "log_directory": EMPTY,
                "max_workers": None,
                "remove_sources": True,
                "memory_mapping": True,
                "verbose": False,
                "verify_integrity": False,
            },
        ),
        (
            LogPackage,
            {"source_id": EMPTY, "acquisition_time": EMPTY, "serialized_data": EMPTY},
        ),
    ],
)
def test_signatures_are_those_of_the_document(what: Any, expected: dict[str, Any]) -> None:
    assert parameters(what) == expected


def acquire(queue: "Queue[LogPackage]", source: int) -> None:
    onset = np.array([ONSET], np.int64).view(np.uint8)
    queue.put(LogPackage(np.uint8(source), np.uint64(0), onset))
    for number in range(1, 3001):
        data = np.array([number % 256, source], np.uint8)
        queue.put(LogPackage(np.uint8(source), np.uint64(number * 100), data))


def test_a_recording_goes_from_the_queue_to_archives_to_messages() -> None:
    logger = DataLogger(Path("data"), "session", thread_count=10, poll_interval=0)
    states = [logger.alive]
    logger.start()
    states.append(logger.alive)
    assert logger.name == "session"
    processes = [Process(target=acquire, args=(logger.input_queue, s)) for s in (11, 12)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    logger.stop()
    assert [*states, logger.alive] == [False, True, False]
    assert logger.output_directory == Path("data/session_data_log").absolute()

    assemble_log_archives(
        log_directory=logger.output_directory,
        max_workers=2,
        remove_sources=True,
        memory_mapping=False,
        verbose=False,
        verify_integrity=True,
    )
    assert {path.name for path in logger.output_directory.iterdir()} == {
        "11_log.npz",
        "12_log.npz",
    }

    reader = LogArchiveReader(archive_path=logger.output_directory / "12_log.npz")
    assert reader.onset_timestamp_us == ONSET
    assert isinstance(reader.onset_timestamp_us, np.uint64)
    assert reader.message_count == 3000
    batches = reader.get_batches(workers=4, batch_multiplier=4)
    assert len(batches) == 16
    worker = LogArchiveReader(reader_path(logger), onset_us=reader.onset_timestamp_us)
    found = [message for batch in batches for message in worker.iter_messages(keys=batch)]
    assert len(found) == 3000
    assert isinstance(found[0], LogMessage)
    assert found[9].timestamp_us == ONSET + 1000
    assert found[9].payload.tolist() == [10, 12]
    times, payloads = reader.read_all_messages()
    assert times.dtype == np.uint64
    assert [payload.dtype for payload in payloads[:2]] == [np.uint8, np.uint8]
    assert times.tolist() == [int(message.timestamp_us) for message in found]


def reader_path(logger: DataLogger) -> Path:
    return logger.output_directory / "12_log.npz"


def test_what_the_document_says_is_raised_is_raised() -> None:
    with pytest.raises(FileNotFoundError):
        LogArchiveReader(Path("missing_log.npz"))
    logger = DataLogger(Path("data"), "session")
    logger.put(1, 5, b"no onset")
    assemble_log_archives(logger.output_directory)
    reader = LogArchiveReader(logger.output_directory / "1_log.npz")
    with pytest.raises(ValueError, match="onset"):
        _ = reader.onset_timestamp_us


def test_a_package_gives_the_file_name_and_the_bytes_of_the_document() -> None:
    name, data = LogPackage(np.uint8(7), np.uint64(258), np.array([9, 8], np.uint8)).data
    assert name == "007_00000000000000000258.npy"
    assert data.tolist() == [7, 2, 1, 0, 0, 0, 0, 0, 0, 9, 8]
