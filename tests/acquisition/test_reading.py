"""Reading archives: one by one, as columns, in batches, across sources; and damage."""

import os
import pickle
import threading
import zipfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast import (
    DataLogger,
    FormatError,
    IntegrityError,
    InvalidInputError,
    LogArchiveReader,
    LogMessage,
    MissingFileError,
    NotFoundError,
    assemble_log_archives,
)
from holdfast.acquisition._keys import KeyBatch

ONSET = 1_700_000_000_000_000


def archive(count: int = 10, source: int | str = 1, *, onset: bool = True, step: int = 10) -> Path:
    logger = DataLogger("out", f"rig{source}")
    if onset:
        logger.put(source, 0, np.array([ONSET], "<u8"))
    logger.put_many(
        source,
        np.arange(1, count + 1) * step,
        [b"%d" % number for number in range(count)],
    )
    logger.start()
    logger.stop()
    assemble_log_archives(logger.output_directory)
    return logger.output_directory / f"{source}_log.npz"


def test_messages_have_their_time_since_the_epoch_and_the_onset_is_none_of_them() -> None:
    reader = LogArchiveReader(archive())
    assert reader.message_count == 10
    assert reader.onset_timestamp_us == ONSET
    found = list(reader.iter_messages())
    assert all(isinstance(message, LogMessage) for message in found)
    assert found[3].timestamp_us == ONSET + 40
    assert isinstance(found[3].timestamp_us, np.uint64)
    assert found[3].payload.dtype == np.uint8
    assert found[3].payload.tobytes() == b"3"


def test_all_messages_and_columns_agree() -> None:
    reader = LogArchiveReader(archive())
    times, payloads = reader.read_all_messages()
    stamps, offsets, payload = reader.read_arrays()
    elapsed, _, _ = reader.read_arrays(elapsed=True)
    assert times.dtype == np.uint64
    assert times.tolist() == stamps.tolist() == [ONSET + 10 * n for n in range(1, 11)]
    assert elapsed.tolist() == [10 * n for n in range(1, 11)]
    assert [p.tobytes() for p in payloads] == [b"%d" % n for n in range(10)]
    assert payload[offsets[4] : offsets[5]].tobytes() == b"4"


def test_an_archive_without_onset_says_what_to_pass() -> None:
    path = archive(onset=False)
    reader = LogArchiveReader(path)
    assert reader.message_count == 10
    for read in (
        lambda: reader.onset_timestamp_us,
        lambda: list(reader.iter_messages()),
        reader.read_all_messages,
    ):
        with pytest.raises(ValueError, match=r"no onset.*onset_us"):
            read()
    assert reader.read_arrays(elapsed=True).timestamps[0] == 10
    assert next(LogArchiveReader(path, onset_us=0).iter_messages()).timestamp_us == 10
    assert next(LogArchiveReader(path, np.uint64(5)).iter_messages()).timestamp_us == 15


def test_each_recording_in_a_folder_counts_from_its_own_onset() -> None:
    for start in (ONSET, ONSET + 10**6):
        logger = DataLogger("out", "rig")
        logger.put(1, 0, np.array([start], "<u8"))
        logger.put(1, 500, b"x")
        assemble_log_archives(logger.output_directory)
    reader = LogArchiveReader(logger.output_directory / "1_log.npz")
    assert reader.message_count == 2
    times = [int(m.timestamp_us) for m in reader.iter_messages()]
    assert times == reader.read_arrays().timestamps.tolist() == [ONSET + 500, ONSET + 10**6 + 500]
    again = LogArchiveReader(logger.output_directory / "1_log.npz", reader.onset_timestamp_us)
    assert [int(m.timestamp_us) for m in again.iter_messages()] == times
    assert reader.between(ONSET + 501, ONSET + 10**7).timestamps.tolist() == times[1:]


