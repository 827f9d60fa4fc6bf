"""Assembling: archives that hold every message once, by time, whatever happens on the way."""

import errno
import os
import shutil
import subprocess
import sys
import textwrap
import tracemalloc
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import contents, output
from holdfast import (
    DataLogger,
    HoldfastWarning,
    IntegrityError,
    InvalidInputError,
    LockedError,
    LogArchiveReader,
    LogPackage,
    MissingFileError,
    assemble_log_archives,
)
from holdfast._filesystem import FileSystem
from holdfast.acquisition import _archived, _entries, _merge, report
from holdfast.acquisition._alive import producer_lives
from holdfast.acquisition._gather import Part
from holdfast.acquisition._runs import survey_of
from holdfast.acquisition._spill import KeptRun
from holdfast.journal import WriterLock
from holdfast.testing.faults import Faults, injected


def pairs(folder: Path, source: int | str) -> list[tuple[int, bytes]]:
    """Return times and payloads of an archive, as NumPy alone reads them."""
    with np.load(folder / f"{source}_log.npz", allow_pickle=False) as archive:
        times, offsets, payload = archive["timestamps"], archive["offsets"], archive["payload"]
    ends = offsets.tolist()
    content = payload.tobytes()
    return [(t, content[a:b]) for t, (a, b) in zip(times.tolist(), pairwise(ends), strict=True)]


def recorded(folder: str = "out", seed: int = 0, count: int = 3000) -> dict[Any, list[Any]]:
    """Record messages of random sources, times and lengths; return them by source, as put."""
    chance = np.random.default_rng(seed)
    logger = DataLogger(folder, "rig")
    put: dict[Any, list[Any]] = {}
    for number in range(count):
        source: Any = [0, 1, 255, "camera"][chance.integers(4)]
        time = int(chance.integers(1, 2 + count // 4))  # 0 would be an onset
        payload = b"%d" % number + bytes(int(chance.integers(0, 40)))
        logger.put(source, time, payload)
        put.setdefault(source, []).append((time, payload))
    logger.start()
    logger.stop()
    return put


def by_time(messages: list[Any]) -> list[Any]:
    return sorted(messages, key=lambda message: message[0])


def log_of(folder: str = "out") -> Path:
    return Path(folder, "rig_data_log")


def test_every_message_is_in_the_archive_of_its_source_by_time() -> None:
    put = recorded()
    assemble_log_archives(log_of(), verify_integrity=True)
    assert {path.name for path in log_of().iterdir()} == {f"{s}_log.npz" for s in put}
    for source, messages in put.items():
        assert pairs(log_of(), source) == by_time(messages)


def test_messages_that_exceed_the_memory_budget_are_ordered_in_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_merge, "BUDGET", 3000)
    put = recorded()
    assemble_log_archives(log_of())
    for source, messages in put.items():
        assert pairs(log_of(), source) == by_time(messages)


def test_more_messages_of_one_time_than_fit_the_memory_keep_their_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_merge, "BUDGET", 3000)
    logger = DataLogger("out", "rig")
    put = [(time, b"%d" % number) for number, time in enumerate([5] * 3000 + [7, 2, 5, 9])]
    for time, payload in put:
        logger.put(1, time, payload)
    assemble_log_archives(log_of())
    assert pairs(log_of(), 1) == by_time(put)


@pytest.mark.parametrize("heavy", [1, 5])
def test_messages_of_one_time_are_not_loaded_all_at_once(
    heavy: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_merge, "BUDGET", 3000)
    times = np.full(1000, heavy, np.uint64)
    runs = [kept(times) for _ in range(20)] + [kept(np.array([9, 2], np.uint64))]
    parts = list(_merge.merged_parts(runs))
    assert max(len(part.times) for part in parts) == 1000
    assert sum(len(part.times) for part in parts) == 20_002


def kept(times: Any) -> KeptRun:
    none = np.zeros(len(times), np.int64)
    part = Part(none, times, none, none, np.empty(0, np.uint8))
    return KeptRun(part.ordered(), survey_of(1, none, times, none))


def test_an_archive_of_large_messages_is_added_to_in_bounded_memory() -> None:
    logger = DataLogger("out", "rig")
    for time in range(2, 102):
        logger.put(1, time, bytes(2 << 20))
    assemble_log_archives(log_of())
    logger.put(1, 200, b"later")
    tracemalloc.start()
    try:
        assemble_log_archives(log_of())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100 << 20
    assert LogArchiveReader(log_of() / "1_log.npz", onset_us=0).message_count == 101


