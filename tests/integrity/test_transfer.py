import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest

from helpers import HANG, contents, temporaries
from holdfast.errors import FormatError, IntegrityError, InvalidInputError, MissingFileError
from holdfast.integrity import _hash, _transfer, calculate_directory_checksum, transfer_directory
from holdfast.integrity._tree import entries

HERE, THERE = Path("here"), Path("there/deep")


@pytest.fixture(autouse=True)
def source() -> None:
    for number in range(20):
        path = HERE / f"{number % 3}" / f"{number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(number * 1000))
    (HERE / "empty").mkdir()


@pytest.mark.parametrize("verify", [True, False])
def test_everything_is_copied_once(verify: bool) -> None:  # noqa: FBT001 - a parameter
    report = transfer_directory(HERE, THERE, 0, verify_integrity=verify, progress=True)
    assert (report.copied, report.skipped, report.verified) == (20, 0, verify)
    assert contents(HERE) == contents(THERE)
    assert (THERE / "empty").is_dir()
    again = transfer_directory(HERE, THERE, 4, verify_integrity=verify)
    assert (again.copied, again.skipped, again.bytes_copied) == (0, 20, 0)


def test_times_permissions_attributes_and_links_are_kept() -> None:
    file = HERE / "0/0.bin"
    file.chmod(0o440)
    os.utime(file, ns=(5, 1_234_567_890_123_456_789))
    os.setxattr(file, "user.unit", b"mm")
    (HERE / "link").symlink_to("0/3.bin")
    (HERE / "out").symlink_to("/etc")
    (HERE / "dangling").symlink_to("nowhere")
    (HERE / "1").chmod(0o550)
    os.utime(HERE / "1", ns=(5, 7))
    for _ in range(2):
        transfer_directory(HERE, THERE, verify_integrity=True)
    status = (THERE / "0/0.bin").stat()
    assert (status.st_mode & 0o777, status.st_mtime_ns) == (0o440, 1_234_567_890_123_456_789)
    assert os.getxattr(THERE / "0/0.bin", "user.unit") == b"mm"
    assert os.readlink(THERE / "link") == "0/3.bin"
    assert os.readlink(THERE / "out") == "/etc"
    assert os.readlink(THERE / "dangling") == "nowhere"
    assert ((THERE / "1").stat().st_mode & 0o777, (THERE / "1").stat().st_mtime_ns) == (0o550, 7)


def test_names_in_any_unicode_and_in_none_are_kept() -> None:
    for name in (b"\xff\xfe", "\N{SNOWMAN} \n é".encode(), "é".encode(), b"-rf", b" "):
        (HERE / os.fsdecode(name)).write_bytes(name)
    transfer_directory(HERE, THERE, verify_integrity=True)
    assert sorted(os.listdir(os.fsencode(HERE))) == sorted(os.listdir(os.fsencode(THERE)))


@pytest.mark.parametrize("verify", [True, False])
def test_four_gibibytes_of_holes_stay_holes(verify: bool) -> None:  # noqa: FBT001 - a parameter
    with open(HERE / "sparse", "wb") as file:
        file.seek(1 << 31)
        file.write(b"middle")
        file.truncate(1 << 32)
    transfer_directory(HERE, THERE, verify_integrity=verify)
    status = (THERE / "sparse").stat()
    assert status.st_size == 1 << 32
    assert status.st_blocks * 512 < 1 << 20
    with open(THERE / "sparse", "rb") as file:
        file.seek(1 << 31)
        assert file.read(7) == b"middle\0"


def test_the_source_is_removed_once_everything_was_verified() -> None:
    digest = calculate_directory_checksum(HERE, save_checksum=False)
    report = transfer_directory(HERE, THERE, remove_source=True)
    assert report.verified
    assert not HERE.exists()
    assert calculate_directory_checksum(THERE) == digest