def test_batches_cover_all_messages_in_order() -> None:
    reader = LogArchiveReader(archive(5000))
    batches = reader.get_batches(workers=3, batch_multiplier=4)
    assert len(batches) == 12
    joined = [m.payload.tobytes() for batch in batches for m in reader.iter_messages(batch)]
    assert joined == [b"%d" % n for n in range(5000)]
    keys = list(batches[1])
    assert all(isinstance(key, str) for key in keys)
    assert batches[1] == keys
    assert batches[1][5:7] == keys[5:7]
    assert batches[1][-1] == keys[-1]
    assert batches[1][::100] == keys[::100]
    assert [m.payload.tobytes() for m in reader.iter_messages(keys[3:5])] == [b"420", b"421"]


def test_few_messages_are_one_batch_and_none_are_no_batch() -> None:
    assert [len(batch) for batch in LogArchiveReader(archive(1999)).get_batches(8)] == [1999]
    logger = DataLogger("out", "empty")
    logger.put(1, 0, np.array([ONSET], "<u8"))
    reader = LogArchiveReader.live(logger.output_directory, 1)
    assert reader.get_batches() == []
    assert list(reader.iter_messages()) == []
    assert reader.read_arrays().timestamps.tolist() == []
    with pytest.raises(InvalidInputError, match="batch_multiplier"):
        reader.get_batches(1, 0)


def count_of(job: tuple[LogArchiveReader, KeyBatch]) -> int:
    reader, batch = job
    return sum(int(message.payload.tobytes()) for message in reader.iter_messages(batch))


def test_worker_processes_read_batches_by_pickled_readers() -> None:
    reader = LogArchiveReader(archive(4000))
    jobs = [(reader, batch) for batch in reader.get_batches(2)]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        assert sum(pool.map(count_of, jobs)) == sum(range(4000))
    assert len(pickle.dumps(jobs[0])) < 1000


def test_twenty_million_keys_take_no_memory() -> None:
    batch = KeyBatch(LogArchiveReader(archive()), 0, 20_000_000)
    assert len(batch) == 20_000_000
    assert batch.__sizeof__() < 200


def test_a_live_reader_can_be_pickled_with_what_it_saw() -> None:
    logger = DataLogger("out", "rig")
    logger.put(1, 5, b"x")
    reader = pickle.loads(pickle.dumps(LogArchiveReader.live(logger.output_directory, 1, 0)))
    assert [m.payload.tobytes() for m in reader.iter_messages()] == [b"x"]


def test_messages_of_a_span_of_time_are_found() -> None:
    reader = LogArchiveReader(archive(100))
    times, offsets, payload = reader.between(ONSET + 20, ONSET + 50)
    assert times.tolist() == [ONSET + 20, ONSET + 30, ONSET + 40]
    assert payload[offsets[0] : offsets[-1]].tobytes() == b"123"
    assert reader.between(95, 105, elapsed=True).timestamps.tolist() == [100]
    assert reader.between(0, 5).timestamps.tolist() == []
    with pytest.raises(InvalidInputError, match="-1"):
        reader.between(-1, 5)


def test_merging_what_is_no_reader_is_refused_at_once() -> None:
    with pytest.raises(InvalidInputError, match=r"LogArchiveReaders, not '1_log.npz'"):
        LogArchiveReader.merge(["1_log.npz"])  # type: ignore[list-item]  # what is tested


def test_sources_are_merged_by_time() -> None:
    readers = [
        LogArchiveReader(archive(count, source, step=step))
        for source, count, step in ((1, 20_000, 10), ("two", 9000, 25), (3, 1, 5))
    ]
    found = list(LogArchiveReader.merge(readers))
    assert len(found) == 29_001
    times = [int(message.timestamp_us) for message in found]
    assert times == sorted(times)
    assert found[0].source == 3
    assert [m.source for m in found if m.timestamp_us == ONSET + 50] == [1, "two"]
    own = [m.payload.tobytes() for m in found if m.source == "two"]
    assert own == [b"%d" % n for n in range(9000)]


def test_fixed_structs_are_decoded_without_copying() -> None:
    kind = np.dtype([("channel", "<u2"), ("volts", "<f4")])
    rows = np.zeros(100, kind)
    rows["channel"] = np.arange(100)
    logger = DataLogger("out", "rig")
    logger.put_many("adc", np.arange(100), rows)
    logger.put("mixed", 0, b"1")
    logger.put("mixed", 1, b"22")
    assemble_log_archives(logger.output_directory)
    reader = LogArchiveReader(logger.output_directory / "adc_log.npz")
    found = reader.decode(kind)
    assert np.array_equal(found, rows)
    assert not found.flags.owndata
    with pytest.raises(InvalidInputError, match=r"message 1 .* 2 bytes"):
        LogArchiveReader(logger.output_directory / "mixed_log.npz").decode("u1")
    with pytest.raises(InvalidInputError, match="object"):
        reader.decode(object)


