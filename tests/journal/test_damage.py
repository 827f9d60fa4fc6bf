"""What a reader says of a journal that was cut, bent or half lost.

While only the process died, the headers, the catalogue and all rows up to the last sync are checked
by hashes, counts by each other. What nothing can tell: another value in a row that was not synced
yet, and a lower count of the last block of a stream that was not.
"""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import xxhash

from holdfast.errors import FormatError
from holdfast.journal import Journal, WriterLock, _reader, read_journal
from holdfast.journal._format import _GENERATION as FIRST_FIELDS
from holdfast.journal._format import (
    COUNT_AT,
    END_AT,
    HEADER_BYTES,
    MARKS_AT,
    PAGE,
    VERSION,
    unpack_generation,
)
from holdfast.journal._segment import GenerationFile, Segment, in_order
from journals import FOLDER, WIDTH, Writer, assert_whole, expected, generations, snapshot

ANY_BOOT = "another-boot"


def test_a_gap_is_damage_unless_the_power_was_lost_within_a_sync() -> None:
    Path("a").touch()
    segments = [Segment(first, 2, 8, GenerationFile(Path("a")), 0) for first in (0, 5)]
    kept, problem = in_order(segments, compare=False, after_reboot=False)
    assert [segment.first for segment in kept] == [0]
    assert "rows 2 to 5 are missing" in problem
    assert in_order(segments, compare=False, after_reboot=True) == (kept, "")


def small_journal(*, synced: bool = True) -> Writer:
    """Write three streams in two generations, of a few pages each."""
    writer = Writer()
    writer.define(1)
    writer.append(1, 200)
    writer.define(2, 8)
    writer.append(2, 30)
    writer.journal.note({"set": "s2", "key": "unit", "text": "V"})
    writer.append(1, 400)
    writer.rotate()
    writer.append(1, 300)
    writer.define(3, 1)
    writer.append(3, 5)
    writer.append(2, 10)
    if synced:
        writer.journal.sync()
    writer.abandon()
    return writer


def assert_prefix(journal: Journal | None, writer: Writer) -> None:
    """Check that what is there is right, as far as it goes."""
    assert journal is not None
    for stream, segments in journal.segments.items():
        if segments:
            first, stop = journal.rows(stream)
            assert stop <= writer.counts[stream]
            whole = expected(stream, first, stop, writer.widths[stream])
            assert journal.read(stream, first, stop) == whole


def rows_of(journal: Journal, writer: Writer) -> dict[int, int]:
    return {n: journal.rows(n)[1] - journal.rows(n)[0] for n in writer.counts}


def shorter(journal: Journal, writer: Writer) -> bool:
    return rows_of(journal, writer) != writer.counts


def used(content: bytes | bytearray) -> int:
    """Return where the blocks of a generation end."""
    return int.from_bytes(content[END_AT : END_AT + 8], "little")


@pytest.mark.parametrize("number", [0, 1])
def test_a_journal_cut_at_any_byte_gives_right_rows_and_says_that_it_was_cut(number: int) -> None:
    writer = small_journal()
    path = FOLDER / generations()[number]
    content = path.read_bytes()
    end = used(content)
    cuts = {0, 1, *range(0, end, 97), *range(end - 300, end)}
    cuts |= {at + n for at in range(PAGE, end, PAGE) for n in range(-2, HEADER_BYTES + 60, 5)}

    for cut in sorted(c for c in cuts if c < end):
        path.write_bytes(content[:cut])
        journal = snapshot()
        assert_prefix(journal, writer)
        if shorter(journal, writer) and not (cut == 0 and number == 1):
            assert journal.problems, cut


