import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers import output, wait_until
from holdfast import _sync
from holdfast._atomic import replace_bytes
from holdfast._filesystem import FileSystem, filesystem
from holdfast._sync import Durability, drain, fsync_path, heartbeat, stop_heartbeat
from holdfast.errors import InvalidInputError


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names that are brought to the disk from now on."""
    names: list[str] = []

    def note(descriptor: int) -> None:
        names.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))

    drain()
    monkeypatch.setattr(os, "fsync", note)
    return names


def test_always_brings_the_file_and_its_folder_to_the_disk_before_the_call_returns(
    tmp_path: Path, synced: list[str]
) -> None:
    replace_bytes(tmp_path / "file", b"x", Durability("always"))
    assert synced[0].startswith(".tmp-")
    assert tmp_path.name in synced


def test_in_the_background_the_file_and_its_folder_follow(
    tmp_path: Path, synced: list[str]
) -> None:
    replace_bytes(tmp_path / "file", b"x", Durability())
    drain()
    assert {"file", tmp_path.name} <= set(synced)


def test_the_background_syncs_by_itself(tmp_path: Path, synced: list[str]) -> None:
    replace_bytes(tmp_path / "file", b"x", Durability())
    wait_until(lambda: {"file", tmp_path.name} <= set(synced))


def test_where_a_rename_may_reach_the_disk_before_the_data_they_are_synced_first(
    tmp_path: Path, synced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"old")
    monkeypatch.setattr(_sync, "filesystem", lambda path: FileSystem("xfs"))
    replace_bytes(tmp_path / "file", b"new", Durability())
    assert synced[0].startswith(".tmp-")


def test_everything_is_synced_when_the_process_exits(tmp_path: Path) -> None:
    program = """
        import os
        names = []
        os.fsync = lambda fd: names.append(os.path.basename(os.readlink(f"/proc/self/fd/{fd}")))
        import atexit
        atexit.register(lambda: print(" ".join(names)))
        from pathlib import Path
        from holdfast._atomic import replace_bytes
        from holdfast._sync import Durability
        replace_bytes(Path("last"), b"", Durability())
    """
    assert "last" in output(program, cwd=tmp_path).split()


def failing(number: int) -> Callable[[int], None]:
    def fsync(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    return fsync


def test_a_disk_that_fails_in_the_background_is_told_once_with_file_and_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drain()
    durability = Durability()
    (tmp_path / "file").write_bytes(b"x")
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))
    durability.changed(tmp_path / "file")
    drain()
    with pytest.raises(OSError, match="may not survive a power loss") as caught:
        durability.raise_failure()
    assert caught.value.errno == errno.EIO
    assert caught.value.filename == str(tmp_path / "file")
    durability.raise_failure()


def test_a_file_system_that_cannot_sync_folders_can_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"x")
    monkeypatch.setattr(os, "fsync", failing(errno.EINVAL))
    fsync_path(tmp_path)
    with pytest.raises(OSError, match="Invalid"):
        fsync_path(tmp_path / "file")


@pytest.mark.parametrize("count", [1, 3 * _sync.MANY_FILES])
def test_files_that_vanish_before_their_sync_are_no_failure(tmp_path: Path, count: int) -> None:
    durability, other = Durability(), Durability()
    paths = [tmp_path / "folder" / str(number) for number in range(count)]
    for path in paths:
        replace_bytes(path, b"x", durability)
    replace_bytes(tmp_path / "kept", b"x", other)
    for path in paths:
        path.unlink()
    (tmp_path / "folder").rmdir()
    (tmp_path / "folder").write_bytes(b"a file now")
    drain()
    durability.raise_failure()
    other.raise_failure()


def test_many_files_are_synced_by_one_call_for_their_file_system(
    tmp_path: Path, synced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def note(paths: dict[Path, Durability]) -> None:
        calls.append(len(paths))

    monkeypatch.setattr(_sync, "_sync_filesystem", note)
    monkeypatch.setattr(_sync, "GATHER_SECONDS", 60.0)
    durability = Durability()
    for number in range(_sync.MANY_FILES * 2):
        durability.changed(_written(tmp_path / str(number)))
    drain()
    assert sum(calls) + len(synced) == _sync.MANY_FILES * 2
    assert calls


def _written(path: Path) -> Path:
    path.write_bytes(b"x")
    return path


def test_the_whole_file_system_is_synced_for_real(tmp_path: Path) -> None:
    durability = Durability()
    for number in range(_sync.MANY_FILES * 2):
        durability.changed(_written(tmp_path / str(number)))
    drain()
    durability.raise_failure()


def test_without_any_thread_to_be_had_files_are_saved_and_synced_at_exit(tmp_path: Path) -> None:
    program = """
        import os, threading
        names = []
        os.fsync = lambda fd: names.append(os.path.basename(os.readlink(f"/proc/self/fd/{fd}")))
        import atexit
        atexit.register(lambda: print(" ".join(names)))
        def refuse(self):
            raise RuntimeError("can't start new thread")
        threading.Thread.start = refuse
        from pathlib import Path
        from holdfast._atomic import replace_bytes
        from holdfast._sync import Durability
        replace_bytes(Path("a"), b"", Durability())
        replace_bytes(Path("b"), b"", Durability())
    """
    assert {"a", "b"} <= set(output(program, cwd=tmp_path).split())


def test_a_forked_child_syncs_with_a_thread_of_its_own(tmp_path: Path) -> None:
    program = """
        import os, threading
        from pathlib import Path
        from holdfast import _sync
        from holdfast._atomic import replace_bytes
        replace_bytes(Path("parent"), b"", _sync.Durability())
        if os.fork():
            _, code = os.wait()
            print(os.waitstatus_to_exitcode(code))
        else:
            synced = threading.Event()
            os.fsync = lambda fd: synced.set()
            replace_bytes(Path("child"), b"", _sync.Durability())
            os._exit(5 if synced.wait(150) else 1)
    """
    assert output(program, cwd=tmp_path) == "5"


class Beating:
    def __init__(self) -> None:
        self.beaten = threading.Event()

    def beat(self) -> None:
        self.beaten.set()
        raise PermissionError  # the next beat tries again


def test_a_writer_gives_signs_of_life_until_it_stops() -> None:
    program = """
        import sys, threading
        sys.path.insert(0, sys.argv[1])
        from holdfast import _sync
        _sync.HEARTBEAT_INTERVAL = 0.05
        from test_sync import Beating
        writer = Beating()
        _sync.heartbeat(writer.beat)
        for _ in range(2):
            assert writer.beaten.wait(150)
            writer.beaten.clear()
        _sync.stop_heartbeat(writer.beat)
        _sync._background._beat_all()
        assert not writer.beaten.is_set() or _sync._background._beats == set()
        print(len(_sync._background._beats))
    """
    assert output(program, Path(__file__).parent) == "0"


def test_a_heartbeat_does_not_keep_a_writer_from_being_collected() -> None:
    writer = Beating()
    heartbeat(writer.beat)
    before = len(_sync._background._beats)
    del writer
    _sync._background._beat_all()
    assert len(_sync._background._beats) < before
    stop_heartbeat(Beating().beat)


def test_a_word_that_is_no_mode_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="'background' or 'always'"):
        Durability("sometimes")  # type: ignore[arg-type]


def test_file_systems_that_order_replacements_are_known() -> None:
    assert FileSystem("ext4").orders_replacements
    assert not FileSystem("ext4", frozenset(["noauto_da_alloc"])).orders_replacements
    assert not FileSystem("xfs").orders_replacements
    assert FileSystem("nfs4").is_network
    assert not FileSystem("ext4").is_network


def test_the_file_system_of_a_path_is_told(small_disk: Path) -> None:
    assert filesystem(small_disk).kind == "tmpfs"
    assert "rw" in filesystem(small_disk).options
