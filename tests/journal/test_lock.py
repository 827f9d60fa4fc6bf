"""Who writes a journal is known to the kernel: real processes that live, die, fork and race."""

import os
import socket
from pathlib import Path

import pytest

from helpers import end, output, start
from holdfast._process import Identity, this_process
from holdfast.errors import LockedError
from holdfast.journal import WriterLock, _lock, writer_lives
from journals import FOLDER

HOLD = """
    import sys, time
    from pathlib import Path
    from holdfast.journal import WriterLock
    lock = WriterLock(Path("x.h5-journal"))
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_writer_is_refused_and_told_which_process_writes() -> None:
    other = start(HOLD)

    with pytest.raises(LockedError, match=f"process {other.pid} on {socket.gethostname()}"):
        WriterLock(FOLDER)

    assert writer_lives(FOLDER)
    assert end(other) == 0
    assert not writer_lives(FOLDER)
    WriterLock(FOLDER).remove()


def test_a_second_writer_in_the_same_process_is_refused_too() -> None:
    lock = WriterLock(FOLDER)

    with pytest.raises(LockedError, match=f"process {os.getpid()} "):
        WriterLock(FOLDER)

    lock.release()
    WriterLock(FOLDER)


def test_a_writer_that_was_killed_is_dead_at_once_and_another_may_follow() -> None:
    other = start(HOLD)

    other.kill()
    end(other)

    assert not writer_lives(FOLDER)
    WriterLock(FOLDER)
    assert writer_lives(FOLDER)


def test_the_forked_child_of_a_killed_writer_does_not_keep_it_alive() -> None:
    other = start(
        """
        import os, sys, time
        from pathlib import Path
        from holdfast.journal import WriterLock
        lock = WriterLock(Path("x.h5-journal"))
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.write(writer, b"x")
            sys.stdin.read()
            os._exit(0)
        os.read(reader, 1)
        print("forked", flush=True)
        time.sleep(1000)
        """
    )
    assert writer_lives(FOLDER)

    other.kill()
    other.wait()

    assert not writer_lives(FOLDER)  # although the child still runs
    WriterLock(FOLDER).remove()
    end(other)


def test_a_thread_that_forks_while_the_lock_is_taken_does_not_share_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader, writer = os.pipe()
    forked, child_runs = os.pipe()
    children = []

    def fork_first() -> Identity:
        child = os.fork()
        if child == 0:
            os.close(writer)
            os.write(child_runs, b"x")
            os.read(reader, 1)
            os._exit(0)
        os.read(forked, 1)
        children.append(child)
        return this_process()

    monkeypatch.setattr(_lock, "this_process", fork_first)
    WriterLock(FOLDER).release()

    assert not writer_lives(FOLDER)
    for descriptor in (writer, reader, forked, child_runs):
        os.close(descriptor)
    assert os.waitpid(children[0], 0)[1] == 0


def test_a_lock_whose_name_cannot_be_written_is_let_go_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(OSError, match="No space"):
            WriterLock(FOLDER)

    assert not FOLDER.exists()
    WriterLock(FOLDER)


def test_a_lock_that_is_a_link_to_another_file_leaves_that_file_alone() -> None:
    Path("precious").write_text("content")
    FOLDER.mkdir()
    (FOLDER / "lock").symlink_to("../precious")

    with pytest.raises(OSError, match="symbolic link"):
        WriterLock(FOLDER)

    assert Path("precious").read_text() == "content"


def test_there_is_no_writer_where_there_is_no_journal() -> None:
    Path("file").touch()

    assert not writer_lives(FOLDER)
    assert not writer_lives(Path("file"))
    with pytest.raises(FileNotFoundError):
        WriterLock(Path("nowhere/x.h5-journal"))
    Path("link").symlink_to("nowhere")
    with pytest.raises(FileNotFoundError):
        WriterLock(Path("link"))
    with pytest.raises(NotADirectoryError):
        WriterLock(Path("file"))


def test_processes_that_race_to_open_and_remove_a_journal_are_never_in_it_together() -> None:
    race = """
        import os, sys, time
        from pathlib import Path
        from holdfast.errors import LockedError
        from holdfast.journal import JournalWriter, WriterLock, writer_lives, read_journal
        folder, me = Path("x.h5-journal"), os.getpid()
        print("ready", flush=True)
        sys.stdin.readline()
        opened = 0
        while opened < 60:
            try:
                lock = WriterLock(folder)
            except LockedError:
                read_journal(folder)
                continue
            journal = JournalWriter(folder, lock)
            with open("inside", "x"):
                pass
            assert writer_lives(folder)
            os.unlink("inside")
            journal.close(keep=False)
            opened += 1
        print(opened)
    """
    racers = [start(race) for _ in range(4)]

    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    counts = [int(racer.communicate(timeout=150)[0]) for racer in racers]

    assert counts == [60] * 4
    assert not FOLDER.exists()


def test_asking_whether_a_writer_lives_does_not_keep_writers_out() -> None:
    asker = start(
        """
        from pathlib import Path
        from holdfast.journal import writer_lives
        print("asking", flush=True)
        while not Path("done").exists():
            for _ in range(100):
                writer_lives(Path("x.h5-journal"))
        """
    )

    for _ in range(200):
        WriterLock(FOLDER).release()

    Path("done").touch()
    assert end(asker) == 0


def test_the_lock_costs_no_import_of_h5py() -> None:
    assert output("import sys, holdfast.journal; print('h5py' in sys.modules)") == "False"
