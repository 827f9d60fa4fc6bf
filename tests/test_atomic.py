import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from helpers import output, temporaries
from holdfast._atomic import (
    create_bytes,
    creating_folder,
    make_folder,
    replace_bytes,
    replacing,
    temporary_beside,
)
from holdfast._sync import Durability
from holdfast.errors import AlreadyExistsError

both_modes = pytest.mark.parametrize(
    "durability", [Durability("background"), Durability("always")], ids=lambda d: d.mode
)


@both_modes
def test_a_file_is_replaced_whole_and_folders_on_the_way_are_made(
    tmp_path: Path, durability: Durability
) -> None:
    path = tmp_path / "a" / "b" / "file"
    replace_bytes(path, b"old", durability)
    replace_bytes(path, b"new", durability)
    assert path.read_bytes() == b"new"
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_while_a_file_is_being_written_the_old_one_is_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with replacing(path, Durability()) as file:
        file.write(b"half of the n")
        file.flush()
        assert path.read_bytes() == b"old"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, OSError])
def test_a_block_that_raises_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(error), replacing(path, Durability()) as file:  # noqa: PT012 - the block is what is tested
        file.write(b"half")
        raise error
    assert path.read_bytes() == b"old"
    assert not temporaries(tmp_path)


def test_a_full_disk_says_so_and_leaves_the_old_file(small_disk: Path) -> None:
    path = small_disk / "file"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="No space") as caught:
        replace_bytes(path, bytes(2**20), Durability())
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == b"old"
    assert not temporaries(small_disk)


def test_a_file_above_the_size_limit_says_so_and_leaves_the_old_file(tmp_path: Path) -> None:
    program = """
        import errno, resource, sys
        from pathlib import Path
        from holdfast._atomic import replace_bytes
        from holdfast._sync import Durability
        path = Path("file")
        path.write_bytes(b"old")
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        try:
            replace_bytes(path, bytes(100_000), Durability())
        except OSError as error:
            print(errno.errorcode[error.errno], path.read_bytes(), len(list(Path().iterdir())))
    """
    assert output(program, cwd=tmp_path) == "EFBIG b'old' 1"


def test_a_new_file_has_the_permissions_that_the_user_asked_for(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        replace_bytes(tmp_path / "file", b"", Durability())
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_of_many_threads_that_create_a_file_one_succeeds(tmp_path: Path) -> None:
    path, start, wins = tmp_path / "claim", threading.Barrier(8), []

    def create(number: int) -> None:
        start.wait()
        try:
            create_bytes(path, b"%d" % number * 1000, Durability())
        except AlreadyExistsError:
            return
        wins.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wins) == 1
    assert path.read_bytes() == b"%d" % wins[0] * 1000
    assert not temporaries(tmp_path)


@both_modes
def test_a_folder_appears_with_all_that_is_in_it(tmp_path: Path, durability: Durability) -> None:
    path = tmp_path / "above" / "run"
    with creating_folder(path, durability) as folder:
        (folder / "inner").write_bytes(b"x")
        assert not path.exists()
    assert (path / "inner").read_bytes() == b"x"
    assert not temporaries(tmp_path)


def test_a_folder_that_cannot_be_filled_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), creating_folder(tmp_path / "run", Durability()) as new:  # noqa: PT012 - the block is what is tested
        (new / "inner").write_bytes(b"x")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "folder", "dangling symlink"])
def test_a_folder_never_takes_the_place_of_something(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "run"
    if kind == "file":
        path.write_bytes(b"mine")
    elif kind == "folder":
        (path / "mine").mkdir(parents=True)
    else:
        path.symlink_to("nowhere")
    with pytest.raises(AlreadyExistsError, match="choose another"):
        creating_folder(path, Durability()).__enter__()
    assert path.is_symlink() or path.exists()
    assert not temporaries(tmp_path)


def test_a_folder_that_somebody_made_meanwhile_is_left_to_them(tmp_path: Path) -> None:
    with (  # noqa: PT012 - the block is what is tested
        pytest.raises(AlreadyExistsError),
        creating_folder(tmp_path / "run", Durability()) as folder,
    ):
        (folder / "ours").write_bytes(b"")
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "theirs").write_bytes(b"")
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["theirs"]
    assert not temporaries(tmp_path)


@pytest.mark.parametrize("blocker", ["file", "dangling symlink"])
def test_a_folder_below_a_file_is_not_taken_for_one_that_exists(
    tmp_path: Path, blocker: str
) -> None:
    path = tmp_path / "blocker"
    if blocker == "file":
        path.write_bytes(b"")
    else:
        path.symlink_to("nowhere")
    with pytest.raises(NotADirectoryError, match="move it away"):
        make_folder(path / "below", Durability())


def test_a_read_only_disk_says_so(read_only_disk: Path) -> None:
    with pytest.raises(OSError, match="Read-only") as caught:
        replace_bytes(read_only_disk / "file", b"x", Durability())
    assert caught.value.errno == errno.EROFS


def test_temporary_names_differ(tmp_path: Path) -> None:
    names = {temporary_beside(tmp_path / "x").name for _ in range(100)}
    assert len(names) == 100