class Meddler:
    """Does something once a file stands at the destination, while the transfer goes on."""

    def __init__(self, wait_for: Path, meddle: Callable[[], None]) -> None:
        self._wait_for, self._meddle = wait_for, meddle
        self._thread = threading.Thread(target=self._run)
        self.done = False

    def _run(self) -> None:
        end = time.monotonic() + HANG
        while not self._wait_for.exists():
            if time.monotonic() > end:
                return
            time.sleep(0.0005)
        self._meddle()
        self.done = True

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()


def flip(path: Path) -> None:
    status, content = path.stat(), bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def add_slow_files() -> None:
    """Make what takes long enough after the first file that others can act meanwhile."""
    for number in range(60):
        (HERE / f"slow{number}").write_bytes(bytes([number]) * 1_000_000)


def test_a_bit_that_flips_on_the_way_is_found_and_mended_by_the_next_call() -> None:
    add_slow_files()
    first = next(entry for entry in entries(HERE) if entry.relative.startswith("slow")).relative
    meddler = Meddler(THERE / first, lambda: flip(THERE / first))
    with meddler, pytest.raises(IntegrityError, match=f"{first} differ"):
        transfer_directory(HERE, THERE, remove_source=True)
    assert meddler.done
    assert len(contents(HERE)) == 80
    assert transfer_directory(HERE, THERE).copied == 1
    assert contents(HERE) == contents(THERE)


def test_small_files_that_are_damaged_before_they_are_on_the_disk_are_all_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in range(100):
        (HERE / f"small{number:02}").write_bytes(os.urandom(200))
    damaged = [THERE / f"small{number:02}" for number in (0, 41, 99)]

    def meddle(transfer: _transfer._Transfer, real: Callable[..., None]) -> None:
        flip(damaged[0])
        flip(damaged[1])
        damaged[2].unlink()
        real(transfer)

    real = _transfer._Transfer._to_disk
    with monkeypatch.context() as patch:
        patch.setattr(_transfer._Transfer, "_to_disk", lambda self: meddle(self, real))
        with pytest.raises(IntegrityError) as caught:
            transfer_directory(HERE, THERE, 3, remove_source=True)

    assert all(str(path) in str(caught.value) for path in damaged)
    assert not any(path.exists() for path in damaged)
    assert transfer_directory(HERE, THERE, remove_source=True).copied == 3


def test_a_small_file_that_grows_is_read_to_its_end() -> None:
    path = HERE / "grows"
    path.write_bytes(b"begin")
    descriptor = _hash.open_to_read(str(path))
    path.write_bytes(b"begin and much more")
    assert _hash.content_of(descriptor, 5) == b"begin "  # which tells that it has
    assert _hash.content_of(descriptor, 100) == b"and much more"
    os.close(descriptor)


def test_a_copy_that_rotted_is_replaced_by_a_verified_transfer() -> None:
    transfer_directory(HERE, THERE)
    target = THERE / "0/3.bin"
    status, content = target.stat(), bytearray(target.read_bytes())
    content[5] ^= 4
    target.write_bytes(content)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert transfer_directory(HERE, THERE).copied == 0
    assert transfer_directory(HERE, THERE, verify_integrity=True).copied == 1
    assert contents(HERE) == contents(THERE)


def test_files_that_only_the_destination_has_fail_stay_or_go() -> None:
    THERE.mkdir(parents=True)
    (THERE / "extra").touch()
    with pytest.raises(RuntimeError, match="existing='merge'"):
        transfer_directory(HERE, THERE, verify_integrity=True)
    transfer_directory(HERE, THERE, verify_integrity=True, existing="merge")
    assert (THERE / "extra").exists()
    transfer_directory(HERE, THERE, verify_integrity=True, existing="reset")
    assert contents(HERE) == contents(THERE)


def test_a_folder_in_the_place_of_a_file_is_refused_or_reset() -> None:
    (THERE / "0/0.bin").mkdir(parents=True)
    with pytest.raises(InvalidInputError, match="reset"):
        transfer_directory(HERE, THERE)
    transfer_directory(HERE, THERE, existing="reset")
    assert contents(HERE) == contents(THERE)


