import errno
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pytest

from helpers import HANG, output, start, wait_until
from holdfast.errors import InvalidInputError, MissingDependencyError, StateError
from holdfast.fields import Field, FieldCollection, Grid, MovieStorage
from movies import FLAT, SQUARE, decoded, moving, size_of, write_movie

FORMATS = [
    ("x.mp4", {}),
    ("x.webm", {}),
    ("x.gif", {}),
    ("x.gif", {"movie_writer": "ffmpeg"}),
    ("x.mkv", {"codec": "h264"}),
    ("x.mov", {"codec": "h265"}),
]


def cells(frame: npt.NDArray[Any], grid: Grid) -> npt.NDArray[Any]:
    """Return the colour in the middle of each cell of a bare frame, as ``[x, y]``."""
    columns, rows = grid.shape
    step = frame.shape[1] // columns
    middles = frame[step // 2 : step * rows : step, step // 2 : step * columns : step]
    return middles[::-1].transpose(1, 0, 2).astype(int)


@pytest.mark.parametrize("grid", [FLAT, SQUARE], ids=["wide", "square"])
@pytest.mark.parametrize(("name", "options"), FORMATS, ids=str)
def test_what_ffmpeg_decodes_of_a_movie_shows_the_fields_upright_and_in_order(
    tmp_path: Path, name: str, options: dict[str, Any], grid: Grid
) -> None:
    movie = MovieStorage(tmp_path / name, bare=True, limits=(0, 1), **options)
    write_movie(movie, 4, grid)
    frames = decoded(tmp_path / name)
    assert len(frames) == 4
    for number, frame in enumerate(frames):
        colours = mpl.colormaps["viridis"](moving(number, grid).data, bytes=True)[..., :3]
        difference = np.abs(cells(frame, grid) - colours.astype(int))
        assert difference.max() < 40
        assert difference.mean() < 8
    assert os.listdir(tmp_path) == [name]


def test_a_drawn_frame_has_the_bright_cell_where_the_field_has_it(tmp_path: Path) -> None:
    values = np.zeros(FLAT.shape)
    values[7, 0] = 1  # right, and down
    with MovieStorage(tmp_path / "x.mp4", cmap="gray", title=False, dpi=80) as movie:
        movie.append(Field(FLAT, values), 0)
    frame = decoded(tmp_path / "x.mp4")[0].astype(int).mean(axis=2)
    dark = np.argwhere(frame < 40)  # of the image, and of letters
    low, left = np.percentile(dark, 2, axis=0)
    high, right = np.percentile(dark, 98, axis=0)
    inside = frame[int(low) : int(high) + 1, int(left) : int(right)]
    bright = np.argwhere(inside[:, : int(0.99 * inside.shape[1])] > 220)
    assert len(bright)
    row, column = np.median(bright, axis=0) / inside.shape
    assert row > 0.7
    assert column > 0.7


@pytest.mark.parametrize(
    "field",
    [
        Field(Grid.unit(6), np.arange(6.0), label="line"),
        Field(Grid.spherical(2, 5), np.arange(5.0)),
        Field(Grid.cylindrical(1, (0, 3), [3, 6]), np.ones((3, 6))),
        Field(Grid.cartesian([[0, 1]] * 3, [3, 4, 5]), np.ones((3, 4, 5))),
        Field(FLAT, np.ones((2, 8, 4))),
        Field(FLAT, np.full((8, 4), 1j)),
        Field(FLAT, np.full((8, 4), np.nan)),
        FieldCollection([moving(n) for n in range(4)]),
        np.arange(12.0).reshape(3, 4),
        np.array(2.5),
        np.arange(5) > 2,
    ],
    ids=lambda field: str(getattr(field, "grid", np.shape(field)))[:30],
)
def test_every_kind_of_field_can_be_drawn(tmp_path: Path, field: Any) -> None:
    with MovieStorage(tmp_path / "x.mp4", dpi=40) as movie:
        movie.append(field, 0)
        movie.append(field, 1)
    assert len(decoded(tmp_path / "x.mp4")) == 2


def test_a_movie_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    movie = MovieStorage(path, bare=True)
    states = [movie.is_writing]
    movie.start_writing(moving(0))
    for number in range(5):
        movie.append(moving(number), number)
    states.append(movie.is_writing)
    assert states == [False, True]
    assert movie.partial == tmp_path / "x.partial.mp4"
    assert not path.exists()
    movie.end_writing()
    assert [movie.is_writing, movie.partial, len(movie)] == [False, None, 5]
    assert movie.times.tolist() == [0, 1, 2, 3, 4]
    assert len(decoded(path)) == 5
    movie.close()


def test_the_old_movie_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    write_movie(MovieStorage(tmp_path / "x.gif", bare=True), 3)
    second = MovieStorage(tmp_path / "x.gif", bare=True)
    second.append(moving(0), 0)
    assert len(decoded(tmp_path / "x.gif")) == 3
    second.close()
    assert len(decoded(tmp_path / "x.gif")) == 1


@pytest.mark.parametrize(("name", "options"), FORMATS[:4], ids=str)
def test_a_movie_is_continued(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    path = tmp_path / name
    write_movie(MovieStorage(path, bare=True, limits=(0, 1), **options), 3)
    write_movie(MovieStorage(path, bare=True, limits=(0, 1), write_mode="append", **options), 2)
    frames = decoded(path)
    assert len(frames) == 5
    assert np.abs(frames[0].astype(int) - frames[3]).mean() < 5
    assert np.abs(frames[1].astype(int) - frames[2]).max() > 60
    with pytest.raises(InvalidInputError, match="pixels"):
        write_movie(MovieStorage(path, bare=True, write_mode="append", **options), 1, SQUARE)
    assert len(decoded(path)) == 5


def test_one_storage_makes_one_movie_of_two_solves(tmp_path: Path) -> None:
    movie = MovieStorage(tmp_path / "x.mp4", bare=True)
    for first in (0, 3):
        movie.start_writing(moving(0))
        for number in range(first, first + 3):
            movie.append(moving(number), number)
        movie.end_writing()
    assert len(decoded(tmp_path / "x.mp4")) == len(movie) == 6


def test_clearing_a_movie_leaves_none(tmp_path: Path) -> None:
    movie = MovieStorage(tmp_path / "x.mp4", bare=True)
    movie.append(moving(0), 0)
    movie.end_writing()
    movie.append(moving(1), 1)
    movie.clear()
    assert os.listdir(tmp_path) == []
    movie.append(moving(2), 2)
    movie.close()
    assert len(decoded(tmp_path / "x.mp4")) == 1


def test_a_title_holds_the_time(tmp_path: Path) -> None:
    asked = []

    def title(time: float) -> str:
        asked.append(time)
        return f"after {time} s"

    with MovieStorage(tmp_path / "x.mp4", title=title, dpi=40) as movie:
        movie.append(moving(0), 0.25)
        movie.append(moving(0), 0.5)
    first, second = decoded(tmp_path / "x.mp4").astype(int)
    changed = np.argwhere(np.abs(first - second).max(axis=2) > 90)
    assert changed[:, 0].max() < first.shape[0] / 8  # nothing but the title
    assert asked[-2:] == [0.25, 0.5]


PROGRAM = """
    import sys
    sys.path[:0] = [{tests!r}]
    from movies import moving
    from holdfast.fields import MovieStorage
    movie = MovieStorage({path!r}, bare=True, {options})
    for number in range({count}):
        movie.append(moving(number), number / 4)
    print(movie.partial, flush=True)
"""


def program(path: Path, count: int, options: str = "") -> str:
    tests = str(Path(__file__).resolve().parents[1])
    return PROGRAM.format(tests=tests, path=str(path), count=count, options=options)


def test_a_movie_that_is_not_closed_is_finished_at_exit(tmp_path: Path) -> None:
    output(program(tmp_path / "x.mp4", 6))
    assert os.listdir(tmp_path) == ["x.mp4"]
    assert len(decoded(tmp_path / "x.mp4")) == 6


@pytest.mark.parametrize(
    ("name", "whom"),
    [("x.mp4", "us"), ("x.mp4", "all"), ("x.webm", "all"), ("x.gif", "us"), ("x.mkv", "us")],
)
def test_what_a_killed_process_leaves_plays(tmp_path: Path, name: str, whom: str) -> None:
    options = "codec='h264'" if name == "x.mkv" else ""
    process = start(
        program(tmp_path / name, 40, options) + "    sys.stdin.read()\n", start_new_session=True
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert bool(children) is (name != "x.gif")  # which Pillow writes
    for pid in [process.pid, *map(int, children if whom == "all" else [])]:
        os.kill(pid, signal.SIGKILL)
    process.wait(HANG)
    process.communicate()
    for child in children:  # ffmpeg meets the end of its input, and ends
        wait_until(lambda child=child: not Path(f"/proc/{child}").exists())  # type: ignore[misc]
    (left,) = tmp_path.glob("x.partial.*")
    frames = decoded(left)
    assert len(frames) >= (40 if whom == "us" else 10) - 1
    chosen = "h264" if options else "auto"
    write_movie(MovieStorage(tmp_path / name, bare=True, codec=chosen), 2)
    assert len(decoded(tmp_path / name)) == 2
    assert len(decoded(left)) == len(frames)  # nobody's beginning is overwritten


def append_all(movie: MovieStorage, fields: Sequence[Any]) -> None:
    for field in fields:
        movie.append(field)


def noise(number: int) -> npt.NDArray[Any]:
    return np.random.default_rng(number).random((96, 64))


@pytest.mark.parametrize(
    ("name", "options"), [("x.mkv", {"codec": "ffv1"}), ("x.mp4", {}), ("x.gif", {})], ids=str
)
def test_a_full_disk_is_an_error_and_what_is_there_plays_and_goes_on(
    small_disk: Path, name: str, options: dict[str, Any]
) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(384 << 10))
    movie = MovieStorage(small_disk / name, **(options or {"bare": True}))
    with pytest.raises(OSError, match="space") as caught:
        append_all(movie, [noise(number) for number in range(300)])
    assert caught.value.errno == errno.ENOSPC
    assert movie.partial is not None
    kept = len(movie)
    assert 0 < kept < 300
    assert len(decoded(movie.partial)) == kept
    ballast.unlink()
    movie.append(noise(300), 300)
    movie.close()
    assert len(decoded(small_disk / name)) == kept + 1 == len(movie)
    assert movie.times[-1] == 300


def test_an_ffmpeg_that_dies_is_reported_and_the_movie_goes_on(tmp_path: Path) -> None:
    movie = MovieStorage(tmp_path / "x.mp4", bare=True)
    for number in range(30):
        movie.append(moving(number), number)
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGKILL)
    with pytest.raises(StateError, match="signal 9"):
        append_all(movie, [moving(number) for number in range(30, 40)])
    movie.append(moving(40), 40)
    movie.close()
    assert len(decoded(tmp_path / "x.mp4")) == len(movie)


def test_what_ffmpeg_says_when_it_refuses_is_in_the_error(tmp_path: Path) -> None:
    movie = MovieStorage(tmp_path / "x.mp4", bare=True)
    too_wide = [np.zeros((20_000, 1))] * 3  # for H.264
    with pytest.raises(StateError, match=r"ffmpeg ended with code .*libx264"), movie:
        append_all(movie, too_wide)
    assert not (tmp_path / "x.mp4").exists()
    movie.clear()


def hide_ffmpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    monkeypatch.setenv("PATH", "/nowhere")


def test_without_ffmpeg_an_mp4_is_refused_before_the_first_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide_ffmpeg(monkeypatch)
    movie = MovieStorage(tmp_path / "x.mp4")
    with pytest.raises(MissingDependencyError, match="imageio-ffmpeg"):
        movie.start_writing(moving(0))
    assert os.listdir(tmp_path) == []


def test_without_ffmpeg_gifs_are_written_by_pillow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as hidden:
        hide_ffmpeg(hidden)
        write_movie(MovieStorage(tmp_path / "x.gif", bare=True), 3)
        write_movie(MovieStorage(tmp_path / "x.gif", bare=True, write_mode="append"), 2)
    assert len(decoded(tmp_path / "x.gif")) == 5


def test_an_ffmpeg_on_the_path_is_used_where_the_wheel_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imageio_ffmpeg import get_ffmpeg_exe

    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ffmpeg").symlink_to(get_ffmpeg_exe())
    with monkeypatch.context() as hidden:
        hidden.setitem(sys.modules, "imageio_ffmpeg", None)
        hidden.setenv("PATH", str(tmp_path / "bin"))
        write_movie(MovieStorage(tmp_path / "x.mp4", bare=True), 2)
    assert len(decoded(tmp_path / "x.mp4")) == 2


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("x.mp4", {"codec": "divx"}, "h264"),
        ("x.mp4", {"codec": "gif"}, r"\.gif"),
        ("x.webm", {"codec": "h264"}, "vp9"),
        ("x.txt", {}, r"\.mp4"),
        ("x", {}, r"\.mp4"),
        ("x.mp4", {"movie_writer": "pillow"}, "gif only"),
        ("x.mp4", {"movie_writer": "imagemagick"}, "pillow"),
        ("x.mp4", {"vmin": 0, "cmap": "gray"}, "choose one"),
        ("x.gif", {"vmin": 0}, r"\.mkv"),
        ("x.mp4", {"fps": 0}, "fps"),
        ("x.mp4", {"dpi": -1}, "dpi"),
        ("x.mkv", {"video_format": "gray12"}, "gray16le"),
        ("x.mkv", {"bits_per_channel": 12}, "8 or 16"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_when_the_storage_is_made(
    tmp_path: Path, name: str, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidInputError, match=says):
        MovieStorage(tmp_path / name, **options)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"cmap": "viridian"}, "viridis"),
        ({"limits": (1, 0)}, "smallest and a largest"),
        ({"limits": "auto"}, "smallest and a largest"),
        ({"title": "{when}"}, "{time}"),
    ],
    ids=str,
)
def test_what_no_frame_can_look_like_is_refused_before_the_first(
    tmp_path: Path, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidInputError, match=says):
        MovieStorage(tmp_path / "x.mp4", **options).start_writing(moving(0))


