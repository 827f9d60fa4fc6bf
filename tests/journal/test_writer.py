"""What a journal holds while it is written, with mapped files and without."""

import errno
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import HANG, open_files
from holdfast._filesystem import FileSystem
from holdfast.errors import StateError
from holdfast.journal import MAPPED_ROW_BYTES, _generation
from holdfast.journal._block import write_at
from holdfast.journal._generation import can_map
from journals import FOLDER, WIDTH, Writer, assert_whole, expected, generations, snapshot

both_ways = pytest.mark.parametrize("mapped", [True, False], ids=["mapped", "written"])


@both_ways
def test_every_row_is_read_back_while_the_writer_lives_and_after_its_death(mapped: bool) -> None:  # noqa: FBT001
    writer = Writer(mapped=mapped)
    for stream, width in [(1, WIDTH), (2, 1), (3, 0), (4, MAPPED_ROW_BYTES), (5, 3 << 20)]:
        writer.define(stream, width)
    for number in range(120):
        writer.append(1, 20)
        writer.append(2)
        writer.append(3, 40)
        if number % 50 == 0:
            writer.append(4, 2)
            writer.append(5)
            assert_whole(snapshot(), writer)
    assert_whole(snapshot(), writer)

    writer.abandon()

    assert_whole(snapshot(), writer)
    assert open_files(FOLDER.absolute()) == []


@both_ways
def test_a_row_that_was_stored_but_not_published_is_not_there(mapped: bool) -> None:  # noqa: FBT001
    writer = Writer(mapped=mapped)
    writer.define(1)
    writer.append(1, 5)
    writer.blocks[1].write(5, b"\xff" * WIDTH)

    assert_whole(snapshot(), writer)
    writer.abandon()
    assert_whole(snapshot(), writer)


def test_the_catalogue_grows_over_many_blocks_and_keeps_the_order_of_its_lines() -> None:
    writer = Writer()
    events = [{"set": "x", "key": f"k{n}", "text": "µ" * (n * 7 % 3000)} for n in range(200)]
    for number, event in enumerate(events):
        writer.define(number + 1, note="n" * number)
        writer.journal.note(event)
    writer.abandon()

    journal = snapshot()
    assert journal.problems == []
    assert journal.events == events
    assert sorted(journal.streams) == list(range(1, 201))
    assert journal.streams[7] == {"name": "s7", "width": WIDTH, "note": "n" * 6}


@both_ways
def test_a_generation_is_given_up_and_the_others_keep_their_rows(mapped: bool) -> None:  # noqa: FBT001
    writer = Writer(mapped=mapped)
    writer.define(1)
    writer.append(1, 100)
    before = writer.rotate()
    writer.append(1, 50)
    assert_whole(snapshot(), writer)

    writer.journal.discard(before)

    journal = snapshot()
    assert journal.rows(1) == (100, 150)
    assert journal.read(1, 100, 150) == expected(1, 100, 150)
    assert journal.streams[1]["name"] == "s1"
    assert generations() == ["00000002.journal"]
    del journal  # which has the generation open
    names = {os.path.basename(path) for path in open_files(FOLDER.absolute())}
    assert names == {"lock", "00000002.journal"}


def test_thousands_of_blocks_need_only_a_few_open_files() -> None:
    writer = Writer()
    for stream in range(1, 1500):
        writer.define(stream)
        writer.append(stream)

    assert len(open_files(FOLDER.absolute())) < 30
    assert_whole(snapshot(), writer)


def test_new_blocks_do_not_wait_until_a_generation_is_unlinked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writer = Writer()
    writer.define(1)
    writer.append(1, 10)
    before = writer.rotate()
    remove, appended = _generation.Generation.remove, []

    def removed_meanwhile(generation: _generation.Generation) -> None:
        thread = threading.Thread(target=writer.append, args=(1, 1000))
        thread.start()
        thread.join(timeout=HANG)
        appended.append(not thread.is_alive())
        remove(generation)

    monkeypatch.setattr(_generation.Generation, "remove", removed_meanwhile)
    writer.journal.discard(before)

    assert appended == [True]
    assert snapshot().rows(1) == (10, 1010)


def test_the_space_of_a_journal_is_counted_and_given_back() -> None:
    writer = Writer()
    writer.define(1)
    empty = writer.journal.size
    writer.append(1, 10_000)
    full = writer.journal.size
    assert full - empty >= 10_000 * WIDTH

    writer.journal.discard(writer.rotate())

    assert writer.journal.size == empty


