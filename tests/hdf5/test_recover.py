"""Recovery: what a dead writer left becomes a whole file, once, or nothing is touched."""

import os
import shutil
import threading
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from helpers import contents, end, python, start
from holdfast.errors import IntegrityError, LockedError, MissingFileError, StateError
from holdfast.hdf5 import AppendFile, AppendReader, RowType, recover
from holdfast.journal._format import HEADER_BYTES, MARKS_AT, PAGE, unpack_generation
from holdfast.journal._reader import _blocks
from holdfast.journal._segment import GenerationFile

KILLED = """
    import os, sys
    import numpy as np
    from holdfast.hdf5 import AppendFile
    file = AppendFile("x.h5", interval=3600, journal_bytes=200_000)
    file.extend("x", np.arange(1000.0))
    file.set_attribute("x", "units", "J")
    if "checkpoint" in sys.argv:
        file.checkpoint()
    file.append("x", 1000.0)
    for n in range(int(sys.argv[1])):
        file.append("large", np.full((100, 50), n, "f8"))
    file.append("names/late", 1)
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("arguments", [(0,), (0, "checkpoint"), (40,), (40, "checkpoint")])
def test_a_dead_writers_rows_are_brought_in_once(arguments: tuple[object, ...]) -> None:
    assert python(KILLED, *arguments).returncode == -9
    before = AppendReader("x.h5")
    assert before.length("x") == 1001
    assert before.attributes("x") == {"units": "J"}
    done = recover("x.h5")
    assert done.anything
    assert done.rows["names/late"] == 1
    assert done.problems == []
    assert os.listdir() == ["x.h5"]
    with h5py.File("x.h5") as plain:
        assert (plain["x"][:] == np.arange(1001)).all()
        assert plain["x"].attrs["units"] == "J"
        assert (plain["large"][:, 0, 0] == np.arange(40)).all() if arguments[0] else True
    whole = Path("x.h5").read_bytes()
    assert not recover("x.h5").anything
    assert Path("x.h5").read_bytes() == whole


def test_opening_for_appending_recovers_by_itself() -> None:
    assert python(KILLED, 3).returncode == -9
    with AppendFile("x.h5") as file:
        file.append("x", 1001.0)
    assert (AppendReader("x.h5").read("x", 0, 1002) == np.arange(1002)).all()
    assert os.listdir() == ["x.h5"]


def test_a_living_writers_file_is_not_recovered() -> None:
    program = """
        import sys
        from holdfast.hdf5 import AppendFile
        with AppendFile("x.h5") as file:
            file.append("x", 1.5)
            print("ready", flush=True)
            sys.stdin.readline()
    """
    writer = start(program)
    with pytest.raises(LockedError, match=f"process {writer.pid}"):
        recover("x.h5")
    assert end(writer) == 0
    assert not recover("x.h5").anything


def test_rows_missing_between_file_and_journal_are_reported_and_nothing_is_removed() -> None:
    with AppendFile("x.h5") as file:
        file.stream("x", RowType(np.dtype("f8")), chunk_rows=10).extend(np.arange(100.0))
    program = """
        import os
        from holdfast.hdf5 import AppendFile
        file = AppendFile("x.h5")
        file.append("x", 5.0)
        os.kill(os.getpid(), 9)
    """
    assert python(program).returncode == -9
    Path("x.h5").unlink()  # as if an older or another file had been put in its place
    with AppendFile("y.h5") as file:
        file.append("x", 0.0)
    Path("y.h5").rename("x.h5")
    kept = {name: data for name, data in contents(Path()).items() if ".journal" in name}
    for refused in (recover, AppendFile, AppendReader):
        with pytest.raises(IntegrityError, match="restore"):
            refused("x.h5")
    found = contents(Path())
    assert kept
    assert kept == {name: found.get(name) for name in kept}
    with h5py.File("x.h5") as plain:
        assert plain["x"][:].tolist() == [0.0]


def test_there_is_nothing_to_recover_where_there_is_nothing() -> None:
    with pytest.raises(MissingFileError, match=r"x\.h5"):
        recover("x.h5")


def test_an_empty_folder_is_no_journal() -> None:
    """A kill leaves one right before a writer begins, and right after it has ended."""
    folder = Path("x.h5-journal")
    folder.mkdir()
    with pytest.raises(MissingFileError, match=r"x\.h5"):
        AppendReader("x.h5")
    with AppendFile("x.h5") as file:
        file.append("a", 1)
    assert not folder.exists()
    folder.mkdir()
    assert AppendReader("x.h5").length("a") == 1
    assert not recover("x.h5").anything
    assert not folder.exists()


def test_rows_that_only_a_chunk_in_the_file_has_after_a_power_loss_stay_when_it_is_filled_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A commit had synced them; of their copies in the journal no sync mark reached the disk."""
    rows = np.arange(610.0)
    with AppendFile("x.h5", interval=3600) as file:
        file.stream("x", RowType(np.dtype("f8")), compression="gzip", chunk_rows=1000)
        file.extend("x", rows[:100])
        file.extend("x", rows[100:600])
        file.checkpoint()
        file.extend("x", rows[600:])
        file.sync()
        os.mkdir("lost")
        shutil.copy("x.h5", "lost/x.h5")
        shutil.copytree("x.h5-journal", "lost/x.h5-journal")
    generation = Path("lost/x.h5-journal/00000001.journal")
    content = bytearray(generation.read_bytes())
    at = next(o for o, b in _blocks(GenerationFile(generation), _nonce(content)) if b.stream == 1)
    content[at + MARKS_AT[0] : at + HEADER_BYTES] = bytes(HEADER_BYTES - MARKS_AT[0])
    generation.write_bytes(content)
    for module in ("journal._reader", "journal._generation", "hdf5._commit"):
        monkeypatch.setattr(f"holdfast.{module}.boot_id", lambda: "another boot")

    reader = AppendReader("lost/x.h5")
    assert reader.read("x", 0, reader.length("x")).tolist() == rows.tolist()
    assert recover("lost/x.h5").problems == []
    with h5py.File("lost/x.h5") as plain:
        assert plain["x"][:].tolist() == rows.tolist()