def test_folders_behind_symlinks_at_the_destination_are_not_written_to() -> None:
    Path("outside").mkdir()
    THERE.mkdir(parents=True)
    (THERE / "0").symlink_to(Path("outside").absolute())
    with pytest.raises(InvalidInputError, match="no folder"):
        transfer_directory(HERE, THERE)
    assert not list(Path("outside").iterdir())


def test_a_file_that_vanishes_is_an_error_and_the_source_stays() -> None:
    add_slow_files()
    slow = [e.relative for e in entries(HERE) if e.relative.startswith("slow")]
    meddler = Meddler(THERE / slow[0], (HERE / slow[-1]).unlink)
    with meddler, pytest.raises(FileNotFoundError, match=slow[-1]):
        transfer_directory(HERE, THERE, remove_source=True)
    assert meddler.done
    assert len(contents(HERE)) == 79


def test_a_source_that_changes_meanwhile_is_not_removed() -> None:
    add_slow_files()
    first = next(e.relative for e in entries(HERE) if e.relative.startswith("slow"))
    meddler = Meddler(THERE / first, (HERE / "late").touch)
    with meddler, pytest.raises(IntegrityError, match="late changed"):
        transfer_directory(HERE, THERE, remove_source=True)
    assert meddler.done
    assert len(contents(HERE)) == 81


def test_a_source_that_is_written_without_end_is_not_removed() -> None:
    stop = threading.Event()

    def write() -> None:
        with open(HERE / "busy", "wb", buffering=0) as file:
            while not stop.is_set():
                file.write(bytes(300_000))
                file.seek(0 if file.tell() > 30_000_000 else file.tell())

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with pytest.raises(IntegrityError, match="busy"):
            transfer_directory(HERE, THERE, remove_source=True)
    finally:
        stop.set()
        writer.join()
    assert (HERE / "busy").exists()


def test_hard_links_become_files_and_loops_of_links_stay_loops() -> None:
    (HERE / "hard").hardlink_to(HERE / "0/3.bin")
    (HERE / "a").symlink_to("b")
    (HERE / "b").symlink_to("a")
    (HERE / "up").symlink_to("..")
    transfer_directory(HERE, THERE, verify_integrity=True)
    assert (THERE / "hard").read_bytes() == (HERE / "0/3.bin").read_bytes()
    assert [os.readlink(THERE / name) for name in ("a", "b", "up")] == ["b", "a", ".."]


def test_a_full_destination_is_an_error_and_can_be_resumed(small_disk: Path) -> None:
    (HERE / "big").write_bytes(os.urandom(700_000))
    with pytest.raises(OSError, match="No space"):
        transfer_directory(HERE, small_disk / "t", remove_source=True)
    assert (HERE / "big").exists()
    assert not temporaries(small_disk)
    (HERE / "big").write_bytes(b"small now")
    transfer_directory(HERE, small_disk / "t", verify_integrity=True)
    assert contents(HERE) == contents(small_disk / "t")


def test_places_that_make_no_sense_are_refused() -> None:
    with pytest.raises(MissingFileError, match="absent"):
        transfer_directory(Path("absent"), THERE)
    for destination in (HERE, HERE / "in", Path()):
        with pytest.raises(InvalidInputError, match="in one another"):
            transfer_directory(HERE, destination)
    Path("file").touch()
    with pytest.raises(InvalidInputError, match="is a file"):
        transfer_directory(HERE, Path("file"))
    os.mkfifo(HERE / "pipe")
    with pytest.raises(FormatError, match="pipe"):
        transfer_directory(HERE, THERE)


def test_small_files_by_the_thousand(request: pytest.FixtureRequest) -> None:
    count = 100_000 if request.config.getoption("--campaign") else 500
    for number in range(count):
        path = HERE / f"many{number % 50}" / f"{number}"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{number}")
    report = transfer_directory(HERE, THERE, 0, verify_integrity=True)
    assert report.copied == count + 20
    shutil.rmtree(THERE)
