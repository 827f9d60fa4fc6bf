import os
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import FormatError, InvalidInputError, MissingFileError
from holdfast.integrity import (
    CHECKSUM_FILE,
    SEAL_FILE,
    calculate_directory_checksum,
    seal_directory,
    transfer_directory,
    verify_directory,
)

DIGEST = "82082363fd03b131c87ca35cea4b3610"


@pytest.fixture
def tree() -> Path:
    folder = Path("tree")
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("hello")
    (folder / "sub.txt").write_text("z")
    (folder / "sub/b.bin").write_bytes(bytes(range(10)))
    return folder


def test_digests_are_those_of_the_reference(tree: Path) -> None:
    assert calculate_directory_checksum(tree) == DIGEST
    assert (tree / "ax_checksum.txt").read_bytes() == DIGEST.encode()
    assert calculate_directory_checksum(tree, 1, progress=True) == DIGEST
    Path("empty").mkdir()
    empty = calculate_directory_checksum(Path("empty"), save_checksum=False)
    assert empty == "99aa06d3014798d86001c324468d497f"
    assert not list(Path("empty").iterdir())


def test_neither_empty_folders_nor_times_nor_seals_count(tree: Path) -> None:
    (tree / "empty").mkdir()
    os.utime(tree / "a.txt", (1, 1))
    assert seal_directory(tree) == DIGEST
    assert calculate_directory_checksum(tree) == DIGEST
    assert calculate_directory_checksum(tree, excluded_files={CHECKSUM_FILE}) == DIGEST


def test_excluded_names_are_left_out_at_any_depth(tree: Path) -> None:
    (tree / "sub/skip").write_text("x")
    (tree / "skip").write_text("y")
    found = calculate_directory_checksum(
        tree, save_checksum=False, excluded_files={"skip", CHECKSUM_FILE}
    )
    assert found == DIGEST


def test_files_behind_symlinks_count_and_folders_behind_them_do_not(tree: Path) -> None:
    text = tree / "sub.txt"
    text.rename("elsewhere")
    text.symlink_to(Path("elsewhere").absolute())
    (tree / "loop").symlink_to(tree.absolute())
    assert calculate_directory_checksum(tree) == DIGEST


def test_what_cannot_be_read_is_an_error(tree: Path) -> None:
    (tree / "dangling").symlink_to("nowhere")
    with pytest.raises(OSError, match="dangling"):
        calculate_directory_checksum(tree)
    (tree / "dangling").unlink()
    os.mkfifo(tree / "pipe")
    with pytest.raises(FormatError, match="pipe"):
        calculate_directory_checksum(tree)


def test_a_folder_that_is_not_there_is_named() -> None:
    with pytest.raises(MissingFileError, match="absent"):
        calculate_directory_checksum(Path("absent"))
    Path("file").touch()
    with pytest.raises(InvalidInputError, match="not a folder"):
        calculate_directory_checksum(Path("file"))


def test_a_hole_counts_as_the_zeros_it_reads_as(tree: Path) -> None:
    size = 3 << 20
    (tree / "big").write_bytes(bytes(size - 3) + b"end")
    dense = calculate_directory_checksum(tree)
    with open(tree / "big", "wb") as file:
        file.seek(size - 3)
        file.write(b"end")
    assert calculate_directory_checksum(tree) == dense


def test_names_that_are_not_utf_8_have_digests_and_seals(tree: Path) -> None:
    (tree / os.fsdecode(b"\xff\xfe")).write_text("x")
    (tree / "\N{SNOWMAN}\n").write_text("y")
    assert seal_directory(tree) != DIGEST
    assert verify_directory(tree).ok


def test_a_verification_names_what_changed_vanished_and_appeared(tree: Path) -> None:
    seal_directory(tree)
    report = verify_directory(tree)
    assert (report.ok, report.files, report.digest, str(report)) == (
        True, 3, DIGEST, "3 files as sealed",
    )  # fmt: skip
    content = bytearray((tree / "sub/b.bin").read_bytes())
    content[3] ^= 1
    (tree / "sub/b.bin").write_bytes(content)
    (tree / "a.txt").unlink()
    (tree / "new").touch()
    report = verify_directory(tree)
    assert (report.changed, report.missing, report.extra) == (("sub/b.bin",), ("a.txt",), ("new",))
    assert not report
    assert str(report) == "1 changed, 1 missing, 1 extra"


def test_a_damaged_or_missing_seal_is_an_error(tree: Path) -> None:
    with pytest.raises(MissingFileError, match="no seal"):
        verify_directory(tree)
    seal_directory(tree)
    text = (tree / SEAL_FILE).read_text()
    (tree / SEAL_FILE).write_text(text.replace("sub.txt", "sub.tyt"))
    with pytest.raises(FormatError, match="damaged"):
        verify_directory(tree)


def test_one_name_to_exclude_is_not_taken_for_parts_of_names(tree: Path) -> None:
    wrong: Any = "a.txt"
    with pytest.raises(InvalidInputError, match=r"\{'a.txt'\}"):
        calculate_directory_checksum(tree, excluded_files=wrong, save_checksum=False)


@pytest.mark.parametrize("threads", ["2", 2.5, [1]])
def test_numbers_of_threads_are_whole_numbers(tree: Path, threads: Any) -> None:
    with pytest.raises(InvalidInputError, match="whole number"):
        calculate_directory_checksum(tree, threads, save_checksum=False)
    with pytest.raises(InvalidInputError, match="whole number"):
        transfer_directory(tree, Path("copy"), threads)
    assert not Path("copy").exists()