@settings(deadline=None)  # it waits for the disk
@given(
    actions=st.lists(
        st.tuples(
            st.sampled_from(["append", "large", "rotate", "give up", "sync"]), st.integers(1, 90)
        ),
        max_size=30,
    ),
    mapped=st.booleans(),
)
def test_whatever_is_done_in_whatever_order_no_row_is_lost_that_was_not_given_up(
    actions: list[tuple[str, int]],
    mapped: bool,  # noqa: FBT001
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("model") / "x-journal"
    writer = Writer(folder, mapped=mapped)
    writer.define(1)
    writer.define(2, MAPPED_ROW_BYTES)
    kept, sealed = {1: 0, 2: 0}, {1: 0, 2: 0}
    before = 0
    for action, rows in actions:
        if action == "append":
            writer.append(1, rows)
        elif action == "large":
            writer.append(2, rows % 5)
        elif action == "sync":
            writer.journal.sync()
        elif action == "rotate":
            before, sealed = writer.rotate(), dict(writer.counts)
        else:
            writer.journal.discard(before)
            kept = dict(sealed)
    for live in (True, False):
        journal = snapshot(folder)
        assert journal.problems == []
        for stream, width in writer.widths.items():
            first, stop = kept[stream], writer.counts[stream]
            if first < stop:
                assert journal.rows(stream) == (first, stop)
                assert journal.read(stream, first, stop) == expected(stream, first, stop, width)
            else:
                assert journal.rows(stream) == (0, 0)
        if live:
            writer.abandon()


def test_rows_that_were_copied_into_the_next_generation_are_read_once() -> None:
    writer = Writer()
    writer.define(1)
    writer.append(1, 100)
    before = writer.rotate()
    carried = writer.journal.add_block(1, 90, WIDTH, rows=10)
    carried.write(0, expected(1, 90, 100))
    carried.publish(10)
    writer.append(1, 20)
    assert_whole(snapshot(), writer)

    writer.journal.discard(before)

    assert snapshot().rows(1) == (90, 120)
    assert snapshot().read(1, 95, 105) == expected(1, 95, 105)


def test_a_journal_that_ends_leaves_nothing_behind() -> None:
    writer = Writer()
    writer.define(1)
    writer.append(1)
    Path(FOLDER, "redo").touch()

    writer.journal.close(keep=False, others=("redo", "control"))

    assert not FOLDER.exists()
    assert open_files(Path.cwd()) == []


def test_a_folder_that_the_disk_does_not_let_go_is_an_error_and_goes_with_the_next_close(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writer = Writer()
    with monkeypatch.context() as patch:
        patch.setattr(os, "rmdir", _broken)
        with pytest.raises(OSError, match="Input/output"):
            writer.journal.close(keep=False)

    writer.journal.close(keep=False)

    assert not FOLDER.exists()
    writer.journal.close(keep=False)  # there is nothing left to do


def _broken(*_: object) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_ending_a_journal_twice_does_not_touch_that_of_the_next_writer() -> None:
    first = Writer()
    first.journal.close(keep=False)
    writer = Writer()
    writer.define(1)
    writer.append(1)
    Path(FOLDER, "redo").touch()

    first.journal.close(keep=False, others=("redo",))

    assert Path(FOLDER, "redo").exists()
    assert_whole(snapshot(), writer)


def test_a_new_journal_is_told_from_an_older_one_whose_files_had_the_same_names() -> None:
    writer = Writer()
    before = snapshot()
    writer.journal.close(keep=False)

    Writer()

    assert snapshot().generations == before.generations
    assert snapshot().nonces.isdisjoint(before.nonces)


@pytest.mark.parametrize("call", ["add_block", "note", "rotate"])
def test_a_signal_handler_that_comes_into_a_call_of_the_writer_is_refused(
    call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer()
    writer.define(1)
    refused = []

    def handler(*arguments: object) -> None:
        monkeypatch.setattr(_generation, "write_at", write_at)
        with pytest.raises(StateError, match="signal handler"):
            writer.journal.add_block(2, 0, WIDTH)
        refused.append(True)
        write_at(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(_generation, "write_at", handler)
    {
        "add_block": lambda: writer.journal.add_block(1, 0, WIDTH),
        "note": lambda: writer.journal.note({"text": "x" * 5000}),
        "rotate": writer.journal.rotate,
    }[call]()

    assert refused
    assert writer.journal.add_block(2, 0, WIDTH).capacity  # and the writer goes on


def test_a_signal_handler_that_syncs_within_a_sync_is_refused_and_does_not_wait_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writer = Writer()
    writer.define(1)
    writer.append(1)

    fsync, refused = os.fsync, []

    def handler(descriptor: int) -> None:
        monkeypatch.setattr(os, "fsync", fsync)
        with pytest.raises(StateError, match="signal handler"):
            writer.journal.sync()
        refused.append(True)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", handler)
    writer.journal.sync()

    assert refused
    writer.journal.sync()  # and the next one is let in


def test_threads_get_blocks_of_their_own_in_one_generation() -> None:
    writer = Writer()
    for stream in range(1, 9):
        writer.define(stream)
    threads = [threading.Thread(target=writer.append, args=(n, 5000)) for n in range(1, 9)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        writer.journal.note({"note": 1})
        writer.journal.sync()
    for thread in threads:
        thread.join()

    assert_whole(snapshot(), writer)
    writer.abandon()
    assert_whole(snapshot(), writer)


@pytest.mark.parametrize("kind", ["nfs4", "btrfs", "fuse.sshfs", "unknown", "zfs"])
def test_rows_are_written_and_not_mapped_where_a_mapping_guarantees_nothing(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_generation, "filesystem", lambda _: FileSystem("ext4"))
    assert can_map(Path())
    monkeypatch.setattr(_generation, "filesystem", lambda _: FileSystem(kind))
    assert not can_map(Path())