def test_an_archive_is_read_in_pieces_of_at_least_one_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_archived, "BYTES_A_RUN", 50)
    put = recorded()
    assemble_log_archives(log_of())
    later = DataLogger("out", "rig")
    later.put(1, 1, bytes(1000))
    assemble_log_archives(log_of(), verify_integrity=True)
    later.put(1, 1, b"after a message that is larger than a piece")
    assemble_log_archives(log_of())
    expected = [(1, bytes(1000)), (1, b"after a message that is larger than a piece")]
    assert pairs(log_of(), 1) == by_time(put[1]) + expected


def test_a_thread_keeps_its_order_when_its_logger_is_started_again() -> None:
    logger = DataLogger("out", "rig")
    for number in range(5):
        logger.start()
        logger.put(1, 7, b"%d" % number)
        logger.stop()
    assert found_live(log_of(), [1]) == {1: [(7, b"%d" % number) for number in range(5)]}
    assemble_log_archives(log_of())
    assert pairs(log_of(), 1) == [(7, b"%d" % number) for number in range(5)]


def test_messages_of_one_time_keep_their_order_from_block_to_block() -> None:
    logger = DataLogger("out", "rig")
    for start in range(0, 400_000, 1000):  # faster than blocks are prepared
        numbers = np.arange(start, start + 1000, dtype="<u8")
        logger.put_many(1, np.full(1000, 5), numbers.view("u1").reshape(1000, 8))
    live = LogArchiveReader.live(log_of(), 1, onset_us=0).decode("<u8")
    assert np.array_equal(live, np.arange(400_000))
    assemble_log_archives(log_of())
    found = LogArchiveReader(log_of() / "1_log.npz", onset_us=0).decode("<u8")
    assert np.array_equal(found, np.arange(400_000))


def test_times_in_order_in_no_order_and_all_at_one_are_assembled_in_small_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_merge, "BUDGET", 20_000)
    chance = np.random.default_rng(0)
    times = [*range(3000), *chance.integers(0, 5000, 3000).tolist(), *([77] * 3000)]
    logger = DataLogger("out", "rig")
    put = [(1 + time, b"%d" % number) for number, time in enumerate(times)]
    for time, payload in put:
        logger.put(1, time, payload)
        logger.put("other", time, payload)
    assemble_log_archives(log_of(), verify_integrity=True)
    assert pairs(log_of(), 1) == by_time(put)
    assert pairs(log_of(), "other") == by_time(put)


def test_a_second_assembly_adds_and_one_without_news_changes_nothing() -> None:
    first = recorded(seed=1)
    assemble_log_archives(log_of())
    second = recorded(seed=2)
    assemble_log_archives(log_of())
    before = contents(log_of())
    assemble_log_archives(log_of())
    assert contents(log_of()) == before
    for source, messages in first.items():
        assert pairs(log_of(), source) == by_time(messages) + by_time(second[source])


def test_sources_that_are_kept_are_not_taken_twice() -> None:
    put = recorded()
    for _ in range(3):
        assemble_log_archives(log_of(), remove_sources=False)
        assert list(log_of().glob("producer-*/*.block"))
    assemble_log_archives(log_of())
    assert not list(log_of().glob("producer-*"))
    for source, messages in put.items():
        assert pairs(log_of(), source) == by_time(messages)


def test_a_live_producers_messages_are_assembled_again_and_again_once_each() -> None:
    logger = DataLogger("out", "rig")
    for part in range(4):
        for number in range(100):
            logger.put(number % 3, part * 1000 + number, b"%d" % number)
        assemble_log_archives(log_of())
        assert len(pairs(log_of(), 0)) == 34 * (part + 1)
    logger.put("late", 1, b"x")
    reader = LogArchiveReader.live(log_of(), 1, onset_us=0)
    assert reader.message_count == 33 * 4
    logger.start()
    logger.stop()
    assemble_log_archives(log_of())
    assert [len(pairs(log_of(), source)) for source in (0, 1, 2, "late")] == [136, 132, 132, 1]
    assert not list(log_of().glob("producer-*"))


def found_live(folder: Path, sources: Any) -> dict[Any, list[Any]]:
    found = {}
    for source in sources:
        reader = LogArchiveReader.live(folder, source, onset_us=0)
        found[source] = [(int(m.timestamp_us), m.payload.tobytes()) for m in reader.iter_messages()]
    return found


