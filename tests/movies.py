"""What ffmpeg itself finds in a movie, and fields to make movies of."""

import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from imageio_ffmpeg import get_ffmpeg_exe

from holdfast.fields import Field, Grid

_FRAMES = ("-fps_mode", "passthrough", "-f", "rawvideo")
FLAT = Grid.cartesian([[0, 2], [0, 1]], [8, 4])
SQUARE = Grid.cartesian([[0, 1], [0, 1]], [5, 5])

RENDERINGS: list[tuple[str, dict[str, Any]]] = [
    ("x.mp4", {}),
    ("x.webm", {}),
    ("x.gif", {}),
    ("x.gif", {"movie_writer": "ffmpeg"}),
    ("x.mkv", {"codec": "h264"}),
    ("x.mov", {"codec": "h265"}),
]
"""Names of renderings and what they are made with, one for each container and codec."""


def ffmpeg(*arguments: object) -> bytes:
    """Run ffmpeg, which has to succeed, and return what it writes."""
    command = [get_ffmpeg_exe(), "-v", "error", *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def size_of(movie: Path) -> tuple[int, int]:
    """Return width and height."""
    header = ffmpeg("-i", movie, "-frames:v", 1, "-f", "image2pipe", "-c:v", "ppm", "-")
    width, height = header.split(maxsplit=3)[1:3]
    return int(width), int(height)


def decoded(movie: Path, pixels: str = "rgb24", dtype: str = "u1") -> npt.NDArray[Any]:
    """Return all frames that can be decoded: ``(frame, row, column, channel)``."""
    width, height = size_of(movie)
    raw = subprocess.run(  # the end of a movie that was killed may be missing, and said to be
        [get_ffmpeg_exe(), "-v", "quiet", "-i", movie, *_FRAMES, "-pix_fmt", pixels, "-"],
        check=False,
        capture_output=True,
        stdin=subprocess.DEVNULL,
    ).stdout
    return np.frombuffer(raw, dtype).reshape(-1, height, width, 3 if "rgb" in pixels else 1)


def starts(movie: Path) -> list[float]:
    """Return the second at which each frame begins, to a hundredth."""
    told = ffmpeg("-i", movie, "-c", "copy", "-f", "framecrc", "-").decode()
    (unit,) = [line.split()[2] for line in told.splitlines() if line.startswith("#tb 0:")]
    tick = int(unit.split("/")[0]) / int(unit.split("/")[1])
    rows = [line.split(",") for line in told.splitlines() if not line.startswith("#")]
    return [round(int(row[2]) * tick, 2) for row in rows]


def moving(number: int, grid: Grid = FLAT) -> Field:
    """Return a field with a low slope to the upper right, and one bright cell that moves."""
    values = np.add.outer(np.linspace(0, 0.3, grid.shape[0]), np.linspace(0, 0.2, grid.shape[1]))
    values.flat[(7 * number) % values.size] = 1.0
    return Field(grid, values, label="density")


def noisy(number: int) -> Field:
    """Return a field that no codec makes small."""
    return Field(Grid.unit([64, 64]), np.random.default_rng(number).random((64, 64)))


def append_all(storage: Any, fields: Iterable[Any]) -> None:
    """Append fields, a unit of time apart."""
    for field in fields:
        storage.append(field)


def write_movie(storage: Any, count: int, grid: Grid = FLAT) -> None:
    """Append so many moving fields and finish."""
    with storage:
        for number in range(count):
            storage.append(moving(number, grid), number / 4)
