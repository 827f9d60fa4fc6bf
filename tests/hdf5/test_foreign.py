"""Files that other programs made, and links that lead out of them."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from holdfast.errors import FormatError
from holdfast.hdf5 import AppendFile, AppendReader, RowType

ROWS = np.arange(60.0).reshape(20, 3)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"libver": "latest"},
        {"libver": ("v110", "v110")},
        {"userblock_size": 1024},
        {"track_order": True},
    ],
)
def test_rows_are_appended_to_a_file_that_h5py_made(options: dict[str, Any]) -> None:
    with h5py.File("x.h5", "w", **options) as plain:
        for name, chunks in {"rows": (7, 3), "tiles": (4, 2), "one": (1, 3)}.items():
            plain.create_dataset(name, data=ROWS, maxshape=(None, 3), chunks=chunks)
            plain.create_dataset(
                f"packed_{name}", data=ROWS, maxshape=(None, 3), chunks=chunks, compression="gzip"
            )
        plain.create_dataset("big", data=ROWS.astype(">f4"), maxshape=(None, 3), chunks=(8, 3))
        plain.attrs["title"] = "theirs"
    for times in (2, 3):
        with AppendFile("x.h5") as file:
            for name in file.names:
                file.extend(name, ROWS)
            live = AppendReader("x.h5")
            assert all(live.length(name) == 20 * times for name in live.names)
            file.checkpoint()
            check(times)
        check(times)
        with h5py.File("x.h5") as plain:
            assert plain.attrs["title"] == "theirs"
            assert plain["big"].dtype == ">f4"
            for dataset in plain.values():
                assert (dataset[:] == np.concatenate([ROWS] * times)).all()


def test_a_file_in_pages_is_read_and_refuses_rows_with_the_way_out_named() -> None:
    with h5py.File("x.h5", "w", fs_strategy="page", fs_page_size=4096) as plain:
        plain.create_dataset("x", data=ROWS, maxshape=(None, 3), chunks=(8, 3))
    before = Path("x.h5").read_bytes()
    assert (AppendReader("x.h5").read("x", 0, 20) == ROWS).all()
    with pytest.raises(FormatError, match="h5repack"):
        AppendFile("x.h5")
    assert Path("x.h5").read_bytes() == before


def check(times: int) -> None:
    reader = AppendReader("x.h5")
    assert len(reader.names) == 7
    for name in reader.names:
        wanted = np.concatenate([ROWS] * times)
        for start, stop in ((0, 20 * times), (5, 6), (19, 22), (20 * times, 20 * times)):
            assert (reader.read(name, start, stop) == wanted[start:stop]).all()


def test_datasets_of_other_kinds_are_read_and_refuse_rows() -> None:
    with h5py.File("x.h5", "w") as plain:
        plain["fixed"] = ROWS
        plain["scalar"] = 5
        plain["nothing"] = h5py.Empty("f8")
        plain["texts"] = ["a", "longer"]
        texts = plain.create_dataset("growing", (0,), h5py.string_dtype(), maxshape=(None,))
        texts.resize((2,))
        texts[:] = ["x", "yz"]
        plain.create_dataset("compact", data=[1, 2], dcpl=compact())
    reader = AppendReader("x.h5")
    assert (reader.read("fixed", 3, 7) == ROWS[3:7]).all()
    assert reader.read("scalar", 0, 1).tolist() == [5]
    assert reader.length("nothing") == 0
    assert reader.read("texts", 0, 2).tolist() == [b"a", b"longer"]
    assert reader.read("growing", 1, 2).tolist() == [b"yz"]
    assert reader.read("compact", 0, 2).tolist() == [1, 2]
    with AppendFile("x.h5") as file:
        for name in ("fixed", "scalar", "nothing", "compact"):
            with pytest.raises(FormatError, match="fixed length"):
                file.append(name, ROWS[0])
        with pytest.raises(ValueError, match="growing"):
            file.append("growing", "z")


def compact() -> Any:
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_layout(h5py.h5d.COMPACT)
    return properties


def test_links_and_data_in_other_files_are_not_followed() -> None:
    with h5py.File("secret.h5", "w") as other:
        other.create_dataset("x", data=[42.0], maxshape=(None,), chunks=(4,))
    Path("raw").write_bytes(np.full(4, 42.0).tobytes())
    with h5py.File("x.h5", "w") as plain:
        plain["out"] = h5py.ExternalLink("secret.h5", "/x")
        plain["folder"] = h5py.ExternalLink("secret.h5", "/")
        plain["soft"] = h5py.SoftLink("/real")
        plain.create_dataset("real", data=[1.0], maxshape=(None,), chunks=(4,))
        plain.create_dataset("external", (4,), "f8", external=[("raw", 0, h5py.h5f.UNLIMITED)])
        layout = h5py.VirtualLayout((1,), "f8")
        layout[:] = h5py.VirtualSource("secret.h5", "x", shape=(1,))
        plain.create_virtual_dataset("virtual", layout)
    before = Path("secret.h5").read_bytes()
    reader = AppendReader("x.h5")
    assert reader.names == ["external", "real", "virtual"]
    for name in ("external", "virtual"):
        with pytest.raises(FormatError, match="not followed"):
            reader.read(name, 0, 1)
    with AppendFile("x.h5") as file:
        for name in ("out", "folder/x", "folder/new", "soft"):
            with pytest.raises(FormatError, match="link"):
                file.append(name, 1.0)
            with pytest.raises(FormatError, match="link"):
                file.set_attribute(name, "key", 1)
        file.append("real", 2.0)
    assert Path("secret.h5").read_bytes() == before
    assert AppendReader("x.h5").read("real", 0, 2).tolist() == [1.0, 2.0]


@pytest.mark.parametrize("rows_a_chunk", [1, 2, 5])
@pytest.mark.parametrize("tile", [None, (7,)])
def test_chunks_that_a_filter_was_left_out_for_are_read_alone_and_together(
    rows_a_chunk: int, tile: Any
) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (11, 20), np.uint8)
    with AppendFile("x.h5") as file:
        kind = RowType(noise.dtype, (20,))
        file.stream("x", kind, compression="lzf", chunk_rows=rows_a_chunk, tile=tile)
        file.extend("x", noise)
    with h5py.File("x.h5") as plain:
        assert plain["x"].id.get_chunk_info(0).filter_mask
    reader = AppendReader("x.h5")
    for start in range(11):
        assert (reader.read("x", start, start + 1) == noise[start]).all()
    assert (reader.read("x", 0, 11) == noise).all()
    assert (reader.read_box("x", 9, 10, ((19, 20),)) == noise[9, 19]).all()


def test_attributes_whose_names_are_no_utf8_hide_nothing() -> None:
    with h5py.File("x.h5", "w") as plain:
        plain.create_dataset("x", data=ROWS)
        for item in (plain, plain["x"]):
            space = h5py.h5s.create(h5py.h5s.SCALAR)
            h5py.h5a.create(item.id, b"gr\xf6sse", h5py.h5t.NATIVE_INT32, space)
            item.attrs["units"] = "J"
    reader = AppendReader("x.h5")
    for name in ("", "x"):
        assert reader.attributes(name)["units"] == "J"
        assert len(reader.attributes(name)) == 2


def made_by_hdf5(item: Any, shape: tuple[int, ...] = (), *, filters: str = "") -> None:
    """Make an empty dataset of items that h5py does not offer, filtered in the order given."""
    rows = h5py.h5s.create_simple((0, *shape), (h5py.h5s.UNLIMITED, *shape))
    how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    how.set_chunk((4, *shape))
    for letter in filters:
        how.set_deflate(4) if letter == "g" else how.set_shuffle()
    with h5py.File("x.h5", "w") as plain:
        h5py.h5d.create(plain.id, b"x", item, rows, how)


def integers_of_20_bits() -> Any:
    item = h5py.h5t.STD_I32LE.copy()
    item.set_precision(20)
    item.set_offset(4)
    return item


def floats_of_3_bytes() -> Any:
    item = h5py.h5t.IEEE_F32LE.copy()
    item.set_fields(23, 15, 8, 0, 15)
    item.set_size(3)
    return item


@pytest.mark.parametrize("filters", ["", "g", "sg", "gs", "gg"])
@pytest.mark.parametrize("item", [integers_of_20_bits, floats_of_3_bytes, None])
def test_items_and_filters_that_only_hdf5_knows_are_written_and_read_by_it(
    item: Any, filters: str
) -> None:
    made_by_hdf5(item() if item else h5py.h5t.IEEE_F64LE, (3,), filters=filters)
    with AppendFile("x.h5") as file:
        for start in range(0, 18, 6):
            file.extend("x", ROWS[start : start + 6].astype(file.stream("x").kind.dtype))
            file.checkpoint()
            assert (AppendReader("x.h5").read("x", 0, start + 6) == ROWS[: start + 6]).all()
    with h5py.File("x.h5") as plain:
        assert (plain["x"][:] == ROWS[:18]).all()


@pytest.mark.parametrize("options", [{}, {"compression": "gzip"}, {"compression": "lzf"}])
@pytest.mark.parametrize("chunks", [(3, 2), (3, 3), (1, 1)])
def test_what_was_never_written_is_what_its_maker_said_it_is(
    options: dict[str, Any], chunks: tuple[int, ...]
) -> None:
    with h5py.File("x.h5", "w") as plain:
        made = plain.create_dataset(
            "x", (20, 3), "f8", chunks=chunks, maxshape=(None, 3), fillvalue=np.nan, **options
        )
        made[4:6] = ROWS[4:6]
        there = made[:]
    for _ in range(2):
        reader = AppendReader("x.h5")
        assert np.array_equal(reader.read("x", 0, 20), there, equal_nan=True)
        point = reader.read_box("x", 2, 19, ((1, 2),))
        assert np.array_equal(point, there[2:19, 1:2], equal_nan=True)
        with AppendFile("x.h5") as file:
            file.append("x", ROWS[0])
    assert (AppendReader("x.h5").read("x", 20, 22) == ROWS[0]).all()
