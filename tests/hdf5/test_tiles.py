"""Chunks that hold a part of each row."""

import itertools
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from helpers import python, wait_until
from holdfast.errors import FormatError, InvalidInputError
from holdfast.hdf5 import AppendFile, AppendReader, ChunkShape, RowType, _ahead, recover

CUTS = [0, 2, 3, 11, 30, 31, 64]


@pytest.mark.parametrize("compression", ["gzip", "lzf", None])
@pytest.mark.parametrize("shape", [(7, 10), (8, 8), (2, 5, 9), (3, 3)])
def test_rows_in_tiles_are_seen_early_extended_and_read_back(
    compression: Any, shape: tuple[int, ...]
) -> None:
    rows = np.random.default_rng(1).integers(0, 50, (64, *shape)).astype("f4")
    kind = RowType(rows.dtype, shape)
    file = AppendFile("x.h5")
    file.stream("x", kind, compression=compression, chunk_rows=5, tile=(4, 4))
    for number, (start, stop) in enumerate(itertools.pairwise(CUTS)):
        file.extend("x", rows[start:stop])
        assert (AppendReader("x.h5").read("x", 0, stop) == rows[:stop]).all()
        file.checkpoint()
        with h5py.File("x.h5") as plain:
            assert (plain["x"][:] == rows[:stop]).all()
        reader = AppendReader("x.h5")
        assert (reader.read("x", 0, stop) == rows[:stop]).all()
        if number == 3:
            file.close()
            file = AppendFile("x.h5")  # it says nothing of tiles
    file.close()
    with h5py.File("x.h5") as plain:
        tile = [min(n, 4) for n in shape[-2:]]
        assert plain["x"].chunks == (5, *shape[:-2], *tile)
        assert (plain["x"][:] == rows).all()


@pytest.mark.parametrize("tile", [(4, 4), None])
@pytest.mark.parametrize("compression", ["gzip", None])
def test_a_box_of_rows_is_what_numpy_cuts_out_wherever_the_rows_are(
    tile: Any, compression: Any
) -> None:
    rows = np.random.default_rng(2).random((40, 6, 9))
    file = AppendFile("x.h5")
    kind = RowType(rows.dtype, (6, 9))
    file.stream("x", kind, compression=compression, chunk_rows=7, tile=tile)
    file.extend("x", rows[:25])
    file.checkpoint()
    file.extend("x", rows[25:])
    reader = AppendReader("x.h5")
    for box in (((2, 3), (0, 9)), ((2, 3), (4, 5)), ((0, 6), (3, 4)), ((1, 5), (3, 8))):
        for start, stop in ((0, 40), (3, 8), (20, 24), (27, 33)):
            cut = tuple(slice(*axis) for axis in box)
            assert (
                reader.read_box("x", start, stop, box) == rows[(slice(start, stop), *cut)]
            ).all()
    file.close()


def test_the_series_of_a_point_decodes_only_the_tiles_that_hold_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with AppendFile("x.h5") as file:
        kind = RowType(np.dtype("f8"), (64, 64))
        file.stream("x", kind, compression="gzip", chunk_rows=10, tile=(8, 8))
        file.extend("x", np.random.default_rng(3).random((100, 64, 64)))
    reader = AppendReader("x.h5")
    taken: list[int] = []
    fill = type(reader._main)._fill

    def counted(self: Any, part: memoryview, offset: int) -> None:
        taken.append(len(part))
        fill(self, part, offset)

    monkeypatch.setattr(type(reader._main), "_fill", counted)
    reader.read_box("x", 0, 100, ((9, 10), (60, 61)))
    assert len(taken) == 10
    assert sum(taken) < 100 * 8 * 8 * 8 * 1.1