def test_a_rendering_gives_no_values_back(tmp_path: Path) -> None:
    movie = MovieStorage(tmp_path / "x.mp4", bare=True)
    write_movie(movie, 2)
    with pytest.raises(StateError, match="ffv1"):
        movie[0]


def test_memory_does_not_grow_with_the_movie() -> None:
    grown = output(
        """
        import resource, numpy as np
        from holdfast.fields import MovieStorage
        movie = MovieStorage("x.mp4", bare=True)
        values = np.random.default_rng(1).random((512, 256))
        def used():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in range(150):
            movie.append(np.roll(values, number), number)
            if number == 20:
                before = used()
        movie.close()
        print(used() - before)
        """
    )
    assert int(grown) < 20_000  # KiB; the frames are 59 MB


def test_a_forked_child_neither_writes_nor_finishes_the_movie(tmp_path: Path) -> None:
    movie = MovieStorage(tmp_path / "x.mp4", bare=True)
    for number in range(3):
        movie.append(moving(number), number)
    read, write = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            movie.append(moving(3), 3)
        except StateError:
            movie.close()
            code = 0
        finally:
            os.read(read, 1)  # lives on while the parent finishes
            os._exit(code)
    movie.append(moving(3), 3)
    movie.close()
    os.write(write, b".")
    _, status = os.waitpid(child, 0)
    os.close(read)
    os.close(write)
    assert status == 0
    assert len(decoded(tmp_path / "x.mp4")) == 4


def test_progress_is_shown_on_standard_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_movie(MovieStorage(tmp_path / "x.mp4", bare=True, progress=True), 3)
    assert capfd.readouterr().out == ""


def test_a_bare_movie_of_odd_size_is_one_pixel_larger(tmp_path: Path) -> None:
    with MovieStorage(tmp_path / "x.mp4", bare=True) as movie:
        movie.append(np.zeros((301, 299)), 0)
    assert size_of(tmp_path / "x.mp4") == (302, 300)


def test_the_processes_of_finished_movies_are_gone(tmp_path: Path) -> None:
    write_movie(MovieStorage(tmp_path / "x.mp4", bare=True), 2)
    listed = subprocess.run(["ps", "--ppid", str(os.getpid())], capture_output=True, check=False)
    assert b"ffmpeg" not in listed.stdout
