import os
import shutil
import signal
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from helpers import HANG, start
from holdfast.errors import (
    FormatError,
    HoldfastWarning,
    InvalidInputError,
    MissingFileError,
)
from holdfast.fields import Field, FieldCollection, Grid, MovieStorage, StorageBase, _frames
from holdfast.fields._ffmpeg import Decoder
from holdfast.testing.storages import GRIDS, StorageTests
from movies import FLAT, SQUARE, decoded, ffmpeg, moving, noisy, write_movie

PDE = Path(__file__).resolve().parents[1] / "data" / "movies"


class TestMovieArchive(StorageTests):
    dtypes: ClassVar = ("f8", "f4", "u1", "?")
    grids: ClassVar = tuple(grid for grid in GRIDS if grid.num_axes <= 2)
    ranks: ClassVar = (0, 1)
    tolerance: ClassVar = 20 / 65535

    def create(self, folder: Path, **options: Any) -> StorageBase:
        return MovieStorage(folder / "x.mkv", vmin=-1, vmax=12, **options)

    def again(self, folder: Path, **options: Any) -> StorageBase:
        return self.create(folder, **options)


@pytest.mark.parametrize("grid", [FLAT, SQUARE], ids=["wide", "square"])
@pytest.mark.parametrize("name", ["x.mkv", "x.avi", "x.mov", "x.mp4"])
def test_what_ffmpeg_decodes_of_an_archive_is_the_field_upright_and_rounded(
    tmp_path: Path, name: str, grid: Grid
) -> None:
    write_movie(MovieStorage(tmp_path / name, codec="ffv1"), 5, grid)
    frames = decoded(tmp_path / name, "gray16le", "<u2")[..., 0]
    expected = [np.rint(moving(n, grid).data.T[::-1] * 65535) for n in range(5)]
    np.testing.assert_array_equal(frames, expected)


@pytest.mark.parametrize(("bits", "largest"), [(8, 255), (16, 65535)])
def test_three_components_are_the_colours_of_a_frame(
    tmp_path: Path, bits: int, largest: int
) -> None:
    values = np.random.default_rng(bits).random((3, 8, 4))
    field = FieldCollection([Field(FLAT, part) for part in values])
    with MovieStorage(tmp_path / "x.mkv", bits_per_channel=bits) as movie:
        movie.append(field, 0)
    pixels, dtype = ("rgb24", "u1") if bits == 8 else ("rgb48le", "<u2")
    (frame,) = decoded(tmp_path / "x.mkv", pixels, dtype)
    expected = np.rint(values.transpose(2, 1, 0)[::-1] * largest)
    np.testing.assert_array_equal(frame, expected)


@pytest.mark.parametrize("name", ["x.mkv", "x.avi", "x.mov", "x.mp4"])
@pytest.mark.parametrize("bits", [8, 16])
def test_values_come_back_rounded_to_the_nearest_step(tmp_path: Path, name: str, bits: int) -> None:
    times = [0.0, 0.1, 0.75, 1e6]
    values = np.random.default_rng(1).uniform(-3, 5, (4, *FLAT.shape))
    with MovieStorage(tmp_path / name, vmin=-3, vmax=5, bits_per_channel=bits) as movie:
        for time, part in zip(times, values, strict=True):
            movie.append(Field(FLAT, part, label="v"), time)
    with MovieStorage(tmp_path / name, codec="ffv1", write_mode="readonly") as movie:
        assert movie.times.tolist() == times
        assert movie.grid == FLAT
        assert movie[2].label == "v"
        step = 8 / ((1 << bits) - 1)
        assert np.abs(movie.data[:] - values).max() <= step / 2 * (1 + 1e-9)


def test_parts_of_a_collection_have_limits_of_their_own(tmp_path: Path) -> None:
    scalar = Field(FLAT, np.linspace(-100, 100, 32).reshape(8, 4), label="s")
    vector = Field(FLAT, np.linspace(0, 1e-3, 64).reshape(2, 8, 4), label="v")
    with MovieStorage(tmp_path / "x.avi", vmin=[-100, 0], vmax=[100, 1e-3]) as movie:
        movie.append(FieldCollection([scalar, vector]), 0)
        found = movie[0]
    assert np.abs(found["s"].data - scalar.data).max() < 200 / 65535
    assert np.abs(found["v"].data - vector.data).max() < 1e-3 / 65535


