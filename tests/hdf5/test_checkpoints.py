"""Checkpoints: chunks, filters, attributes, declarations, and the bound on the journal."""

import itertools
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from helpers import wait_until
from holdfast.errors import InvalidInputError
from holdfast.hdf5 import AppendFile, AppendReader, RowType

FLOAT = RowType(np.dtype("f8"))


@pytest.mark.parametrize("name", ["gzip", "lzf", "zstd", "blosc", True, None])
@pytest.mark.parametrize("shuffle", [True, False, None])
def test_compressed_rows_are_seen_early_extended_and_read_back(
    name: Any, *, shuffle: bool | None
) -> None:
    rows = np.random.default_rng(1).integers(0, 50, (5000, 3)).astype("i4")
    kind, cuts = RowType(rows.dtype, (3,)), [0, 7, 8, 1500, 1501, 4000, 5000]
    if name in ("zstd", "blosc"):
        pytest.importorskip("hdf5plugin")
    file = AppendFile("x.h5")
    file.stream("x", kind, compression=name, shuffle=shuffle, chunk_rows=300)
    for number, (start, stop) in enumerate(itertools.pairwise(cuts)):
        file.extend("x", rows[start:stop])
        file.checkpoint()
        with h5py.File("x.h5") as plain:
            assert (plain["x"][:] == rows[:stop]).all()
        reader = AppendReader("x.h5")
        assert (reader.read("x", 0, reader.length("x")) == rows[:stop]).all()
        if number == 3:
            file.close()
            closed = AppendReader("x.h5")
            assert (closed.read("x", 0, stop) == rows[:stop]).all()
            file = AppendFile("x.h5")
    file.close()
    reader = AppendReader("x.h5")
    for start, stop in ((0, 5000), (299, 301), (4999, 5000), (300, 600)):
        assert (reader.read("x", start, stop) == rows[start:stop]).all()
    with h5py.File("x.h5") as plain:
        compressed = name is not None
        assert (plain["x"].id.get_storage_size() < rows.nbytes) == compressed
        assert plain["x"].shuffle == (compressed if shuffle is None else shuffle)


def test_a_reader_of_a_closed_file_answers_rightly_after_others_have_written_on() -> None:
    rows = np.random.default_rng(2).random((700, 4))
    with AppendFile("x.h5") as file:
        file.stream("x", RowType(rows.dtype, (4,)), compression="gzip", chunk_rows=500)
        file.extend("x", rows)
    reader = AppendReader("x.h5")
    for _ in range(3):
        with AppendFile("x.h5") as file:
            file.extend("x", rows)
            file.checkpoint()
            file.extend("other", rows)
    assert reader.length("x") == 700
    assert (reader.read("x", 0, 700) == rows).all()


def test_fifty_streams_of_ten_rows_make_a_small_file() -> None:
    with AppendFile("x.h5") as file:
        for row, name in itertools.product(range(10), range(50)):
            file.append(f"stream {name}", float(row))
    assert os.path.getsize("x.h5") < 200_000
    reader = AppendReader("x.h5")
    assert all(reader.read(n, 0, 10).tolist() == list(range(10)) for n in reader.names)
    assert len(reader.names) == 50


def test_a_million_scalars_are_in_large_chunks_and_a_large_row_has_its_own() -> None:
    with AppendFile("x.h5") as file:
        file.extend("many", np.arange(1_000_000.0))
        for n in range(3):
            file.append("large", np.full((100, 100), n, "f8"))
    with h5py.File("x.h5") as plain:
        assert plain["many"].chunks == (131072,)
        assert plain["large"].chunks == (1, 100, 100)
    reader = AppendReader("x.h5")
    assert (reader.read("many", 0, 1_000_000) == np.arange(1e6)).all()
    assert (reader.read("large", 1, 2) == 1).all()


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_other_programs_see_rows_after_the_interval_and_more_of_them_later(
    compression: str | None,
) -> None:
    with AppendFile("x.h5", interval=0.01) as file:
        stream = file.stream("x", FLOAT, compression=compression)
        for count in (1, 2, 3):
            stream.append(float(count))
            wait_until(lambda count=count: shown("x") == count)  # type: ignore[misc]
        with h5py.File("x.h5") as plain:
            assert plain["x"][:].tolist() == [1, 2, 3]


def shown(name: str) -> int:
    try:
        with h5py.File("x.h5") as plain:
            return len(plain[name])
    except (OSError, KeyError, RuntimeError):  # a checkpoint fell into the look
        return 0


