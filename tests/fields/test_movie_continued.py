"""Movies that are continued: what is there keeps its meaning, or nothing is added."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.errors import FormatError, InvalidInputError, StateError
from holdfast.fields import Field, Grid, MovieStorage
from movies import RENDERINGS, SQUARE, append_all, decoded, ffmpeg, moving, starts, write_movie

PDE = Path(__file__).resolve().parents[1] / "data" / "movies"


def steady(value: float) -> Field:
    return Field(SQUARE, np.full(SQUARE.shape, value))


def test_an_archive_is_continued_with_the_limits_that_it_has(tmp_path: Path) -> None:
    path = tmp_path / "x.mkv"
    with MovieStorage(path, codec="ffv1", vmin=-1, vmax=3, bits_per_channel=8) as movie:
        movie.append(steady(2), 0)
    with MovieStorage(path, codec="ffv1", write_mode="append") as movie:
        movie.append(steady(3), 1)
    found = MovieStorage(path, write_mode="readonly")
    assert [round(field.data.mean(), 1) for field in found] == [2, 3]
    found.close()


@pytest.mark.parametrize(
    "options", [{"vmin": -5}, {"vmax": 7}, {"bits_per_channel": 8}, {"video_format": "rgb24"}]
)
def test_other_limits_or_colours_are_refused_and_nothing_changes(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    path = tmp_path / "x.mkv"
    with MovieStorage(path, codec="ffv1") as movie:
        movie.append(steady(0.5), 0)
    before = path.read_bytes()
    with pytest.raises(InvalidInputError, match="cannot be continued"):
        MovieStorage(path, write_mode="append", **options).append(steady(0.5), 1)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_archive_of_py_pde_is_not_continued(tmp_path: Path) -> None:
    source = min(PDE.glob("*.mkv"))
    path = tmp_path / source.name
    path.write_bytes(source.read_bytes())
    movie = MovieStorage(path, codec="ffv1", write_mode="append")
    field = movie[0]
    with pytest.raises(InvalidInputError, match="laid out by py-pde"):
        movie.append(field, 100)
    assert path.read_bytes() == source.read_bytes()


def test_an_archive_whose_end_is_missing_is_not_continued(tmp_path: Path) -> None:
    path = tmp_path / "x.mkv"
    write_movie(MovieStorage(path, codec="ffv1"), 40, SQUARE)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(FormatError, match="and tells of 40"):
        MovieStorage(path, write_mode="append").append(steady(0), 100)


def test_a_rendering_is_not_continued_in_another_codec(tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    write_movie(MovieStorage(path, bare=True), 2, SQUARE)
    with pytest.raises(InvalidInputError, match=r"h264 frames .* are hevc"):
        MovieStorage(path, bare=True, codec="h265", write_mode="append").append(steady(0), 9)
    assert len(decoded(path)) == 2


@pytest.mark.parametrize("shape", [(1, 7), (1, 300), (7, 1), (1, 1)], ids=str)
@pytest.mark.parametrize("bits", [8, 16])
def test_an_archive_may_be_one_cell_wide(tmp_path: Path, shape: tuple[int, int], bits: int) -> None:
    values = np.linspace(0, 1, shape[0] * shape[1]).reshape(shape)
    with MovieStorage(tmp_path / "x.mkv", codec="ffv1", bits_per_channel=bits) as movie:
        movie.append(Field(Grid.unit(list(shape)), values), 0)
        assert np.abs(movie[0].data - values).max() <= 0.5 / (2**bits - 1) + 1e-12


@pytest.mark.parametrize(("name", "options"), RENDERINGS[:4], ids=str)
def test_a_movie_is_continued(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    path = tmp_path / name
    write_movie(MovieStorage(path, bare=True, limits=(0, 1), **options), 3)
    options = {"write_mode": "append", "allow_backwards": True, **options}
    write_movie(MovieStorage(path, bare=True, limits=(0, 1), **options), 2)
    frames = decoded(path)
    assert len(frames) == 5
    assert np.abs(frames[0].astype(int) - frames[3]).mean() < 5
    assert np.abs(frames[1].astype(int) - frames[2]).max() > 60
    with pytest.raises(InvalidInputError, match="pixels"):
        write_movie(MovieStorage(path, bare=True, **options), 1, SQUARE)
    assert len(decoded(path)) == 5


def test_one_storage_makes_one_movie_of_two_solves(tmp_path: Path) -> None:
    movie = MovieStorage(tmp_path / "x.mp4", bare=True)
    for first in (0, 3):
        movie.start_writing(moving(0))
        for number in range(first, first + 3):
            movie.append(moving(number), number)
        movie.end_writing()
    assert len(decoded(tmp_path / "x.mp4")) == len(movie) == 6


EVERY = [*RENDERINGS, ("x.mkv", {"codec": "ffv1"}), ("x.avi", {"codec": "ffv1"})]


def looks(options: dict[str, Any]) -> dict[str, Any]:
    """Return what makes small frames of these options, which no archive takes."""
    return options if options.get("codec") == "ffv1" else {"bare": True, **options}


@pytest.mark.parametrize(("name", "options"), EVERY, ids=str)
def test_a_continued_movie_plays_as_fast_as_it_did(
    tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    path = tmp_path / name
    with MovieStorage(path, fps=4, **looks(options)) as movie:
        append_all(movie, [moving(0)])
    for count in (2, 3):
        with MovieStorage(path, write_mode="append", **looks(options)) as movie:
            append_all(movie, [moving(number) for number in range(count)])
    assert starts(path) == [0, 0.25, 0.5, 0.75, 1, 1.25]


@pytest.mark.parametrize("name", ["x.mp4", "x.gif", "x.webm", "x.mkv"])
def test_a_movie_of_others_is_continued_at_its_own_rate(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    made = tmp_path / f"made{path.suffix}"
    write_movie(MovieStorage(made, fps=5, bare=True), 3, SQUARE)
    ffmpeg("-i", made, "-c", "copy", "-map_metadata", -1, "-bitexact", path)
    with MovieStorage(path, bare=True, write_mode="append") as movie:
        assert len(movie) == 3
        movie.append(moving(0, SQUARE))
    assert starts(path) == [0, 0.2, 0.4, 0.6]


@pytest.mark.parametrize(("name", "options"), EVERY, ids=str)
def test_another_rate_is_refused_and_the_same_is_not(
    tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    path = tmp_path / name
    write_movie(MovieStorage(path, fps=12.5, **looks(options)), 2)
    with pytest.raises(InvalidInputError, match=r"12\.5 frames a second.* 10;"):
        MovieStorage(path, fps=10, write_mode="append", **looks(options)).append(moving(0), 9)
    with MovieStorage(path, fps=12.5, write_mode="append", **looks(options)) as movie:
        movie.append(moving(0), 9)
    assert starts(path) == [0, 0.08, 0.16]


@pytest.mark.parametrize(("name", "options"), EVERY, ids=str)
def test_a_movie_opened_anew_has_its_number_of_frames_and_their_times(
    tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    write_movie(MovieStorage(tmp_path / name, **looks(options)), 3)
    movie = MovieStorage(tmp_path / name, write_mode="append", **looks(options))
    assert len(movie) == 3
    assert movie.times.tolist() == [0, 0.25, 0.5]
    with pytest.raises(InvalidInputError, match="cannot follow"):
        movie.append(moving(3), 0.4)
    append_all(movie, [moving(3)])  # one after the last, as in every storage
    movie.close()
    again = MovieStorage(tmp_path / name, write_mode="readonly", **looks(options))
    assert again.times.tolist() == [0, 0.25, 0.5, 1.5]
    again.close()


@pytest.mark.parametrize("name", ["x.mp4", "x.gif"])
def test_frames_of_a_movie_that_tells_no_times_are_counted(tmp_path: Path, name: str) -> None:
    movie = MovieStorage(tmp_path / name, bare=True)
    append_all(movie, [moving(number) for number in range(4)])
    if name == "x.mp4":
        movie.close()
        ffmpeg("-i", tmp_path / name, "-c", "copy", "-map_metadata", -1, tmp_path / "y.mp4")
    else:
        assert movie.partial is not None
        shutil.copy(movie.partial, tmp_path / "y.gif")
        movie.close()
    found = MovieStorage(tmp_path / f"y{name[1:]}", write_mode="readonly")
    assert len(found) == 4
    assert np.isnan(found.times).tolist() == [True] * 4
    with pytest.raises(StateError, match="is a rendering"):
        list(found)
    assert "<td>4</td>" in found._repr_html_()


def test_a_rendering_that_is_replaced_by_another_is_counted_anew(tmp_path: Path) -> None:
    seen = MovieStorage(tmp_path / "x.gif", write_mode="readonly")
    assert len(seen) == 0
    for count in (2, 5):
        write_movie(MovieStorage(tmp_path / "x.gif", bare=True), count)
        assert len(seen) == len(seen.times) == count


def test_a_file_that_is_no_movie_is_told_from_one(tmp_path: Path) -> None:
    for name in ("x.mp4", "x.gif"):
        for content in (b"", b"GIF89a and no more" * (name == "x.gif"), b"no movie at all"):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(FormatError, match=rf"{name} (is|holds) .*; (check|restore)"):
                len(MovieStorage(tmp_path / name, write_mode="readonly"))