def _nonce(content: bytearray) -> int:
    header = unpack_generation(bytes(content[:PAGE]))
    assert header is not None
    return header.nonce


@pytest.mark.parametrize(
    "count",
    ["null", b"null", np.array(["null", "null"]), np.array([1, 2]), np.zeros(0), 3, "", "{"],
)
@pytest.mark.parametrize("prefix", ["", "group/"])
def test_a_count_of_fields_that_is_none_does_not_keep_rows_from_being_recovered(
    count: Any, prefix: str
) -> None:
    with AppendFile("x.h5") as file:
        file.set_attribute("", "data_length", count)
    left = """
        import os
        from holdfast.hdf5 import AppendFile
        file = AppendFile("x.h5")
        for name in ("data", "times"):
            file.append(name + {!r}, 1.0)
        os._exit(1)
    """
    python(left.format(prefix and f"/{prefix}x"))
    assert sum(recover("x.h5").rows.values()) == 2
    with h5py.File("x.h5") as plain:
        counted = isinstance(count, str) and count == "null" and not prefix
        assert np.array_equal(plain.attrs["data_length"], "1" if counted else count)


def test_fields_are_not_counted_in_another_file() -> None:
    with h5py.File("other.h5", "w") as other:
        other["there"] = np.zeros(7)
    with h5py.File("x.h5", "w") as plain:
        plain.attrs["data_length"] = "null"
        plain["data"] = plain["times"] = h5py.ExternalLink("other.h5", "there")
    python(
        """
        import os
        from holdfast.hdf5 import AppendFile
        AppendFile("x.h5").append("x", 1.0)
        os._exit(1)
        """
    )
    assert recover("x.h5").rows == {"x": 1}
    with h5py.File("x.h5") as plain:
        assert plain.attrs["data_length"] == "null"


def test_a_recovery_that_can_start_no_thread_says_so_and_can_be_made_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    python(KILLED, 0)

    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refused)
        with pytest.raises(StateError, match="thread"):
            recover("x.h5")
        with pytest.raises(StateError, match="thread"):
            AppendFile("x.h5")
    assert recover("x.h5").rows["x"] == 1001
