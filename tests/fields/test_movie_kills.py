"""Movies whose program or whose ffmpeg dies: what is there plays."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from helpers import HANG, output, start, wait_until
from holdfast.errors import StateError
from holdfast.fields import MovieStorage
from movies import append_all, decoded, moving, write_movie

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


def test_the_processes_of_finished_movies_are_gone(tmp_path: Path) -> None:
    write_movie(MovieStorage(tmp_path / "x.mp4", bare=True), 2)
    listed = subprocess.run(["ps", "--ppid", str(os.getpid())], capture_output=True, check=False)
    assert b"ffmpeg" not in listed.stdout