def test_any_frame_is_read_without_decoding_those_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_movie(MovieStorage(tmp_path / "x.mkv"), 200)
    decoders: list[list[int]] = []

    class Counted(Decoder):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.frames = [0]
            decoders.append(self.frames)

        def read(self) -> bytes | None:
            self.frames[0] += 1
            return super().read()

    monkeypatch.setattr(_frames, "Decoder", Counted)
    with MovieStorage(tmp_path / "x.mkv", write_mode="readonly") as movie:
        for number in (150, 3, 199, 198, 77, 0):
            assert np.abs(movie[number].data - moving(number).data).max() < 1e-4
        assert [frames for (frames,) in decoders] == [1] * 6
        for number in range(4, 60, 4):  # what lies ahead comes from the same decoder
            assert np.abs(movie[number].data - moving(number).data).max() < 1e-4
        assert len(decoders) == 6


def test_a_movie_of_an_odd_rate_is_read_frame_by_frame_too(tmp_path: Path) -> None:
    for name, fps in (("x.mkv", 29.97), ("y.avi", 7), ("z.mov", 60)):
        write_movie(MovieStorage(tmp_path / name, codec="ffv1", fps=fps), 40)
        for _ in range(3):
            more = MovieStorage(tmp_path / name, codec="ffv1", fps=fps, write_mode="append")
            with more:
                more.append(moving(len(more)))
        with MovieStorage(tmp_path / name, codec="ffv1", write_mode="readonly") as movie:
            for number in (42, 0, 41, 17, 40, 39):
                assert np.abs(movie[number].data - moving(number).data).max() < 1e-4


def test_values_beyond_the_limits_are_stored_as_the_nearest_and_said_once(tmp_path: Path) -> None:
    values = np.linspace(-1, 2, 32).reshape(8, 4)
    values[0, 0] = np.nan
    with MovieStorage(tmp_path / "x.mkv", vmin=0, vmax=1) as movie:
        with pytest.warns(HoldfastWarning, match="wider limits"):
            movie.append(values, 0)
        movie.append(values, 1)
        found = movie[1]
    expected = np.clip(values, 0, 1)
    expected[0, 0] = 0
    assert np.abs(found - expected).max() < 1e-4


def test_times_are_written_as_text_where_that_is_asked_for(tmp_path: Path) -> None:
    write_movie(MovieStorage(tmp_path / "x.avi", write_times=True), 3)
    assert (tmp_path / "x.avi.times").read_text() == "0.0\n0.25\n0.5\n"


