"""A journal on a disk that is full: the call that did not fit says so, and nothing else changes."""

import errno
import io
import os
from pathlib import Path

import pytest

from helpers import output
from holdfast.journal import MAPPED_ROW_BYTES
from journals import Writer, assert_whole, snapshot

both_ways = pytest.mark.parametrize("mapped", [True, False], ids=["mapped", "written"])


def fill(disk: Path) -> None:
    """Take all the space that is left."""
    with open(disk / "filler", "ab", buffering=0) as file:
        for size in (4096, 512, 1):
            with pytest.raises(OSError, match="No space left"):
                write_for_ever(file, bytes(size))


def write_for_ever(file: io.FileIO, content: bytes) -> None:
    while file.write(content) == len(content):
        pass
    raise OSError(errno.ENOSPC, "No space left after a part")


def append_until_full(writer: Writer, stream: int) -> None:
    with pytest.raises(OSError, match="No space left"):
        writer.append(stream, 100_000)


@both_ways
@pytest.mark.parametrize("width", [24, MAPPED_ROW_BYTES])
def test_the_row_that_does_not_fit_is_an_error_and_the_journal_goes_on_when_space_returns(
    small_disk: Path,
    width: int,
    mapped: bool,  # noqa: FBT001
) -> None:
    folder = small_disk / "x.h5-journal"
    writer = Writer(folder, mapped=mapped)
    writer.define(1, width)
    writer.append(1)
    fill(small_disk)
    for _ in range(3):
        append_until_full(writer, 1)
        assert_whole(snapshot(folder), writer)
    accepted = writer.counts[1]

    (small_disk / "filler").unlink()
    writer.append(1, 2)

    assert writer.counts[1] == accepted + 2
    assert_whole(snapshot(folder), writer)
    writer.abandon()
    assert_whole(snapshot(folder), writer)


@both_ways
def test_definitions_lines_and_generations_that_do_not_fit_leave_the_journal_as_it_was(
    small_disk: Path,
    mapped: bool,  # noqa: FBT001
) -> None:
    folder = small_disk / "x.h5-journal"
    writer = Writer(folder, mapped=mapped)
    writer.define(1)
    fill(small_disk)
    append_until_full(writer, 1)
    names = sorted(os.listdir(folder))

    with pytest.raises(OSError, match="No space left"):
        writer.journal.define(2, {"name": "second", "more": "x" * 9000})
    with pytest.raises(OSError, match="No space left"):
        writer.journal.note({"set": "", "key": "k", "text": "x" * 9000})
    with pytest.raises(OSError, match="No space left"):
        writer.journal.rotate()

    assert sorted(os.listdir(folder)) == names
    journal = snapshot(folder)
    assert_whole(journal, writer)
    assert journal.events == []
    (small_disk / "filler").unlink()
    writer.journal.define(2, {"name": "second"})
    writer.rotate()
    writer.append(1)
    assert_whole(snapshot(folder), writer)
    assert snapshot(folder).streams[2] == {"name": "second"}


def test_a_journal_cannot_be_begun_on_a_full_disk_and_can_be_later(small_disk: Path) -> None:
    folder = small_disk / "x.h5-journal"
    fill(small_disk)

    for _ in range(3):
        with pytest.raises(OSError, match="No space left"):
            Writer(folder)

    (small_disk / "filler").unlink()
    writer = Writer(folder)
    writer.define(1)
    writer.append(1)
    assert_whole(snapshot(folder), writer)


def test_a_limit_on_the_size_of_files_is_an_error_and_not_the_end_of_the_process() -> None:
    said = output(
        """
        import resource, sys
        sys.path.insert(0, sys.argv[1])
        from journals import Writer, assert_whole, snapshot
        writer = Writer()
        writer.define(1)
        for limit in range(8192, 300_000, 5000):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            try:
                writer.append(1, 100_000)
            except OSError as error:
                refused = error
            assert_whole(snapshot(), writer)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        rows = writer.counts[1]
        writer.append(1, 10)
        assert_whole(snapshot(), writer)
        print(type(refused).__name__, rows > 5000)
        """,
        Path(__file__).parents[1],
    )

    assert said == "OSError True"


def test_a_failed_sync_is_tried_again_and_spares_the_mark_that_is_on_the_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writer = Writer()
    writer.define(1)
    writer.append(1, 10)
    writer.journal.sync()

    def broken(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    for rows in (5, 0, 5):
        writer.append(1, rows)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", broken)
            with pytest.raises(OSError, match="Input/output"):
                writer.journal.sync()
    content = (writer.journal.folder / "00000001.journal").read_bytes()
    marks = [int.from_bytes(content[8192 + at :][:8], "little") for at in (64, 80)]

    assert marks == [10, 20]  # the data block follows the header's page and the catalogue's
    fsync, synced = os.fsync, []

    def note(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    writer.journal.sync()
    assert any(path.endswith(".journal") for path in synced)