def twice_recorded(folder: str) -> dict[Any, list[Any]]:
    """Record two sources, assemble the first recording, and return what archives shall hold."""
    expected: dict[Any, list[Any]] = {1: [], "camera": []}
    for recording in range(2):
        logger = DataLogger(folder, "rig")
        put = [(source, 90 - n, b"%d" % n) for n in range(20) for source in expected]
        for source, time, payload in put:
            logger.put(source, time + recording, payload)
        for source in expected:
            expected[source] += by_time([(t + recording, p) for s, t, p in put if s == source])
        if not recording:
            assemble_log_archives(log_of(folder))
        del logger
    return expected


@pytest.mark.parametrize(("error", "budget"), [(errno.ENOSPC, 500), (errno.EIO, 1 << 20)])
def test_an_assembly_that_fails_at_any_step_loses_and_doubles_nothing(
    error: int, budget: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_merge, "BUDGET", budget)
    expected = twice_recorded("first")
    step, seen = 0, set()
    while True:
        folder = Path(f"step{step}")
        shutil.copytree("first", folder)
        faults = Faults(at=step, error=error)
        try:
            with injected(faults, below=folder.absolute()):
                assemble_log_archives(log_of(str(folder)), max_workers=1)
        except OSError as raised:
            seen.add(raised.errno)
        assert found_live(log_of(str(folder)), expected) == expected, faults.calls[-1]
        assemble_log_archives(log_of(str(folder)))
        assert {source: pairs(log_of(str(folder)), source) for source in expected} == expected
        assert {path.name for path in log_of(str(folder)).iterdir()} == {
            f"{source}_log.npz" for source in expected
        }
        shutil.rmtree(folder)
        if len(faults.calls) <= step:
            break
        step += 1
    assert step > 30
    assert seen == {error}


def test_an_assembly_killed_before_any_step_loses_and_doubles_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_merge, "BUDGET", 500)  # so that runs are put in order in files first
    expected = twice_recorded("first")
    seen = 0

    def copy(_: object) -> None:
        nonlocal seen
        seen += 1
        shutil.copytree("first", f"copies/{seen}")

    with injected(Faults(before=copy), below=Path("first").absolute()):
        assemble_log_archives(log_of("first"))
    assert seen > 40
    for step in range(1, seen + 1):
        folder = log_of(f"copies/{step}")
        assert found_live(folder, expected) == expected
        assemble_log_archives(folder)
        assert {source: pairs(folder, source) for source in expected} == expected
        assert {path.name for path in folder.iterdir()} == {f"{s}_log.npz" for s in expected}


def test_more_archives_than_files_may_be_open_are_assembled_again() -> None:
    program = """
        import resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        from holdfast import DataLogger, LogArchiveReader, assemble_log_archives
        for part in range(2):
            logger = DataLogger("out", "rig")
            for source in range(100):
                logger.put(source, 1, b"x")
            assemble_log_archives(logger.output_directory, verify_integrity=True)
        print(sum(LogArchiveReader(path, 0).message_count
                  for path in logger.output_directory.glob("*.npz")))
    """
    assert output(program) == "200"


def test_two_assemblies_at_once_exclude_each_other() -> None:
    recorded()
    lock = WriterLock(log_of() / "assembly")
    with pytest.raises(LockedError, match="being assembled"):
        assemble_log_archives(log_of())
    lock.release()
    assemble_log_archives(log_of())


def test_the_form_with_a_member_for_each_message_is_written_and_read() -> None:
    with DataLogger("out", "rig") as logger:
        logger.put(3, 0, np.array([10**15], "<u8"))
        logger.put(3, 5, b"five")
        logger.put(3, 5, b"five again")
    assemble_log_archives(log_of(), layout="messages")
    with np.load(log_of() / "3_log.npz") as archive:
        assert archive.files == [f"003_{0:020d}", f"003_{5:020d}", f"003_{5:020d}_2"]
        assert archive[f"003_{5:020d}"].tobytes() == b"\3" + (5).to_bytes(8, "little") + b"five"
    reader = LogArchiveReader(log_of() / "3_log.npz")
    assert reader.onset_timestamp_us == 10**15
    assert [m.payload.tobytes() for m in reader.iter_messages()] == [b"five", b"five again"]
    again = DataLogger("out", "rig")
    again.put(3, 7, b"later")
    assemble_log_archives(log_of(), layout="messages", remove_sources=False)
    assemble_log_archives(log_of(), layout="messages")
    found = LogArchiveReader(log_of() / "3_log.npz", onset_us=0).iter_messages()
    assert [m.payload.tobytes() for m in found] == [b"five", b"five again", b"later"]
    before = contents(log_of())
    assemble_log_archives(log_of())
    assert contents(log_of()) == before
    again.put(3, 8, b"latest")
    assemble_log_archives(log_of())
    with np.load(log_of() / "3_log.npz") as archive:
        assert len(archive.files) == 5
    assemble_log_archives(log_of(), layout="columns")
    assert [payload for _, payload in pairs(log_of(), 3)][1:] == [
        b"five",
        b"five again",
        b"later",
        b"latest",
    ]


