"""Writing streams, and reading them while they are written."""

import math
import threading
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from holdfast.streams import Streams, StreamsReader


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.h5"


def test_a_row_is_seen_by_a_reader_as_soon_as_append_has_returned(path: Path) -> None:
    with Streams(path) as streams:
        streams.append("x", 0.5)
        stream = StreamsReader(path)["x"]
        for number in range(1, 5000):
            streams.append("x", float(number))
            if number % 500 == 0:
                assert len(stream) == number + 1
                assert stream[-1] == number


@pytest.mark.parametrize(
    "index",
    [
        0,
        -1,
        np.int64(3),
        slice(None),
        slice(2, 7),
        slice(None, None, 3),
        slice(None, None, -1),
        slice(8, 2, -2),
        slice(5, 2),
        slice(100, 200),
        (slice(1, 4), 0),
        (2, 1),
        (slice(None), slice(None, None, 2)),
        (Ellipsis, 1),
        [1, 5, 3],
        np.arange(10) % 2 == 0,
    ],
)
def test_a_stream_is_indexed_like_the_array_it_holds(path: Path, index: Any) -> None:
    rows = np.arange(30.0).reshape(10, 3)
    with Streams(path) as streams:
        streams.extend("v", rows[:6])
        streams.checkpoint()
        streams.extend("v", rows[6:])
        stream = StreamsReader(path)["v"]

        np.testing.assert_array_equal(stream[index], rows[index])


def test_an_index_beyond_the_rows_is_an_index_error_that_names_the_stream(path: Path) -> None:
    with Streams(path) as streams:
        streams.append("v", 1)

        with pytest.raises(IndexError, match="'v' has 1 rows"):
            StreamsReader(path)["v"][1]


def test_a_missing_stream_lists_what_is_there(path: Path) -> None:
    with Streams(path) as streams:
        streams.append("energy", 1.0)

        with pytest.raises(KeyError, match="did you mean 'energy'"):
            StreamsReader(path)["enrgy"]


def test_follow_yields_rows_to_come_and_ends_with_the_writer(path: Path) -> None:
    streams = Streams(path)
    streams.append("x", 0)
    stream = StreamsReader(path)["x"]
    seen: list[int] = []
    follower = threading.Thread(target=lambda: seen.extend(int(row) for row in stream.follow()))
    follower.start()
    for number in range(1, 2000):
        streams.append("x", number)
    streams.close()

    follower.join(timeout=150)

    assert seen == list(range(2000))


def test_follow_from_the_end_skips_what_is_there(path: Path) -> None:
    with Streams(path) as streams:
        streams.extend("x", range(10))

    assert list(StreamsReader(path)["x"].follow(-3)) == [7, 8, 9]


def test_several_names_are_logged_in_one_call(path: Path) -> None:
    with Streams(path) as streams:
        for step in range(5):
            streams.log({"step": step, "loss": 1 / (step + 1)})

    reader = StreamsReader(path)
    assert reader["step"][:].tolist() == [0, 1, 2, 3, 4]
    assert reader["loss"][1] == 0.5


def test_threads_that_append_to_one_stream_lose_and_double_nothing(path: Path) -> None:
    with Streams(path) as streams:
        streams.append("x", -1)
        barrier = threading.Barrier(4)

        def work(thread: int) -> None:
            barrier.wait()
            for number in range(5000):
                streams.append("x", thread * 5000 + number)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    rows = StreamsReader(path)["x"][:]
    assert sorted(rows.tolist()) == list(range(-1, 20_000))
    for thread_number in range(4):
        mine = rows[(rows >= thread_number * 5000) & (rows < (thread_number + 1) * 5000)]
        assert (np.diff(mine) > 0).all()


def test_times_of_rows_are_kept_when_asked_for(path: Path) -> None:
    before = np.datetime64("now", "ns") - np.timedelta64(1, "s")
    with Streams(path, timestamps=True) as streams:
        streams.append("x", 1.5)
        streams.append("x", 2.5)
        streams.extend("x", [3.5, 4.5])
        stream = StreamsReader(path)["x"]
        times = stream.times

    assert list(StreamsReader(path)) == ["x"]
    assert times is not None
    assert len(times) == 4
    assert (times > before).all()
    assert (np.diff(times.astype("i8")) >= 0).all()


