"""What all tests share: each runs in a folder of its own, and campaigns can be enlarged."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast import _sync


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--campaign", action="store_true", help="kill thousands of processes instead of hundreds"
    )


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Relative paths, such as the default ``outputs``, lead into a new folder."""
    monkeypatch.chdir(tmp_path)
    yield
    _sync.drain()  # or the background would sync files of a folder that pytest has removed


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    """How many processes a campaign kills."""
    return 5000 if request.config.getoption("--campaign") else 200


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a mounted file system of 512 KiB, which fills up for real."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    _sync.drain()
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def read_only_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a mounted file system that refuses every write, root's too."""
    folder = tmp_path / "read_only"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "ro,size=64k", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting a read-only file system needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