def test_a_source_with_a_name_has_no_place_in_that_form() -> None:
    DataLogger("out", "rig").put("camera", 1, b"x")
    with pytest.raises(InvalidInputError, match=r"'camera'.*columns"):
        assemble_log_archives(log_of(), layout="messages")
    assert pairs(log_of(), "camera") == [(1, b"x")]


def entry(folder: Path, source: int, time: int, payload: bytes) -> None:
    package = LogPackage(np.uint8(source), np.uint64(time), np.frombuffer(payload, "u1"))
    name, data = package.data
    np.save(folder / name, data)


def test_entries_of_ataraxis_assemble_into_the_same_archives() -> None:
    folder = Path("entries")
    folder.mkdir()
    for source, time, payload in ((1, 0, b"ABCDEFGH"), (1, 30, b"b"), (2, 7, b""), (1, 20, b"a")):
        entry(folder, source, time, payload)
    assemble_log_archives(folder, remove_sources=False)
    assemble_log_archives(folder)
    assert pairs(folder, 1) == [(0, b"ABCDEFGH"), (20, b"a"), (30, b"b")]
    assert pairs(folder, 2) == [(7, b"")]
    assert {path.name for path in folder.iterdir()} == {"1_log.npz", "2_log.npz"}


def test_an_entry_that_was_cut_short_is_named_and_all_others_are_assembled() -> None:
    folder = Path("entries")
    folder.mkdir()
    for time in range(1, 6):
        entry(folder, 1, time, b"payload %d" % time)
    cut = sorted(folder.iterdir())[2]
    cut.write_bytes(cut.read_bytes()[:-1])
    with pytest.raises(IntegrityError, match=cut.name):
        assemble_log_archives(folder)
    assert {path.name for path in folder.iterdir()} == {"1_log.npz", cut.name}
    assert [time for time, _ in pairs(folder, 1)] == [1, 2, 4, 5]


def test_entries_that_exceed_the_memory_budget_are_put_away_in_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_entries, "ENTRIES_AT_ONCE", 7)
    monkeypatch.setattr(_merge, "BUDGET", 600)
    folder = Path("entries")
    folder.mkdir()
    for number in range(100):
        entry(folder, number % 3, 1000 - number, b"%d" % number)
    assemble_log_archives(folder, verify_integrity=True)
    for source in range(3):
        expected = [(1000 - n, b"%d" % n) for n in range(100) if n % 3 == source]
        assert pairs(folder, source) == by_time(expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"max_workers": 0}, "max_workers.*0"), ({"layout": "rows"}, "layout.*'rows'")],
)
def test_wrong_options_are_named(options: Any, message: str) -> None:
    recorded(count=10)
    with pytest.raises(InvalidInputError, match=message):
        assemble_log_archives(log_of(), **options)


def test_a_folder_that_is_not_there_is_named() -> None:
    with pytest.raises(MissingFileError, match="nowhere"):
        assemble_log_archives("nowhere")


def test_progress_is_shown_when_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    recorded(count=10)
    assemble_log_archives(log_of(), verbose=True)
    assert "assembling messages" in capfd.readouterr().out


def test_a_block_with_flipped_bits_is_named_and_all_others_are_assembled() -> None:
    recorded(count=400)
    (damaged,) = log_of().glob("producer-*/*.block")
    DataLogger("out", "rig").put(77, 1, b"sound")
    content = bytearray(damaged.read_bytes())
    content[-3] ^= 4
    damaged.write_bytes(content)
    with pytest.raises(IntegrityError, match=damaged.name):
        assemble_log_archives(log_of())
    assert damaged.exists()
    assert pairs(log_of(), 77) == [(1, b"sound")]


