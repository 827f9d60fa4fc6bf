"""What is appended is there whole, or nothing of it is."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers import open_files
from holdfast._append import AppendedFile, append_whole

_write = os.write


def disk_that_fills(*parts: int) -> Callable[[int, bytes], int]:
    """Return a write that takes parts of these sizes, one a call, and then nothing any more."""
    left = list(parts)

    def write(descriptor: int, content: bytes) -> int:
        if not left:
            raise OSError(errno.ENOSPC, "No space left on device")
        return _write(descriptor, content[: left.pop(0)])

    return write


@pytest.mark.parametrize("parts", [(), (3,), (3, 4), (1, 1, 1, 1)])
def test_a_disk_that_fills_within_a_line_leaves_what_was_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: tuple[int, ...]
) -> None:
    path = tmp_path / "a"
    file = AppendedFile(path)
    file.append(b"accepted\n")
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", disk_that_fills(*parts))
        with pytest.raises(OSError, match="No space"):
            file.append(b"does not fit\n")
    assert path.read_bytes() == b"accepted\n"
    file.append(b"fits\n")
    assert path.read_bytes() == b"accepted\nfits\n"


def test_a_line_that_needs_several_writes_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
    monkeypatch.setattr(os, "write", disk_that_fills(2, 3, 100))
    append_whole(descriptor, b"several writes\n")
    os.close(descriptor)
    assert path.read_bytes() == b"several writes\n"


def test_what_cannot_be_cut_off_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, size: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    path = tmp_path / "a"
    file = AppendedFile(path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", disk_that_fills(3, 4))
        patch.setattr(os, "ftruncate", refuse)
        with pytest.raises(OSError, match="No space"):
            file.append(b"does not fit\n")
    file.append(b"fits\n")
    assert path.read_bytes() == b"does no\nfits\n"


def test_a_line_torn_by_a_power_loss_is_ended_before_the_next(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"whole\nto")
    AppendedFile(path).append(b"next\n")
    assert path.read_bytes() == b"whole\nto\nnext\n"


def test_a_closed_file_takes_lines_and_holds_nothing_open(tmp_path: Path) -> None:
    file = AppendedFile(tmp_path / "a")
    file.append(b"1\n")
    assert len(open_files(tmp_path)) == 1
    file.close()
    file.append(b"2\n")
    assert open_files(tmp_path) == []
    assert (tmp_path / "a").read_bytes() == b"1\n2\n"