def test_messages_become_an_arrow_table() -> None:
    table = LogArchiveReader(archive(3)).to_arrow()
    assert table.column_names == ["timestamp", "payload"]
    assert table["payload"].to_pylist() == [b"0", b"1", b"2"]
    assert table["timestamp"].cast("int64").to_pylist() == [ONSET + n for n in (10, 20, 30)]


def test_a_time_that_arrow_cannot_hold_is_refused() -> None:
    logger = DataLogger("out", "rig")
    logger.put(1, 2**63 - 1, b"x")
    folder = logger.output_directory
    assert LogArchiveReader.live(folder, 1, onset_us=0).to_arrow().num_rows == 1
    logger.put(1, 2**63, b"x")
    with pytest.raises(FormatError, match=r"9223372036854775808.*read_arrays"):
        LogArchiveReader.live(folder, 1, onset_us=0).to_arrow()


def ataraxis_archive(entries: list[tuple[int, bytes]], path: Path = Path("7_log.npz")) -> Path:
    arrays = {
        f"007_{time:020d}": np.frombuffer(b"\7" + time.to_bytes(8, "little") + payload, "u1")
        for time, payload in entries
    }
    np.savez(path, **arrays)  # type: ignore[arg-type]  # names of members
    return path


def test_archives_of_ataraxis_are_read_the_same_way() -> None:
    onset = ONSET.to_bytes(8, "little")
    path = ataraxis_archive([(0, onset), (15, b"a"), (20, b"bc")])
    reader = LogArchiveReader(path)
    assert reader.source == 7
    assert reader.message_count == 2
    assert [(int(m.timestamp_us), m.payload.tobytes()) for m in reader.iter_messages()] == [
        (ONSET + 15, b"a"),
        (ONSET + 20, b"bc"),
    ]
    (batch,) = reader.get_batches()
    assert list(batch) == [f"007_{15:020d}", f"007_{20:020d}"]
    assert [m.payload.tobytes() for m in reader.iter_messages([batch[1]])] == [b"bc"]
    with pytest.raises(NotFoundError, match="nothing"):
        list(reader.iter_messages(["nothing"]))


def test_a_key_that_names_no_message_is_refused() -> None:
    reader = LogArchiveReader(archive())
    sound = reader.key(3)
    assert [m.payload.tobytes() for m in reader.iter_messages([sound])] == [b"3"]
    for key in ("nonsense", f"001_{0:020d}_99", f"002{sound[3:]}", sound[:-1] + "4", 5):
        with pytest.raises(NotFoundError):
            list(reader.iter_messages([key]))  # type: ignore[list-item]  # the point
    for keys in (sound, 5):
        with pytest.raises(InvalidInputError, match="get_batches"):
            reader.iter_messages(keys)  # type: ignore[arg-type]  # the point


def test_a_batch_of_another_archive_is_refused() -> None:
    reader, other = LogArchiveReader(archive(10, 1)), LogArchiveReader(archive(20, "two"))
    (batch,) = other.get_batches()
    with pytest.raises(NotFoundError, match=r"1_log\.npz.*two_log\.npz"):
        reader.iter_messages(batch)
    assert len(list(pickle.loads(pickle.dumps(other)).iter_messages(batch))) == 20


