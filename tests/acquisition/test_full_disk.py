"""Full disks, slow disks, and file systems where nothing is mapped."""

import contextlib
import errno
import os
import threading
import time
from pathlib import Path

import pytest

from helpers import HANG, wait_until
from holdfast import DataLogger, LogArchiveReader, assemble_log_archives
from holdfast.acquisition import _ahead, _block, _service
from holdfast.acquisition._block import Block
from holdfast.acquisition._stored import StoredBlock, block_paths, producer_folders
from holdfast.testing.faults import Faults, injected


def numbers(logger: DataLogger) -> list[int]:
    reader = LogArchiveReader.live(logger.output_directory, 1, onset_us=0)
    return [int(message.payload[:9].tobytes()) for message in reader.iter_messages()]


def test_a_full_disk_is_an_error_of_put_and_the_same_logger_goes_on(small_disk: Path) -> None:
    logger = DataLogger(small_disk, "rig")
    filler = small_disk / "filler"
    filler.write_bytes(bytes(200 << 10))
    kept: list[int] = []

    def fill() -> None:
        while True:
            logger.put(1, len(kept), b"%09d" % len(kept) + bytes(100))
            kept.append(len(kept))

    for _ in range(3):  # a block that was being prepared may come in late
        with pytest.raises(OSError, match="No space") as raised:
            fill()
        assert raised.value.errno == errno.ENOSPC
        assert numbers(logger) == kept
    filler.unlink()
    logger.put(1, 100_001, b"%09d" % 100_001)
    assert numbers(logger) == [*kept, 100_001]


def test_a_put_waits_for_the_block_in_the_making_that_has_the_last_of_the_disk(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk_is_full = threading.Event()
    populate = Block.populate

    def late(block: Block) -> None:
        assert disk_is_full.wait(HANG)
        time.sleep(0.1)
        populate(block)

    monkeypatch.setattr(Block, "populate", late)
    monkeypatch.setattr(_ahead, "LARGEST_BLOCK", 1 << 17)
    logger = DataLogger(small_disk, "rig")
    made = 0
    for number in range(2400):
        logger.put(1, number, b"%09d" % number + bytes(91))
        if not disk_is_full.is_set() and made > 1:
            wait_until(lambda: len(list(small_disk.rglob("*.block"))) == 3)
            with pytest.raises(OSError, match="No space"):
                fill(small_disk / "filler")
            disk_is_full.set()
        made = len(list(small_disk.rglob("*.block"))) if number % 100 == 0 else made
    assert disk_is_full.is_set()
    assert numbers(logger) == list(range(2400))


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        while True:
            os.write(file.fileno(), bytes(4096))


def test_an_assembly_on_a_full_disk_leaves_everything_as_it_was(small_disk: Path) -> None:
    logger = DataLogger(small_disk, "rig")
    for number in range(2000):
        logger.put(1, number, b"%09d" % number + bytes(60))
    logger.start()
    logger.stop()
    filler = small_disk / "filler"
    filler.write_bytes(bytes(200 << 10))
    with pytest.raises(OSError, match="No space"):
        assemble_log_archives(logger.output_directory)
    assert numbers(logger) == list(range(2000))
    assert not list(logger.output_directory.rglob("*.npz"))
    filler.unlink()
    assemble_log_archives(logger.output_directory)
    assert numbers(logger) == list(range(2000))


def test_put_many_on_a_full_disk_tells_how_many_are_kept(small_disk: Path) -> None:
    logger = DataLogger(small_disk, "rig")
    texts = [b"%09d" % number + bytes(100) for number in range(20_000)]
    with pytest.raises(OSError, match="No space") as raised:
        logger.put_many(1, range(20_000), texts)
    found = numbers(logger)
    assert raised.value.__notes__ == [f"{len(found)} of 20000 messages are kept"]
    assert found == list(range(len(found)))


def test_where_nothing_can_be_mapped_messages_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_block, "can_map", lambda folder: False)
    logger = DataLogger("out", "rig")
    for number in range(3000):
        logger.put(1, number, b"%09d" % number + bytes(number % 50))
    logger.put_many(1, [3000, 3001], [b"%09d" % 3000, b"%09d" % 3001])
    logger.start()
    logger.stop()
    assert numbers(logger) == list(range(3002))


def test_a_disk_that_fails_while_the_logger_syncs_is_told_and_loses_nothing() -> None:
    logger = DataLogger("out", "rig")
    for number in range(5000):
        logger.put(1, number, b"%09d" % number)
    service = _service.Service(logger.output_directory)
    step = 0
    while True:
        faults = Faults(at=step, error=errno.EIO)
        try:
            with injected(faults, below=logger.output_directory):
                service.round(sync=True)
        except OSError as error:
            assert error.errno == errno.EIO  # noqa: PT017 - not every step is met
        assert numbers(logger) == list(range(5000))
        if len(faults.calls) <= step:
            break
        step += 1
        logger.put(2, step, b"more")
    assert step > 3


def test_what_the_logger_process_met_is_raised_by_put_and_by_stop_and_seen_in_alive() -> None:
    logger = DataLogger("out", "rig")
    logger.put(1, 1, b"%09d" % 1)
    logger.start()
    logger._met(OSError(errno.EIO, "the disk failed"))
    assert not logger.alive
    with pytest.raises(OSError, match="the disk failed"):
        logger.put(1, 2, b"%09d" % 2)
    logger.put(1, 3, b"%09d" % 3)
    with pytest.raises(OSError, match="the disk failed"):
        logger.stop()
    assert numbers(logger) == [1, 3]


def test_a_producer_may_not_be_further_ahead_of_the_disk_than_asked_for() -> None:
    with DataLogger("out", "rig", max_unsynced=1 << 20) as logger:
        most = 0
        for number in range(100_000):
            logger.put(1, number, b"%09d" % number + bytes(91))
            if number % 5000 == 0:
                most = max(most, unsynced(logger.output_directory))
    assert most <= (1 << 20) + (3 << 24)
    assert numbers(logger) == list(range(100_000))


def unsynced(folder: Path) -> int:
    total = 0
    for path in folder.glob("producer-*/*.block"):
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:  # was not needed
            if not any(os.pread(file.fileno(), 8, 264)):
                total += path.stat().st_size
    return total


def test_a_block_that_cannot_be_read_is_told_and_others_are_sealed() -> None:
    logger = DataLogger("out", "rig")
    logger.put(1, 1, b"kept")
    (producer,) = producer_folders(logger.output_directory)
    (block,) = block_paths(producer)
    block.with_name("000" + block.name).symlink_to(producer / block.name)  # it comes first
    with pytest.raises(OSError, match=r"[Ll]inks"):
        _service.Service(logger.output_directory).round(sync=True)
    stored = StoredBlock(block)
    assert max(stored.states().marks)[0] == 1
    stored.close()