def unreadable(kind: str, path: Path) -> None:
    if kind == "link":
        path.symlink_to(path.with_name("elsewhere"))
    elif kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_what_cannot_be_read_is_named_and_all_others_are_assembled(kind: str) -> None:
    logger = DataLogger("out", "rig")
    logger.put(1, 1, b"lost from sight")
    (block,) = log_of().glob("producer-*/*.block")
    content = block.read_bytes()
    block.unlink()
    unreadable(kind, block)
    message = log_of() / f"003_{5:020d}.npy"
    unreadable(kind, message)
    DataLogger("out", "rig").put(77, 1, b"sound")
    with pytest.warns(HoldfastWarning, match=block.name):
        assert found_live(log_of(), [77]) == {77: [(1, b"sound")]}
    with pytest.warns(HoldfastWarning, match=message.name):
        assert [found.source for found in report(log_of())] == [77]
    with pytest.raises(IntegrityError, match=f"{block.name}.*{message.name}"):
        assemble_log_archives(log_of())
    assert pairs(log_of(), 77) == [(1, b"sound")]
    for path in (block, message):
        assert os.path.lexists(path)
        path.rmdir() if kind == "folder" else path.unlink()
    block.write_bytes(content)
    assemble_log_archives(log_of())
    assert pairs(log_of(), 1) == [(1, b"lost from sight")]


def test_a_producers_folder_that_may_not_be_read_is_named_and_all_others_are_assembled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    DataLogger("out", "rig").put(1, 1, b"of another user")
    (foreign,) = log_of().glob("producer-*")
    DataLogger("out", "rig").put(77, 1, b"sound")
    # Whoever may do anything is refused nothing, and tests may be run so.
    with monkeypatch.context() as patch:
        for module in ("_found", "_assemble", "_notice"):
            patch.setattr(f"holdfast.acquisition.{module}.producer_lives", refusing(foreign))
        with pytest.raises(IntegrityError, match=f"{foreign.name}: .*Permission denied"):
            assemble_log_archives(log_of())
    assert pairs(log_of(), 77) == [(1, b"sound")]
    assemble_log_archives(log_of())
    assert pairs(log_of(), 1) == [(1, b"of another user")]


def refusing(foreign: Path) -> Any:
    def lives(producer: Path) -> bool:
        if producer.name == foreign.name:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(producer))
        return producer_lives(producer)

    return lives


def test_a_producers_folder_that_is_a_link_is_named_and_what_it_leads_to_stays() -> None:
    DataLogger("out", "rig").put(1, 1, b"own")
    other = DataLogger("other", "rig")
    other.put(2, 1, b"of another rig")
    (producer,) = other.output_directory.iterdir()
    (log_of() / producer.name).symlink_to(producer.absolute())
    before = contents(other.output_directory)
    with pytest.raises(IntegrityError, match="symbolic link"):
        assemble_log_archives(log_of())
    assert pairs(log_of(), 1) == [(1, b"own")]
    assert contents(other.output_directory) == before