def flip(path: Path, at: int, bit: int) -> None:
    with open(path, "r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 1 << bit]))


def header_bytes(path: Path) -> list[int]:
    """Return where the bytes of a file's headers are, without the counts."""
    file = GenerationFile(path)
    header = unpack_generation(file.some(0, PAGE))
    assert header is not None
    blocks = [offset for offset, _ in _reader._blocks(file, header.nonce)]
    counts = {offset + COUNT_AT + n for offset in blocks for n in range(8)}
    inside = {offset + n for offset in blocks for n in range(HEADER_BYTES)}
    return sorted({*range(END_AT + 8), *inside} - counts)


@pytest.mark.parametrize("number", [0, 1])
def test_every_flipped_bit_of_every_header_is_told_or_does_no_harm(
    number: int, request: pytest.FixtureRequest
) -> None:
    campaign = request.config.getoption("--campaign", default=False)
    writer = small_journal()
    path = FOLDER / generations()[number]
    for at in header_bytes(path):
        for bit in range(8) if campaign else (at * 5 % 8, (at * 5 + 4) % 8):
            flip(path, at, bit)
            journal = snapshot()
            flip(path, at, bit)
            assert_prefix(journal, writer)
            assert journal.problems or not shorter(journal, writer), (at, bit)
    assert_whole(snapshot(), writer)


@pytest.mark.parametrize("count", [0, 19, 30_000, 2**63])
def test_a_count_that_contradicts_what_was_synced_or_the_size_of_its_block_is_told(
    count: int,
) -> None:
    writer = Writer()
    writer.define(1)
    writer.append(1, 20)
    writer.journal.sync()
    writer.abandon()
    patch(1, 2 * PAGE + COUNT_AT, count.to_bytes(8, "little"))

    journal = snapshot()

    assert journal.rows(1) == (0, 20)
    assert journal.problems
    assert_prefix(journal, writer)


def test_a_flipped_bit_in_any_synced_row_is_told_and_the_row_is_left_out() -> None:
    writer = small_journal()
    chance = random.Random(7)  # noqa: S311 - a test to be repeated
    told = 0
    for name in generations():
        path = FOLDER / name
        content = bytearray(path.read_bytes())
        counts = {page + COUNT_AT + n for page in range(0, len(content), PAGE) for n in range(8)}
        for _ in range(300):
            at = chance.randrange(PAGE, used(content))
            if at in counts:
                continue
            bit = 1 << chance.randrange(8)
            content[at] ^= bit
            path.write_bytes(content)
            content[at] ^= bit
            journal = snapshot()
            assert_prefix(journal, writer)
            assert journal.problems or not shorter(journal, writer)
            told += bool(journal.problems)
        path.write_bytes(content)
    assert told > 100


def test_random_rubbish_anywhere_in_unsynced_files_neither_crashes_nor_hangs_a_reader() -> None:
    small_journal(synced=False)
    chance = random.Random(8)  # noqa: S311 - a test to be repeated
    kept = {name: (FOLDER / name).read_bytes() for name in generations()}
    for _ in range(400):
        for name, content in kept.items():
            bent = bytearray(content)
            for _ in range(chance.randrange(4)):
                at = chance.randrange(used(content))
                bent[at : at + 9] = chance.randbytes(9)
            (FOLDER / name).write_bytes(bent[: chance.choice([len(bent), used(content)])])
        journal = snapshot()
        for stream in journal.segments:
            first, stop = journal.rows(stream)
            journal.read(stream, first, stop)


def test_a_count_that_reaches_into_the_next_block_is_told() -> None:
    writer = Writer()
    writer.define(1)
    writer.append(1, 100)
    writer.blocks.clear()
    writer.append(1, 50)
    writer.abandon()
    patch(1, 2 * PAGE + COUNT_AT, (110).to_bytes(8, "little"))

    journal = snapshot()

    assert_prefix(journal, writer)
    assert journal.rows(1) == (0, 100)
    assert "rows 100 to 110 stand there twice and differ" in journal.problems[0]


def test_rows_that_are_missing_in_the_middle_are_told_and_later_ones_are_left_out() -> None:
    writer = Writer()
    writer.define(1)
    writer.append(1, 20)
    writer.journal.add_block(1, 25, WIDTH).publish(3)
    writer.counts[1] = 20

    live = snapshot()
    writer.abandon()
    dead = snapshot()

    assert (live.rows(1), live.problems) == ((0, 20), [])
    assert dead.rows(1) == (0, 20)
    assert "rows 20 to 25 are missing" in dead.problems[0]


def test_a_generation_that_is_missing_in_the_middle_is_told() -> None:
    writer = Writer()
    writer.define(1)
    for _ in range(3):
        writer.append(1, 10)
        writer.rotate()
    writer.abandon()
    (FOLDER / "00000002.journal").unlink()

    journal = snapshot()

    assert journal.rows(1) == (0, 10)
    assert any("files between 1 and 4 are missing" in p for p in journal.problems)
    assert any("rows 10 to 20 are missing" in p for p in journal.problems)


def test_rows_of_a_stream_that_nothing_describes_are_told() -> None:
    writer = Writer()
    writer.widths[9], writer.counts[9] = 8, 0
    writer.append(9)
    assert snapshot().problems == []  # its definition may come from a place read before
    writer.abandon()

    assert "stream 9, which nothing there describes" in snapshot().problems[0]


def patch(number: int, at: int, content: bytes) -> None:
    with open(FOLDER / f"{number:08d}.journal", "r+b") as file:
        file.seek(at)
        file.write(content)


@pytest.fixture
def reboot(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    return lambda: monkeypatch.setattr(_reader, "boot_id", lambda: ANY_BOOT)


@pytest.mark.parametrize("mapped", [True, False])
def test_after_a_reboot_only_what_was_synced_is_believed(
    reboot: Callable[[], None],
    mapped: bool,  # noqa: FBT001
) -> None:
    writer = Writer(mapped=mapped)
    writer.define(1)
    writer.define(2, 20_000)
    synced = {1: 0, 2: 0}
    for rows in (30, 200, 7):
        writer.append(1, rows)
        writer.append(2, 2)
        writer.journal.sync()
        synced = dict(writer.counts)
    writer.append(1, 500)
    writer.append(2, 1)
    writer.define(3)
    writer.append(3)
    writer.abandon()
    assert_whole(snapshot(), writer)

    reboot()

    journal = snapshot()
    assert journal.after_reboot
    assert rows_of(journal, writer) == {**synced, 3: 0}
    assert sorted(journal.streams) == [1, 2]
    assert journal.problems == []
    assert_prefix(journal, writer)


@pytest.mark.parametrize("seed", range(30))
def test_after_a_power_loss_with_any_pages_lost_all_that_was_synced_is_there(
    seed: int, reboot: Callable[[], None]
) -> None:
    chance = random.Random(seed)  # noqa: S311 - a test to be repeated
    writer = Writer()
    writer.define(1)
    writer.append(1, chance.randrange(400))
    writer.define(2, 8)
    writer.append(2, chance.randrange(900))
    writer.journal.sync()
    synced = dict(writer.counts)
    on_disk = {name: (FOLDER / name).read_bytes() for name in generations()}
    writer.append(1, chance.randrange(400))
    if chance.random() < 0.5:
        writer.rotate()
    writer.append(2, chance.randrange(900))
    # The power fails within the next sync: its marks are stored, and any pages are on the disk.
    writer.journal.sync()
    writer.abandon()
    for name in generations():
        new = (FOLDER / name).read_bytes()
        old = on_disk.get(name, b"").ljust(len(new), b"\0")
        pages = [chance.choice([old, new])[at : at + PAGE] for at in range(0, len(new), PAGE)]
        (FOLDER / name).write_bytes(b"".join(pages))
    reboot()

    journal = snapshot()

    assert_prefix(journal, writer)
    found = rows_of(journal, writer)
    assert all(found[stream] >= count for stream, count in synced.items())


def test_a_journal_of_a_newer_version_is_refused_and_not_taken_for_damage() -> None:
    small_journal()
    path = FOLDER / generations()[0]
    content = bytearray(path.read_bytes())
    content[8] = VERSION + 1
    check = xxhash.xxh3_64_intdigest(bytes(content[: FIRST_FIELDS.size]))
    content[FIRST_FIELDS.size : FIRST_FIELDS.size + 8] = check.to_bytes(8, "little")
    path.write_bytes(content)

    with pytest.raises(FormatError, match="newer Holdfast"):
        read_journal(FOLDER)


def test_a_writer_killed_while_it_made_a_file_leaves_nothing_to_complain_of() -> None:
    writer = small_journal()
    (FOLDER / "00000003.journal").touch()
    assert_whole(snapshot(), writer)

    (FOLDER / "00000003.journal").write_bytes(bytes(2 * PAGE))
    assert_whole(snapshot(), writer)


def test_a_mark_that_was_half_written_when_the_process_died_is_no_mark() -> None:
    writer = small_journal()
    for at in MARKS_AT:
        patch(1, 2 * PAGE + at, bytes(8))

    assert_whole(snapshot(), writer)


def test_other_things_in_the_folder_are_let_be() -> None:
    writer = small_journal()
    for name in ("notes.txt", "1.journal", "²².journal", "00000009.journal.damaged"):
        (FOLDER / name).write_text("x")

    assert_whole(snapshot(), writer)


def test_a_generation_that_is_a_link_or_a_pipe_is_refused_and_nobody_waits() -> None:
    small_journal()
    os.mkfifo(FOLDER / "00000003.journal")
    with pytest.raises(OSError, match="seek"):
        read_journal(FOLDER)
    (FOLDER / "00000003.journal").unlink()
    (FOLDER / "00000003.journal").symlink_to("00000001.journal")
    with pytest.raises(OSError, match="symbolic link"):
        read_journal(FOLDER)


def test_there_is_no_journal_where_there_is_no_folder() -> None:
    Path("file").touch()

    assert read_journal(FOLDER) is None
    assert read_journal(Path("file")) is None


def test_a_generation_that_vanishes_while_it_is_looked_for_asks_for_another_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small_journal()

    def vanishing(path: Path) -> GenerationFile:
        path.unlink()
        return GenerationFile(path)

    monkeypatch.setattr(_reader, "GenerationFile", vanishing)

    assert read_journal(FOLDER) is None


def test_a_snapshot_outlives_the_files_it_was_taken_from() -> None:
    writer = small_journal()
    journal = snapshot()

    shutil.rmtree(FOLDER)

    assert_whole(journal, writer)


def test_whoever_holds_the_lock_to_recover_is_told_of_damage_too() -> None:
    small_journal()
    patch(1, 2 * PAGE + HEADER_BYTES, b"\xff")
    lock = WriterLock(FOLDER)

    journal = read_journal(FOLDER, live=False)

    assert journal is not None
    assert "do not fit their checksum" in journal.problems[0]
    lock.release()