def test_a_journal_of_tiled_rows_is_recovered_into_tiles() -> None:
    code = """
        import os, numpy as np
        from holdfast.hdf5 import AppendFile, RowType
        file = AppendFile("x.h5")
        kind = RowType(np.dtype("f8"), (6, 6))
        file.stream("x", kind, compression="gzip", chunk_rows=4, tile=(4, 2))
        for n in range(30):
            file.append("x", np.full((6, 6), float(n)))
            if n == 13:
                file.checkpoint()
        os._exit(1)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False, timeout=60)
    recover("x.h5")
    with h5py.File("x.h5") as plain:
        assert plain["x"].chunks == (4, 4, 2)
        assert (plain["x"][:, 5, 5] == np.arange(30.0)).all()


@pytest.mark.parametrize("tile", [(0, 2), (-1,), (2, 2, 2)])
def test_tiles_that_rows_do_not_have_are_refused(tile: tuple[int, ...]) -> None:
    with AppendFile("x.h5") as file, pytest.raises(InvalidInputError, match="tile"):
        file.stream("x", RowType(np.dtype("f8"), (6, 6)), tile=tile)


def test_a_chunk_of_tiles_holds_many_rows_since_they_are_read_as_series() -> None:
    kind = RowType(np.dtype("f8"), (512, 512))
    assert ChunkShape(tile=(32, 32)).of(kind, 1, final=False) == (8, 32, 32)
    assert ChunkShape(tile=(999,)).of(kind, 1, final=False) == (1, 512, 512)
    assert ChunkShape.parse(ChunkShape(3, (4, 5)).describe()) == ChunkShape(3, (4, 5))


@pytest.mark.parametrize(
    "asked",
    [
        {"tile": (2.5, 2)},
        {"tile": 4},
        {"tile": "ab"},
        {"tile": (True, 2)},
        {"chunk_rows": 0},
        {"chunk_rows": 2.5},
        {"chunk_rows": True},
        {"chunk_rows": 1 << 30},
        {"chunk_rows": 1 << 30, "tile": (1, 1)},
    ],
)
def test_chunks_that_hdf5_could_not_make_are_refused_before_a_row_is_taken(asked: Any) -> None:
    with AppendFile("x.h5") as file, pytest.raises(InvalidInputError, match="stream 'x'"):
        file.stream("x", RowType(np.dtype("f8"), (6, 6)), **asked)
    assert recover("x.h5").rows == {} if Path("x.h5").exists() else True


def test_chunks_may_be_asked_for_in_numbers_of_numpy_and_in_lists() -> None:
    asked: Any = {"chunk_rows": np.int64(3), "tile": [np.int64(4), 2]}
    with AppendFile("x.h5") as file:
        file.stream("x", RowType(np.dtype("f8"), (6, 6)), **asked)
        file.append("x", np.ones((6, 6)))
    with h5py.File("x.h5") as plain:
        assert plain["x"].chunks == (3, 4, 2)


def test_compressed_rows_of_a_file_that_nobody_closed_are_in_it_when_the_program_has_ended() -> (
    None
):
    done = python(
        """
        import numpy as np
        from holdfast.hdf5 import AppendFile, RowType
        file = AppendFile("x.h5")
        file.stream("x", RowType(np.dtype("f8"), (128, 128)), compression="gzip")
        for n in range(20):
            file.append("x", np.full((128, 128), float(n)))
        """
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not Path("x.h5-journal").exists()
    with h5py.File("x.h5") as plain:
        assert (plain["x"][:, 5, 5] == np.arange(20.0)).all()


def helpers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "holdfast-chunks"]


def test_an_error_that_is_kept_keeps_no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ahead, "usable_cores", lambda: 4)
    with AppendFile("x.h5") as file:
        file.stream("x", RowType(np.dtype("f8"), (128, 128)), compression="gzip")
        file.extend("x", np.random.default_rng(1).random((20, 128, 128)))
    with h5py.File("x.h5") as plain:
        place = plain["x"].id.get_chunk_info(3)
    with open("x.h5", "r+b") as raw:
        raw.seek(place.byte_offset)
        raw.write(bytes(100))
    with pytest.raises(FormatError, match="cannot be decoded") as damage:
        AppendReader("x.h5").read("x", 0, 20)
    assert not helpers()
    assert damage.value.__traceback__ is not None


def test_threads_end_that_were_started_just_before_an_interrupt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_ahead, "usable_cores", lambda: 4)
    start, started = threading.Thread.start, []

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        started.append(thread)
        if len(started) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            list(_ahead.in_order(abs, range(9), size=1 << 20, count=9))
    wait_until(lambda: not helpers())


@pytest.mark.parametrize("allowed", [0, 2])
def test_work_is_done_by_as_many_threads_as_the_system_starts(
    monkeypatch: pytest.MonkeyPatch, allowed: int
) -> None:
    monkeypatch.setattr(_ahead, "usable_cores", lambda: 4)
    start, left = threading.Thread.start, iter(range(allowed))

    def limited(thread: threading.Thread) -> None:
        if next(left, None) is None:
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", limited)
        found = list(_ahead.in_order(abs, range(-9, 0), size=1 << 20, count=9))
    assert found == list(range(9, 0, -1))
    assert not helpers()
