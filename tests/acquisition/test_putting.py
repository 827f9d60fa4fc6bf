"""Putting messages: what is taken, what is refused, and what is there afterwards."""

import mmap
from typing import Any

import numpy as np
import pytest

from holdfast import (
    DataLogger,
    InvalidInputError,
    LogArchiveReader,
    LogPackage,
)
from holdfast.acquisition import sources_in
from messages import texts


def test_a_message_can_be_read_as_soon_as_put_has_returned() -> None:
    logger = DataLogger("out", "rig")
    for number in range(50):
        logger.put(7, number, b"message %d" % number)
        assert texts(logger, 7)[-1] == b"message %d" % number


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
