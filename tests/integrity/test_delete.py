import os
import shutil
import tempfile
from pathlib import Path

import pytest

from helpers import output
from holdfast.errors import InvalidInputError
from holdfast.integrity import delete_directory


def test_a_folder_goes_with_everything_in_it() -> None:
    for number in range(600):
        path = Path(f"gone/{number % 5}/{number}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(0o400)
    Path("gone/read_only").mkdir(0o500)
    delete_directory(Path("gone"))
    assert not Path("gone").exists()
    delete_directory(Path("gone"))


def test_symlinks_are_removed_and_never_followed() -> None:
    Path("kept").mkdir()
    Path("kept/file").touch()
    Path("gone").mkdir()
    Path("gone/folder").symlink_to(Path("kept").absolute())
    Path("gone/file").symlink_to(Path("kept/file").absolute())
    with pytest.raises(InvalidInputError, match="symlink"):
        delete_directory(Path("gone/folder"))
    delete_directory(Path("gone"))
    assert Path("kept/file").exists()


def test_what_must_stay_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    home = Path("home/user").absolute()
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    for path in (Path("/"), home, home.parent, Path.cwd(), Path.cwd().parent, Path("/proc")):
        with pytest.raises(InvalidInputError):
            delete_directory(path)
    Path("file").touch()
    with pytest.raises(InvalidInputError, match="not a folder"):
        delete_directory(Path("file"))
    assert home.exists()


def test_mount_points_are_refused(small_disk: Path) -> None:
    (small_disk / "data").touch()
    for path in (small_disk, small_disk.parent):
        os.chdir("/")
        with pytest.raises(InvalidInputError, match="mount point"):
            delete_directory(path)
    assert (small_disk / "data").exists()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="acts as another user")
def test_what_cannot_be_removed_is_named_and_the_rest_is_gone() -> None:
    # Not below pytest's folder, which another session that begins closes to other users.
    place = Path(tempfile.mkdtemp())
    folder = place / "gone"
    (folder / "locked").mkdir(parents=True)
    for path in (folder / "locked/kept", folder / "a", folder / "b"):
        path.touch()
    for path in (place, folder):
        path.chmod(0o777)  # all but the folder that stays root's
    program = """
        import os, sys
        from pathlib import Path
        from holdfast.integrity import delete_directory
        os.setuid(65534)
        try:
            delete_directory(Path(sys.argv[1]))
        except OSError as error:
            print(error)
        """
    said = output(program, str(folder))
    assert "locked/kept: Permission denied" in said
    assert sorted(folder.rglob("*")) == [folder / "locked", folder / "locked/kept"]
    shutil.rmtree(place)