def test_attributes_are_kept_whenever_they_are_set() -> None:
    with AppendFile("x.h5") as file:
        file.set_attribute("x", "before", 1.5)
        file.set_attribute("", "title", "a run")
        file.set_attribute("group/empty", "alone", [1, 2])
        file.checkpoint()
        file.append("x", 1.0)
        file.set_attribute("x", "during", np.array(["a", "ü"]))
        live = AppendReader("x.h5")
        assert live.attributes("x")["before"] == 1.5
        assert live.attributes("x")["during"].tolist() == ["a", "ü"]
        file.set_attribute("x", "before", 2.5)
        file.checkpoint()
        assert AppendReader("x.h5").attributes("x")["before"] == 2.5
        file.set_attribute("x", "after", np.True_)
        file.append("x", 2.0)
    with AppendFile("x.h5") as file:
        file.set_attribute("x", "reopened", np.void(b"raw"))
        file.set_attribute("x", "after", np.bytes_(b""))
    for attributes in (AppendReader("x.h5").attributes("x"), plain_attributes("x")):
        assert set(attributes) == {"before", "during", "after", "reopened"}
        assert attributes["before"] == 2.5
        assert list(attributes["during"]) == ["a", "ü"]
    assert AppendReader("x.h5").attributes() == {"title": "a run"}
    assert AppendReader("x.h5").attributes("group/empty")["alone"].tolist() == [1, 2]


def plain_attributes(name: str) -> dict[str, Any]:
    with h5py.File("x.h5") as plain:
        return dict(plain[name].attrs)


@pytest.mark.parametrize("shape", [(), (5,), (4, 40)])
@pytest.mark.parametrize("early", [False, True], ids=["at once", "after a checkpoint"])
def test_a_declared_dataset_takes_the_shape_of_its_first_row(
    shape: tuple[int, ...], *, early: bool
) -> None:
    rows = np.arange(600).reshape(600, *(1 for _ in shape)) + np.zeros(shape, "i8")
    with AppendFile("x.h5") as file:
        file.declare("x", len(shape) + 1, "f4")
        if early:
            file.checkpoint()
            assert AppendReader("x.h5").length("x") == 0
        with pytest.raises(InvalidInputError, match="ndim"):
            file.append("x", np.zeros((*shape, 2)))
        file.append("x", rows[0])
        file.checkpoint()
        file.extend("x", rows[1:])
        assert (AppendReader("x.h5").read("x", 0, 600) == rows).all()
        file.declare("x", len(shape) + 1, "f4")
    reader = AppendReader("x.h5")
    assert reader.kind("x") == RowType(np.dtype("f4"), shape)
    assert (reader.read("x", 250, 400) == rows[250:400]).all()
    with h5py.File("x.h5") as plain:
        assert (plain["x"][:] == rows).all()


def test_the_journal_stays_within_its_bound_and_appending_goes_on() -> None:
    bound = 1 << 20
    largest = 0
    with AppendFile("x.h5", journal_bytes=bound, interval=3600) as file:
        file.append("rare", 0.5)
        for number in range(120):
            file.append("large", np.full((100, 80), number, "f8"))
            file.extend("small", np.full(2000, number, "i8"))
            largest = max(largest, journal_size())
        assert file.journal_bytes == bound
        generations = sorted(Path("x.h5-journal").glob("*.journal"))
        assert "00000001.journal" not in [path.name for path in generations]
        reader = AppendReader("x.h5")
        assert (reader.read("large", 0, 120)[:, 0, 0] == range(120)).all()
        file.append("rare", 1.5)
        assert AppendReader("x.h5").read("rare", 0, 2).tolist() == [0.5, 1.5]
    assert largest < 3 * bound + (9 << 20)  # twice the bound, a row, and a file's growth ahead
    reader = AppendReader("x.h5")
    assert (reader.read("small", 0, 240_000) == np.repeat(np.arange(120), 2000)).all()
    assert reader.read("rare", 0, 2).tolist() == [0.5, 1.5]
    assert os.listdir() == ["x.h5"]


def journal_size() -> int:
    total = 0
    for path in Path("x.h5-journal").glob("*.journal"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # it was given up meanwhile
            continue
    return total


def test_a_file_of_which_nothing_was_asked_is_not_made() -> None:
    AppendFile("x.h5").close()
    assert os.listdir() == []
    AppendFile("x.h5", "w").close()
    assert os.listdir() == []


def test_mode_w_begins_anew() -> None:
    with AppendFile("x.h5") as file:
        file.append("x", 1.5)
    with AppendFile("x.h5", "w") as file:
        file.append("x", "text")
    assert AppendReader("x.h5").read("x", 0, 1).tolist() == [b"text"]
