"""What a row may be: every dtype and shape that HDF5 holds comes back as it was appended."""

import datetime as dt
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from holdfast.errors import InvalidInputError, MissingDependencyError
from holdfast.hdf5 import AppendFile, AppendReader
from holdfast.streams import Streams

NUMBERS = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"]
TIMES = [f"{kind}[{unit}]" for kind in ("M8", "m8") for unit in ("D", "s", "ms", "us", "ns")]
RECORDS: list[Any] = [
    [("a", "i4"), ("b", "f8")],
    [("name", "S5"), ("at", [("x", "f4"), ("y", "f4")]), ("grid", "i2", (2, 3))],
    [("flag", "?"), ("z", "c8")],
]
DTYPES = [*NUMBERS, *TIMES, "S1", "S7", *RECORDS]


@st.composite
def blocks(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    """Rows as users have them: also big-endian, strided, without items, NaN, NaT."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    shape = draw(arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
    count = draw(st.integers(1, 8))
    size = count * int(np.prod(shape)) * dtype.itemsize
    content = np.frombuffer(draw(st.binary(min_size=size, max_size=size)), np.uint8)
    if dtype.names or dtype.kind == "b":
        content = content % 2
    rows = content.view(dtype).reshape(count, *shape) if size else np.empty((count, *shape), dtype)
    if draw(st.booleans()) and not dtype.names:
        rows = rows.astype(dtype.newbyteorder(">"))
    if draw(st.booleans()):
        rows = np.repeat(rows, 2, axis=0)[::2]
    if rows.ndim > 1 and draw(st.booleans()):
        rows = np.asfortranarray(rows)
    return rows


def same(found: Any, wanted: Any) -> None:
    native = np.ascontiguousarray(np.asarray(wanted, wanted.dtype.newbyteorder("=")))
    assert found.dtype == native.dtype
    assert found.shape == native.shape
    assert np.ascontiguousarray(found).tobytes() == native.tobytes()


def stored(rows: Any) -> Any:
    return rows.view("i8") if rows.dtype.kind in "mM" else rows


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=blocks(), one_by_one=st.booleans())
def test_rows_come_back_live_after_close_in_plain_h5py_and_after_more_were_appended(
    tmp_path: Path, rows: Any, *, one_by_one: bool
) -> None:
    path = tmp_path / "x.h5"
    native = np.asarray(rows, rows.dtype.newbyteorder("="))
    if rows.dtype.kind == "S" and rows.ndim == 1:
        one_by_one = False  # NumPy's scalars of text forget the width
    with AppendFile(path, "w") as file:
        if one_by_one:
            for row in rows:
                file.append("deep/x", row)
        else:
            file.extend("deep/x", rows)
        live = AppendReader(path)
        same(live.read("deep/x", 0, live.length("deep/x")), native)
    closed = AppendReader(path)
    same(closed.read("deep/x", 0, closed.length("deep/x")), native)
    with h5py.File(path) as plain:
        same(plain["deep/x"][:], stored(native))
    with AppendFile(path) as file:
        file.extend("deep/x", rows)
        same(AppendReader(path).read("deep/x", 0, 2 * len(rows)), np.concatenate([native] * 2))
    same(AppendReader(path).read("deep/x", 1, 2 * len(rows)), np.concatenate([native] * 2)[1:])


@pytest.mark.parametrize(
    ("first", "then", "kept"),
    [
        (1.5, 2, 2.0),
        (1.5, True, 1.0),
        (np.float32(1), 2.5, 2.5),
        (1, np.uint8(3), 3),
        (np.int8(1), 100, 100),
        ("abc", "de", b"de"),
        (1j, 2.0, 2 + 0j),
        (np.datetime64("2020-01-01", "ns"), np.datetime64("2021-01-01", "s"), None),
        (1.5, float("nan"), None),
        (1.5, float("inf"), float("inf")),
        (np.datetime64("2020-01-01", "s"), np.datetime64("NaT"), None),
    ],
)
def test_a_value_that_fits_without_loss_is_cast(first: Any, then: Any, kept: Any) -> None:
    with AppendFile("x.h5") as file:
        file.append("x", first)
        file.append("x", then)
    found = AppendReader("x.h5").read("x", 1, 2)[0]
    assert found.dtype == np.asarray(first).dtype.newbyteorder("=") or isinstance(first, str)
    if kept is not None:
        assert found == kept
    elif found.dtype.kind == "M":
        assert np.isnat(found) == np.isnat(then)
        assert np.isnat(found) or found == then
    else:
        assert np.isnan(found)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (1, 2.5),
        (1.5, 1j),
        (True, 2),
        (np.int8(1), 1000),
        (1, 2**63),
        (np.uint8(1), -1),
        (np.float32(1), 1e300),
        ("abc", "abcd"),
        (np.datetime64("2020-01-01", "s"), np.datetime64("2020-01-01T00:00:00.5", "ms")),
        (1.5, [1.5]),
        ([1.5, 2.5], [1.5]),
        ([1.5, 2.5], 1.5),
        (1.5, "text"),
        (1.5, None),
        (1.5, {"a": 1}),
    ],
)
def test_a_row_that_does_not_fit_its_stream_is_refused_and_changes_nothing(
    first: Any, then: Any
) -> None:
    with AppendFile("x.h5") as file:
        file.append("x", first)
        with pytest.raises(InvalidInputError, match="'x'"):
            file.append("x", then)
        file.append("x", first)
    assert AppendReader("x.h5").length("x") == 2


@pytest.mark.parametrize(
    "value",
    [
        None,
        {"a": 1},
        object(),
        np.clongdouble(1),
        np.datetime64("NaT"),
        np.array([("a", None)], dtype=[("a", "S1"), ("b", "O")]),
        np.zeros(2, dtype=[("when", "M8[s]")]),
        2**70,
    ],
)
def test_a_dtype_that_hdf5_does_not_hold_is_refused_and_leaves_no_stream(value: Any) -> None:
    with AppendFile("x.h5") as file:
        with pytest.raises(InvalidInputError, match="'x'"):
            file.append("x", value)
        assert file.names == []
    assert not Path("x.h5").exists()


def test_a_ragged_row_is_refused_with_the_way_out_named() -> None:
    with AppendFile("x.h5") as file, pytest.raises(InvalidInputError, match=r"ragged.*pad it"):
        file.append("x", [[1], [1, 2]])


def test_a_masked_row_is_refused_rather_than_its_mask_lost() -> None:
    row = np.ma.masked_array([1.0, 2.0], [True, False])
    with AppendFile("x.h5") as file, pytest.raises(InvalidInputError, match=r"\.filled"):
        file.append("x", row)


def test_text_is_kept_as_utf8() -> None:
    with AppendFile("x.h5") as file:
        file.append("x", "übung")
        file.append("x", "")
    assert [row.decode() for row in AppendReader("x.h5").read("x", 0, 2)] == ["übung", ""]


@pytest.mark.parametrize(
    ("rows", "stored"),
    [
        (
            [dt.datetime(2026, 1, 2, 3, 4, 5, 6), dt.date(2026, 1, 3)],  # noqa: DTZ001 - on purpose
            ["2026-01-02T03:04:05.000006", "2026-01-03"],
        ),
        (
            [dt.datetime(2026, 1, 2, 3, tzinfo=dt.timezone(dt.timedelta(hours=2)))],
            ["2026-01-02T01"],
        ),
        ([dt.date(2026, 1, 2)], ["2026-01-02"]),
        ([[dt.date(2026, 1, 2), dt.date(2026, 1, 3)]], [["2026-01-02", "2026-01-03"]]),
    ],
)
def test_times_of_python_become_microseconds_in_utc(rows: Any, stored: Any) -> None:
    with AppendFile("x.h5") as file:
        for row in rows:
            file.append("x", row)
    found = AppendReader("x.h5").read("x", 0, len(rows))
    assert found.dtype == "<M8[us]"
    assert (found == np.array(stored, "M8[us]")).all()


def test_durations_of_python_become_microseconds() -> None:
    duration: Any = dt.timedelta(seconds=1.5)
    with AppendFile("x.h5") as file:
        file.append("x", duration)
    found = AppendReader("x.h5").read("x", 0, 1)
    assert found.dtype == "<m8[us]"
    assert found[0] == np.timedelta64(1_500_000, "us")


def test_extending_by_one_value_says_what_is_wanted() -> None:
    with AppendFile("x.h5") as file:
        file.append("x", 1.0)
        with pytest.raises(InvalidInputError, match=r"extend\('x'\) takes an array.*append\(\)"):
            file.extend("x", 1.0)


@pytest.mark.parametrize(
    "values",
    [
        [1j, np.complex128(2j), 3 - 1j],
        [np.complex64(1j), np.complex64(2)],
        [np.datetime64(n, "ns") for n in (1, 2, 3)],
        [np.datetime64(1, "s"), np.datetime64("NaT", "s"), np.datetime64(3, "s")],
        [np.timedelta64(n, "us") for n in (1, 2, 3)],
        list(np.array([(1, 2.0), (3, 4.0)], [("a", "i4"), ("b", "f8")])),
        [np.float16(1), np.float16(2)],
    ],
)
def test_scalars_of_numpy_are_stored_like_arrays(values: Any) -> None:
    with AppendFile("x.h5") as file:
        for value in values:
            file.append("x", value)
    wanted = np.array(values)
    same(AppendReader("x.h5").read("x", 0, len(values)), wanted)


def test_an_unknown_compression_is_refused_when_the_file_is_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(InvalidInputError, match="unknown"):
        Streams("x.h5", compression="foo")
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)
    with pytest.raises(InvalidInputError, match="unknown"):
        Streams("x.h5", compression="foo")
    with pytest.raises(MissingDependencyError, match="pip install hdf5plugin"):
        Streams("x.h5", compression="zstd")
    assert not Path("x.h5").exists()
