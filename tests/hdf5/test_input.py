"""Names, files and folders that cannot be: each refused by name, nothing changed."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from helpers import contents, end, open_files, start
from holdfast.errors import (
    AlreadyExistsError,
    FormatError,
    HoldfastError,
    IntegrityError,
    InvalidInputError,
    LockedError,
    MissingFileError,
    NotFoundError,
    StateError,
)
from holdfast.hdf5 import AppendFile, AppendReader, RowType


@pytest.mark.parametrize("name", ["a b", "ü", "x/y", "a/b/c d", "日本", "x[0]", "-"])
def test_a_name_with_odd_characters_is_a_name(name: str) -> None:
    with AppendFile("x.h5") as file:
        file.append(name, 1.5)
        file.set_attribute(name, "clé", "é")
    assert AppendReader("x.h5").names == [name]
    with h5py.File("x.h5") as plain:
        assert plain[name][:] == [1.5]
        assert plain[name].attrs["clé"] == "é"


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "/x", "a/../b", "a//b", "a/", "a\0b", "a\\b", 5, "x" * 300]
)
def test_a_name_that_leads_elsewhere_or_nowhere_is_refused(name: Any) -> None:
    with AppendFile("x.h5") as file:
        for refused in (
            lambda: file.append(name, 1.5),
            lambda: file.extend(name, [1.5]),
            lambda: file.stream(name, RowType(np.dtype("f8"))),
            lambda: file.declare(name, 1, "f8"),
        ):
            with pytest.raises(InvalidInputError):
                refused()
    assert not Path("x.h5").exists()


def test_a_group_and_a_stream_cannot_share_a_name_whether_in_the_file_or_not_yet() -> None:
    for _ in range(2):
        with AppendFile("x.h5") as file:
            file.append("a/b", 1.5)
            file.append("c", 1.5)
            for name in ("a", "c/d", "a/b/c"):
                with pytest.raises(InvalidInputError, match="choose another"):
                    file.append(name, 1.5)
            with pytest.raises(InvalidInputError, match="choose another"):
                file.set_attribute("c/d", "key", 1)
            with pytest.raises(InvalidInputError, match="choose another"):
                file.declare("a", 1, "f8")
    assert AppendReader("x.h5").length("c") == 2


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("", 1),
        ("a\0b", 1),
        ("\udc80", 1),
        (5, 1),
        ("holdfast_time_unit", "x"),
        ("key", "a\0b"),
        ("key", "\udc80"),
        ("key", ["a", "b\0c"]),
        ("key", None),
        ("key", {"a": 1}),
        ("key", np.zeros(10_000)),
        ("key", ["a"] * 5000),
        ("key", np.datetime64("2020")),
        ("key", np.zeros(2, [("when", "M8[s]")])),
    ],
)
def test_an_attribute_that_hdf5_cannot_hold_is_refused_at_the_call(key: Any, value: Any) -> None:
    with AppendFile("x.h5") as file:
        file.append("x", 1.5)
        with pytest.raises(InvalidInputError):
            file.set_attribute("x", key, value)
        file.checkpoint()
    assert AppendReader("x.h5").attributes("x") == {}


def test_a_second_writer_is_refused_and_told_the_first_ones_process(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    program = """
        import sys
        from holdfast.hdf5 import AppendFile
        with AppendFile(sys.argv[1]) as file:
            file.append("x", 1.5)
            print("ready", flush=True)
            sys.stdin.readline()
    """
    writer = start(program, path)
    with pytest.raises(LockedError, match=f"process {writer.pid} on {os.uname().nodename}"):
        AppendFile(path)
    assert AppendReader(path).live
    assert end(writer) == 0
    with AppendFile(path) as file:
        file.append("x", 2.5)
    assert AppendReader(path).read("x", 0, 2).tolist() == [1.5, 2.5]


def test_a_file_that_a_plain_program_writes_is_not_written_at_the_same_time() -> None:
    with h5py.File("x.h5", "w") as plain:
        plain["other"] = 1
        plain.flush()
        with pytest.raises(LockedError, match="another program"):
            AppendFile("x.h5")
    assert os.listdir() == ["x.h5"]
    AppendFile("x.h5").close()


def test_while_a_writer_lives_plain_programs_may_read_and_may_not_write() -> None:
    with AppendFile("x.h5") as file:
        file.append("x", 1.5)
        file.checkpoint()
        with h5py.File("x.h5", "r") as plain:
            assert plain["x"][:] == [1.5]
        with pytest.raises(OSError, match="lock"):
            h5py.File("x.h5", "a")
    with h5py.File("x.h5", "a") as plain:
        plain["mine"] = 1


def test_a_folder_that_cannot_be_written_is_an_error_of_the_system(read_only_disk: Path) -> None:
    with pytest.raises(OSError, match="Read-only"):
        AppendFile(read_only_disk / "x.h5")


def test_a_dead_writers_rows_are_read_from_a_read_only_disk(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    program = """
        import os, sys
        from holdfast.hdf5 import AppendFile
        file = AppendFile(sys.argv[1])
        file.append("x", 1.5)
        file.checkpoint()
        file.append("x", 2.5)
        print("ready", flush=True)
        os.kill(os.getpid(), 9)
    """
    end(start(program, folder / "x.h5"))
    mount = ["mount", "--bind", str(folder), str(folder)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a read-only mount needs root")
    try:
        remount = ["mount", "-o", "remount,bind,ro", str(folder)]
        subprocess.run(remount, check=True, capture_output=True)
        before = contents(folder)
        reader = AppendReader(folder / "x.h5")
        assert reader.read("x", 0, 2).tolist() == [1.5, 2.5]
        assert not reader.live
        assert contents(folder) == before
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("content", [b"", b"text", b"\x89HDF\r\n\x1a\n", bytes(100), b"x" * 5000])
def test_a_file_that_is_not_hdf5_is_refused_and_left_alone(content: bytes) -> None:
    Path("x.h5").write_bytes(content)
    for refused in (AppendFile, AppendReader):
        with pytest.raises(FormatError, match=r"x\.h5"):
            refused("x.h5")
    assert Path("x.h5").read_bytes() == content
    assert os.listdir() == ["x.h5"]


def test_a_cut_or_damaged_file_is_a_clear_answer_and_never_a_wrong_row(tmp_path: Path) -> None:
    rows = np.arange(3000.0)
    with AppendFile("whole.h5") as file:
        file.extend("x", rows)
        file.extend("packed", rows)
        file.set_attribute("x", "units", "J")
    whole = Path("whole.h5").read_bytes()
    for size in range(0, len(whole), len(whole) // 60):
        Path("x.h5").write_bytes(whole[:size])
        clear = 0
        try:
            reader = AppendReader("x.h5")
            assert reader.read("x", 0, 3000).tobytes() == rows.tobytes()
        except HoldfastError:
            clear = 1
        assert clear or size > 24000
        try:
            AppendFile("x.h5").close()
        except (FormatError, IntegrityError):
            assert os.path.getsize("x.h5") == size
            assert not Path("x.h5-journal").exists()
    assert open_files(tmp_path) == []


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(MissingFileError, match=r"x\.h5"):
        AppendReader("x.h5")
    with AppendFile("x.h5") as file:
        file.append("energy", 1.5)
    with pytest.raises(NotFoundError, match="did you mean 'energy'"):
        AppendReader("x.h5").read("enrgy", 0, 1)
    with pytest.raises(OSError, match="none"):
        AppendFile("none/x.h5")


def test_a_closed_file_refuses_rows_and_closing_again_does_nothing() -> None:
    file = AppendFile("x.h5")
    stream = file.stream("x", RowType(np.dtype("f8")))
    stream.append(1.5)
    file.close()
    file.close()
    refusals: list[Callable[[], object]] = [
        lambda: stream.append(1.5),
        lambda: stream.extend([1.5]),
        lambda: file.append("y", 1.5),
        lambda: file.set_attribute("", "key", 1),
        file.checkpoint,
    ]
    for refused in refusals:
        with pytest.raises(StateError, match="closed"):
            refused()
    assert os.listdir() == ["x.h5"]


def test_impossible_options_are_refused() -> None:
    for options in ({"mode": "r"}, {"interval": 0}, {"journal_bytes": 0}, {"sync": "never"}):
        with pytest.raises(InvalidInputError):
            AppendFile("x.h5", **options)
    with AppendFile("x.h5") as file:
        for how in ({"compression": "nosuch"}, {"compression": "gzip", "level": 10}):
            with pytest.raises(InvalidInputError):
                file.stream("x", RowType(np.dtype("f8")), **how)
        with pytest.raises(InvalidInputError, match="row"):
            file.stream("x", RowType(np.dtype("f8")), chunk_rows=0)
        file.declare("y", 2, "f8")
        with pytest.raises(AlreadyExistsError):
            file.declare("y", 1, "f8")