def test_assembly_does_not_tidy_where_a_link_leads() -> None:
    DataLogger("out", "rig").put(1, 1, b"x")
    precious = Path("precious")
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work", encoding="utf-8")
    (log_of() / "assembly").symlink_to(precious.absolute())
    with pytest.raises(InvalidInputError, match="symbolic link"):
        assemble_log_archives(log_of())
    assert [path.name for path in precious.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("name", [b'"../../x"', b'"cam\\u00', b"4747474747"])
def test_a_damaged_name_of_a_source_is_told_and_never_used(name: bytes) -> None:
    logger = DataLogger("out", "rig")
    logger.put("camera_12345", 1, b"x")
    (block,) = log_of().glob("producer-*/*.block")
    content = block.read_bytes()
    at = content.index(b'"name": ') + len(b'"name": ')
    end = content.index(b"}", at)
    block.write_bytes(content[:at] + name.ljust(end - at) + content[end:])
    DataLogger("out", "rig").put(77, 1, b"sound")
    with pytest.raises(IntegrityError, match=r"name of a source.*damaged"):
        assemble_log_archives(log_of())
    assert block.exists()
    assert pairs(log_of(), 77) == [(1, b"sound")]
    assert [path.name for path in Path().glob("**/*.npz")] == ["77_log.npz"]


@pytest.mark.parametrize("kind", ["overlay", "ext4"])
def test_many_archives_are_synced_one_by_one_where_syncfs_does_not_tell_of_lost_writes(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast._sync.filesystem", lambda _: FileSystem(kind))
    logger = DataLogger("out", "rig")
    for source in range(100):
        logger.put(source, 1, b"x")
    faults = Faults()
    with injected(faults, below=log_of().absolute()):
        assemble_log_archives(log_of())
    synced = sum(name == "fsync" and path.endswith(".npz") for name, path in faults.calls)
    assert synced == (100 if kind == "overlay" or not Path("/proc/self/mountinfo").exists() else 0)


def test_blocks_are_gone_from_the_disk_before_archives_with_members_forget_them() -> None:
    logger = DataLogger("out", "rig")
    logger.put(1, 1, b"x")
    logger.start()
    logger.stop()
    faults = Faults()
    with injected(faults, below=log_of().absolute()):
        assemble_log_archives(log_of(), layout="messages")
    names = [name for name, _ in faults.calls]
    replaced = len(names) - 1 - names[::-1].index("replace")
    removed = max(at for at, (_, path) in enumerate(faults.calls) if "producer-" in path)
    assert names[removed] == "rmdir"
    assert ("fsync", str(log_of().absolute())) in faults.calls[removed:replaced]


def test_every_byte_of_a_damaged_block_is_noticed() -> None:
    with DataLogger("out", "rig") as logger:
        for number in range(20):
            logger.put(1, number, b"payload %d" % number)
    (block,) = log_of().glob("producer-*/*.block")
    sound = block.read_bytes()
    used = [at for at, byte in enumerate(sound) if byte]
    for at in used:
        content = bytearray(sound)
        content[at] ^= 0x10
        block.write_bytes(content)
        reader: Any = None
        try:
            assemble_log_archives(log_of(), remove_sources=False)
        except IntegrityError:
            continue
        finally:
            reader = (log_of() / "1_log.npz").exists() and pairs(log_of(), 1)
            (log_of() / "1_log.npz").unlink(missing_ok=True)
        assert reader == [(number, b"payload %d" % number) for number in range(20)], at


def test_default_settings_work_with_few_open_files() -> None:
    program = """
        import resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
        import threading
        from holdfast import DataLogger, LogArchiveReader, assemble_log_archives
        logger = DataLogger("out", "rig")
        logger.start()
        def work(first):
            for number in range(1000):
                logger.put((first + number) % 300, number, bytes(600))
        threads = [threading.Thread(target=work, args=(n * 37,)) for n in range(60)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        logger.stop()
        assemble_log_archives(logger.output_directory)
        print(sum(LogArchiveReader(path, 0).message_count
                  for path in logger.output_directory.glob("*.npz")))
    """
    assert output(program) == "60000"


@pytest.fixture
def messages(request: pytest.FixtureRequest) -> int:
    return 20_000_000 if request.config.getoption("--campaign") else 1_500_000


@pytest.mark.timeout(1800)
def test_memory_stays_bounded_however_many_messages_there_are(messages: int) -> None:
    program = """
        import resource, sys
        count = int(sys.argv[1])
        import numpy as np
        from holdfast import DataLogger, LogArchiveReader, assemble_log_archives
        logger = DataLogger("out", "rig")
        chance = np.random.default_rng(0)
        rows = np.zeros((100_000, 64), "u1")
        for start in range(0, count, 100_000):
            logger.put_many(1, chance.integers(0, 10**9, 100_000), rows)
        logger.start(); logger.stop()
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, resource.RLIM_INFINITY))
        assemble_log_archives(logger.output_directory)
        # A reader maps the archive, which is no memory that anybody lacks.
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, resource.RLIM_INFINITY))
        reader = LogArchiveReader(logger.output_directory / "1_log.npz", onset_us=0)
        times, offsets, payload = reader.read_arrays()
        assert (times[1:] >= times[:-1]).all()
        batches = reader.get_batches(workers=4)
        print(sum(1 for _ in reader.iter_messages(batches[0])) == len(batches[0]), len(times))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(messages)],
        check=False,
        capture_output=True,
        text=True,
        timeout=1500,
    )
    assert done.stdout.strip() == f"True {messages}", done.stderr


def test_numpy_and_zip_find_the_archive_sound() -> None:
    recorded()
    assemble_log_archives(log_of())
    for path in log_of().glob("*.npz"):
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
        assert not os.stat(path).st_mode & 0o111