def test_a_row_that_was_refused_leaves_no_time_behind(path: Path) -> None:
    with Streams(path, timestamps=True) as streams:
        streams.append("x", 1.5)
        with pytest.raises(ValueError, match="shape"):
            streams.append("x", [1, 2])
        streams.append("x", 2.5)

        times = StreamsReader(path)["x"].times
        assert times is not None
        assert len(times) == 2


def test_times_go_on_when_a_file_is_opened_again(path: Path) -> None:
    for _ in range(2):
        with Streams(path, timestamps=True) as streams:
            streams.append("x", 1.5)

    times = StreamsReader(path)["x"].times
    assert times is not None
    assert len(times) == 2
    assert not np.isnat(times).any()


def test_a_stream_turns_into_pandas_and_xarray(path: Path) -> None:
    with Streams(path, timestamps=True) as streams:
        streams.extend("scalar", [1.0, 2.0])
        streams.extend("vector", np.eye(2))
        streams.extend("image", np.zeros((2, 3, 4)))
        streams.set_attributes("scalar", units="m")
        reader = StreamsReader(path)

        series = reader["scalar"].to_pandas()
        frame = reader["vector"].to_pandas()
        array = reader["scalar"].to_xarray()
        with pytest.raises(ValueError, match="to_xarray"):
            reader["image"].to_pandas()

    assert series.tolist() == [1.0, 2.0]
    assert series.index.name == "time"
    assert frame.shape == (2, 2)
    assert array.dims == ("row",)
    assert array.attrs["units"] == "m"
    assert "time" in array.coords


def test_nan_and_infinity_are_data(path: Path) -> None:
    with Streams(path) as streams:
        for value in (math.nan, math.inf, -math.inf):
            streams.append("x", value)

    rows = StreamsReader(path)["x"][:]
    assert math.isnan(rows[0])
    assert rows[1:].tolist() == [math.inf, -math.inf]


def test_fifty_streams_of_ten_rows_make_a_small_file(path: Path) -> None:
    with Streams(path) as streams:
        for step in range(10):
            streams.log({f"quantity_{number}": step * 0.5 for number in range(50)})

    assert path.stat().st_size < 200_000
    with h5py.File(path) as file:
        assert len(file) == 50
        assert file["quantity_49"][9] == 4.5


def test_a_closed_file_takes_no_more_rows(path: Path) -> None:
    streams = Streams(path)
    streams.append("x", 1)
    streams.close()

    with pytest.raises(RuntimeError, match="closed"):
        streams.append("x", 2)
    with pytest.raises(RuntimeError, match="closed"):
        streams.append("y", 2)


def test_a_stream_shows_itself_small_and_escaped_in_a_notebook(path: Path) -> None:
    with Streams(path) as streams:
        streams.extend("<b>x", np.zeros((4, 2)))
        streams.set_attributes("<b>x", units="<script>", note="long " * 1000)

    shown = StreamsReader(path)["<b>x"]._repr_html_()

    assert "4 x 2, float64" in shown
    assert "&lt;b&gt;x" in shown
    assert "<script>" not in shown
    assert len(shown) < 300


def test_a_users_own_stream_may_be_called_as_the_times_of_another_would_be(path: Path) -> None:
    for _ in range(2):
        with Streams(path) as streams:
            streams.log({"x_time": 0.5, "x": 2.0})

    reader = StreamsReader(path)
    assert list(reader) == ["x", "x_time"]
    assert reader["x"][:].tolist() == [2.0, 2.0]
    assert reader["x_time"][:].tolist() == [0.5, 0.5]


def test_times_are_refused_where_a_users_own_stream_has_their_name(path: Path) -> None:
    with Streams(path) as streams:
        streams.append("x_time", 0.5)

        with pytest.raises(ValueError, match="use another name"):
            streams.begin("x", 1.0, timestamps=True)