def test_what_a_killed_process_leaves_is_read_with_its_times_and_grid(tmp_path: Path) -> None:
    process = start(
        f"""
        import sys
        sys.path[:0] = [{str(Path(__file__).resolve().parents[1])!r}]
        import time
        from movies import noisy
        from holdfast.fields import MovieStorage
        movie = MovieStorage({str(tmp_path / "x.avi")!r}, vmin=0)
        for number in range(30):
            movie.append(noisy(number), number / 8)
        while movie.partial.stat().st_size < 50_000:  # ffmpeg is still starting
            time.sleep(0.01)
        print(flush=True)
        sys.stdin.read()
        """
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for pid in [process.pid, *map(int, children)]:
        os.kill(pid, signal.SIGKILL)
    process.wait(HANG)
    process.communicate()
    with MovieStorage(tmp_path / "x.partial.mkv", write_mode="readonly") as movie:
        assert 5 <= len(movie) <= 30
        assert movie.times.tolist() == [number / 8 for number in range(len(movie))]
        assert movie.grid == noisy(0).grid
        assert np.abs(movie[-1].data - noisy(len(movie) - 1).data).max() < 1e-4


def test_archives_of_py_pde_are_read() -> None:
    def values(number: int, shape: tuple[int, ...]) -> Any:
        return (np.arange(np.prod(shape)).reshape(shape) * 7 + 11 * number) % 50 / 50

    with MovieStorage(PDE / "gray16.avi", write_mode="readonly") as movie:
        assert movie.times.tolist() == [0, 0.5, 1, 1.5, 2]
        for number in (4, 0, 2):
            assert np.abs(movie[number].data - values(number, (6, 4))).max() < 2e-5
        assert type(movie[0]).__module__.startswith("pde.")
        assert movie[0].label == "density"
    with MovieStorage(PDE / "collection.mkv", write_mode="readonly") as movie:
        assert movie.times.tolist() == [0, 0.3, 2]
        assert np.abs(movie[2]["density"].data - values(2, (6, 4))).max() < 2e-5
        assert np.abs(movie[2]["flow"].data - values(3, (2, 6, 4))).max() < 6e-5
    with MovieStorage(PDE / "rgb8.avi", write_mode="readonly") as movie:
        assert np.abs(movie[1].data - values(1, (2, 6, 4))).max() < 1 / 255


def test_a_truncated_archive_says_so_where_frames_are_missing(tmp_path: Path) -> None:
    write_movie(MovieStorage(tmp_path / "x.mkv"), 50, Grid.unit([64, 64]))
    whole = (tmp_path / "x.mkv").read_bytes()
    for share in (0.0, 0.01, 0.5, 0.9):
        (tmp_path / "y.mkv").write_bytes(whole[: int(len(whole) * share)])
        movie = MovieStorage(tmp_path / "y.mkv", write_mode="readonly")
        with movie, pytest.raises(FormatError, match=r"restore it|check the name|not|damaged"):
            movie[49]
    assert np.abs(movie[3].data - moving(3, Grid.unit([64, 64])).data).max() < 1e-4
    movie.close()


def test_other_files_are_told_from_archives(tmp_path: Path) -> None:
    (tmp_path / "text.mkv").write_text("no movie")
    write_movie(MovieStorage(tmp_path / "x.mp4", bare=True), 2)
    for path in (tmp_path / "text.mkv", tmp_path / "x.mp4"):
        with pytest.raises(FormatError):
            len(MovieStorage(path, codec="ffv1", write_mode="readonly"))
    shutil.copy(PDE / "gray16.avi", tmp_path / "gray16.mkv")
    ffmpeg("-i", PDE / "gray16.avi", "-c", "copy", "-metadata", 'comment={"a": 1}', "z.avi")
    with pytest.raises(FormatError, match="without data"):
        len(MovieStorage("z.avi", write_mode="readonly"))


@pytest.mark.parametrize(
    ("field", "says"),
    [
        (np.ones((3, 3)) * 1j, "real numbers"),
        (Field(Grid.unit([2, 2, 2]), np.ones((2, 2, 2))), "one axis or two"),
        (FieldCollection([moving(0)] * 5), "4 at most"),
        (Field(Grid.unit([3, 3]), np.ones((2, 2, 3, 3))), None),
    ],
    ids=["complex", "cube", "five", "tensor"],
)
def test_fields_that_no_frame_can_hold_are_refused(
    tmp_path: Path, field: Any, says: str | None
) -> None:
    movie = MovieStorage(tmp_path / "x.mkv", vmin=0)
    if says is None:
        movie.append(field)
        assert movie[0].data.shape == (2, 2, 3, 3)
        movie.close()
        return
    with pytest.raises(InvalidInputError, match=says):
        movie.append(field)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("limits", [(1, 1), (2, 1), (0, np.inf), ([0, 0], 1), ("low", 1)], ids=str)
def test_limits_that_cannot_be_are_refused(tmp_path: Path, limits: tuple[Any, Any]) -> None:
    with pytest.raises(InvalidInputError, match="vm"):
        MovieStorage(tmp_path / "x.mkv", vmin=limits[0], vmax=limits[1]).append(moving(0))


def test_a_missing_movie_is_empty_until_it_is_asked_for_a_field(tmp_path: Path) -> None:
    movie = MovieStorage(tmp_path / "x.mkv", write_mode="readonly")
    assert len(movie) == 0
    with pytest.raises((IndexError, RuntimeError, MissingFileError)):
        movie[0]
