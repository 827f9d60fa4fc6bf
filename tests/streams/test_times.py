"""Times of rows: never more than rows, and never a reason to append a row twice."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.errors import InvalidInputError
from holdfast.hdf5 import StreamWriter
from holdfast.streams import Streams, StreamsReader

PATH = Path("x.h5")


def test_a_row_is_accepted_although_its_time_meets_a_full_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put, full = StreamWriter.put, False

    def fail(stream: StreamWriter, *arguments: Any) -> None:
        if full and stream.name == "x_time":
            raise OSError(28, "No space left on device")
        put(stream, *arguments)

    monkeypatch.setattr(StreamWriter, "put", fail)
    with Streams(PATH, timestamps=True, sync="always") as streams:
        streams.append("x", 0)
        full = True
        streams.append("x", 1)
        streams.extend("x", [2, 3])
        full = False
        streams.append("x", 4)
        streams.extend("x", [5, 6])

    stream = StreamsReader(PATH)["x"]
    assert stream[:].tolist() == list(range(7))
    assert stream.times is not None
    assert np.isnat(stream.times).tolist() == [False, True, True, True, False, False, False]


def test_threads_that_append_and_extend_never_make_more_times_than_rows() -> None:
    with Streams(PATH, timestamps=True) as streams:
        streams.append("x", 0)
        barrier = threading.Barrier(4)

        def work(number: int) -> None:
            barrier.wait()
            for _ in range(300):
                if number % 2:
                    streams.append("x", 1)
                else:
                    streams.extend("x", [2, 3])

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    stream = StreamsReader(PATH)["x"]
    assert stream.times is not None
    assert len(stream.times) == len(stream) == 1 + 2 * 300 + 2 * 600
    assert not np.isnat(stream.times).any()


@pytest.mark.parametrize("again", [False, True], ids=["in one session", "opened again"])
def test_asking_for_times_after_the_first_row_is_refused(*, again: bool) -> None:
    streams = Streams(PATH)
    streams.append("x", 0)
    if again:
        streams.close()
        streams = Streams(PATH)
    with streams, pytest.raises(InvalidInputError, match="with its first row"):
        streams.begin("x", 1, timestamps=True)


def test_asking_for_times_again_is_no_error() -> None:
    with Streams(PATH) as streams:
        for number in range(3):
            streams.begin("x", number, timestamps=True)(number)
    times = StreamsReader(PATH)["x"].times
    assert times is not None
    assert len(times) == 3


@pytest.mark.parametrize("refused", [2.5, "text", [1, 2], 2**63])
def test_a_value_that_does_not_fit_leaves_no_stream_longer_than_the_others(refused: Any) -> None:
    missing: Any = None
    with Streams(PATH) as streams:
        streams.log({"step": 0, "loss": 0.5, "count": 0})
        with pytest.raises(InvalidInputError, match="'count'"):
            streams.log({"step": 1, "loss": 0.25, "count": refused})
        with pytest.raises(InvalidInputError, match="'new'"):
            streams.log({"step": 1, "newer": 0.25, "new": missing})
        with pytest.raises(InvalidInputError, match="'count'"):
            streams.log({"step": 1, "newer": 0.25, "count": refused})
        assert streams.names == ["count", "loss", "step"]
        streams.log({"step": 1, "loss": np.float64(0.25), "count": np.int8(1)})

    reader = StreamsReader(PATH)
    assert {name: len(reader[name]) for name in reader} == {"step": 2, "loss": 2, "count": 2}


def test_a_float_for_a_stream_of_integers_is_refused_with_the_remedy() -> None:
    with Streams(PATH) as streams:
        streams.append("energy", 0)
        with pytest.raises(InvalidInputError, match=r"int64, which its first row fixed.*0\.0"):
            streams.append("energy", 0.5)