def test_what_is_no_archive_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="nowhere"):
        LogArchiveReader("nowhere.npz")
    Path("text.npz").write_text("no zip")
    np.savez("arrays.npz", x=np.zeros(3))
    with zipfile.ZipFile("other.npz", "w") as other:
        other.writestr(f"001_{5:020d}.npy", b"no array")
    sound = archive(50_000).read_bytes()
    Path("cut.npz").write_bytes(sound[: len(sound) // 2])
    os.mkfifo("pipe.npz")
    for name in ("text", "arrays", "other", "cut", "pipe"):
        with pytest.raises(FormatError, match=name):
            LogArchiveReader(f"{name}.npz")


@pytest.mark.parametrize("column", ["timestamps", "offsets", "payload"])
def test_flipped_bits_are_found_where_they_are_read(column: str) -> None:
    path = archive(300_000)
    with zipfile.ZipFile(path) as opened:
        info = opened.getinfo(f"{column}.npy")
    content = bytearray(path.read_bytes())
    content[info.header_offset + info.file_size - 2000] ^= 1
    path.write_bytes(content)
    reader = LogArchiveReader(path)
    with pytest.raises(IntegrityError, match=f"{column}.*restore"):
        reader.read_arrays()
    with pytest.raises(IntegrityError):
        list(reader.iter_messages())
    assert len(list(reader.iter_messages(reader.get_batches(8)[0]))) > 0


def test_flipped_bits_in_an_archive_of_ataraxis_are_found() -> None:
    path = ataraxis_archive([(0, bytes(8)), (5, b"payload" * 50)])
    content = bytearray(path.read_bytes())
    content[content.rindex(b"payload")] ^= 1
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match="CRC"):
        LogArchiveReader(path)


def test_a_source_that_is_not_there_is_named_with_those_that_are() -> None:
    logger = DataLogger("out", "rig")
    logger.put("camera", 1, b"x")
    with pytest.raises(NotFoundError, match=r"'camra'.*camera.*did you mean"):
        LogArchiveReader.live(logger.output_directory, "camra")


def test_times_that_decrease_are_taken_and_put_in_order() -> None:
    logger = DataLogger("out", "rig")
    for time in (30, 10, 20, 10):
        logger.put(1, time, b"%d" % time)
    reader: Any = LogArchiveReader.live(logger.output_directory, 1, onset_us=0)
    assert [m.payload.tobytes() for m in reader.iter_messages()] == [b"10", b"10", b"20", b"30"]


def test_no_flipped_bit_of_an_archive_gives_wrong_messages_or_a_strange_error() -> None:
    sound = archive(4, onset=False).read_bytes()
    expected = [(10 * n + 10, b"%d" % n) for n in range(4)]
    for at in range(len(sound)):
        content = bytearray(sound)
        content[at] ^= 1 << at % 8
        Path("1_log.npz").write_bytes(content)
        try:
            reader = LogArchiveReader("1_log.npz", onset_us=0)
            found = [(int(m.timestamp_us), m.payload.tobytes()) for m in reader.iter_messages()]
        except (FormatError, IntegrityError):
            continue
        assert found == expected, at


def test_times_that_an_onset_carries_beyond_64_bits_are_refused() -> None:
    logger = DataLogger("out", "rig")
    logger.put(1, 2**64 - 1, b"x")
    assert LogArchiveReader.live(logger.output_directory, 1, 0).read_arrays().timestamps[0] == (
        2**64 - 1
    )
    with pytest.raises(FormatError, match=r"beyond.*onset_us=0"):
        LogArchiveReader.live(logger.output_directory, 1, 5).read_arrays()


def test_a_folder_and_wrong_options_are_named() -> None:
    reader = LogArchiveReader(archive())
    with pytest.raises(FormatError, match="out"):
        LogArchiveReader("out")
    with pytest.raises(InvalidInputError, match="'x'"):
        reader.get_batches("x")  # type: ignore[arg-type]  # the point
    with pytest.raises(InvalidInputError, match="nonsense"):
        reader.decode("nonsense")


def test_a_live_reader_sees_no_gap_in_what_a_thread_puts_meanwhile() -> None:
    logger = DataLogger("out", "rig")
    logger.put(1, 0, b"0")
    done = threading.Event()

    def put() -> None:
        number = 0
        while not done.is_set() and number < 300_000:  # else each look takes longer than the last
            number += 1
            logger.put(1, number, bytes(100))

    thread = threading.Thread(target=put)
    thread.start()
    try:
        for _ in range(10):
            reader = LogArchiveReader.live(logger.output_directory, 1, onset_us=0)
            times = reader.read_arrays().timestamps
            assert (times == np.arange(len(times))).all()
    finally:
        done.set()
        thread.join()
