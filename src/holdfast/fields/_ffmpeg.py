"""ffmpeg, the program: where it is, and what it is told to do. Nothing else here starts it.

Frames go in and come out as raw bytes through pipes. ffmpeg has a process group of its own, so that
an interrupt at the keyboard does not reach it: it ends when its input does.
"""

import contextlib
import errno
import functools
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from holdfast.errors import FormatError, MissingDependencyError, MissingFileError, StateError

COMMENT = "comment"
"""The tag of containers that holds what a movie tells of itself."""

LARGEST_TAG = 8 << 20
"""Bytes of a tag that any container gives back; of one beyond 16 MiB ffmpeg reads none in .mkv."""

_QUIET = ("-hide_banner", "-loglevel", "error", "-nostats")
_SAID = 800
"""Characters of what ffmpeg says that a message repeats."""

_TAG = re.compile(r"^((?:[^\\=\n]|\\.)+)=((?:[^\\\n]|\\.)*)$", re.MULTILINE | re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_DIMENSIONS = re.compile(r"^#dimensions 0: (\d+)x(\d+)", re.MULTILINE)
_TIME_BASE = re.compile(r"^#tb 0: (\d+)/(\d+)", re.MULTILINE)
_WHO = re.compile(r"^(?:\[[^\]\n]+ @ 0x[0-9a-f]+\] )+", re.MULTILINE)
"""How ffmpeg begins a line: the part of it that speaks, and an address."""

_VERSION = re.compile(r"^ffmpeg version n?(\d+)\.")
_CODEC = re.compile(r"^#codec_id 0: (\w+)", re.MULTILINE)


def ffmpeg_executable() -> str:
    """Return the path of ffmpeg: that of the imageio-ffmpeg package, else one on PATH.

    Raises
    ------
    MissingDependencyError
        If there is neither.
    """
    try:
        from imageio_ffmpeg import get_ffmpeg_exe
    except ImportError:
        found = shutil.which("ffmpeg")
    else:
        try:
            found = str(get_ffmpeg_exe())
        except RuntimeError:  # a wheel without the program, for a platform that it does not know
            found = None
    if not found:
        raise MissingDependencyError(
            "movies need ffmpeg, which is neither in the imageio-ffmpeg package nor on PATH; "
            "install it with: pip install imageio-ffmpeg (gifs are also written by "
            "movie_writer='pillow')"
        )
    return found


def tells_of_frames(executable: str) -> bool:
    """Return whether an ffmpeg can say when it has written a frame, as it does since version 6."""
    return os.name == "posix" and _version(executable) >= 6


@functools.cache
def _version(executable: str) -> int:
    """Return the version of an ffmpeg; of one that has a name instead, a large number."""
    said = subprocess.run([executable, "-version"], capture_output=True, check=False).stdout
    version = _VERSION.search(said.decode("utf-8", "replace"))
    return 1000 if version is None else int(version[1])


def _each_frame() -> list[str]:
    """Return what asks for the frames as they are, none twice and none left out."""
    return ["-fps_mode" if _version(ffmpeg_executable()) >= 6 else "-vsync", "passthrough"]


def started(arguments: Sequence[str], said: IO[bytes], **pipes: Any) -> "subprocess.Popen[bytes]":
    """Start ffmpeg, whose errors go into a file."""
    command = [ffmpeg_executable(), *_QUIET, *arguments]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, **pipes}
    return subprocess.Popen(command, stderr=said, start_new_session=True, bufsize=0, **pipes)


def told_by(file: IO[bytes]) -> str:
    """Return what it said there, shortened."""
    file.seek(0)
    text = _WHO.sub("", file.read().decode("utf-8", "replace")).strip().replace("\n", "; ")
    return text if len(text) <= _SAID else f"{text[: _SAID // 2]} … {text[-_SAID // 2 :]}"


def failure(code: int, said: str, path: Path) -> Exception:
    """Return the exception for an ffmpeg that ended with a code, about a file.

    A full disk and a file that grows too large are what they are for everybody else.
    """
    if os.strerror(errno.ENOSPC) in said:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    if os.strerror(errno.EFBIG) in said or code == -getattr(signal, "SIGXFSZ", 0) != 0:
        return OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    if "Unknown encoder" in said or "Unknown decoder" in said:
        return MissingDependencyError(
            f"{path}: {said}; another codec or another ffmpeg has it: pip install imageio-ffmpeg"
        )
    how = f"signal {-code}" if code < 0 else f"code {code}"
    return StateError(
        f"ffmpeg ended with {how} at {path}, saying: {said or 'nothing'}; begin the movie anew"
    )


def run(arguments: Sequence[str], path: Path, *, feed: bytes | None = None) -> bytes:
    """Run ffmpeg to its end and return what it writes to its standard output.

    Parameters
    ----------
    arguments : sequence of str
        What to do.
    path : Path
        The file that it is about, for messages.
    feed : bytes, optional
        What it reads from its standard input.

    Raises
    ------
    OSError
        If the disk is full.
    StateError
        If it fails; the message holds what it said.
    """
    code, content, said = _ran(arguments, feed)
    if code:
        raise failure(code, said, path)
    return content


def _ran(arguments: Sequence[str], feed: bytes | None = None) -> tuple[int, bytes, str]:
    with tempfile.TemporaryFile() as said:
        stdin = subprocess.DEVNULL if feed is None else subprocess.PIPE
        with started(arguments, said, stdin=stdin, stdout=subprocess.PIPE) as process:
            try:
                content = process.communicate(feed)[0]
            except BaseException:
                process.kill()
                raise
        return process.returncode, content, told_by(said)


class Decoder:
    """Decodes a movie frame by frame, from one of its frames on.

    Parameters
    ----------
    path : Path
        The movie.
    frame_bytes : int
        Bytes of a raw frame.
    pixels : str
        Pixel format wanted, by ffmpeg's name.
    seconds : float
        When the first frame wanted begins.
    """

    def __init__(self, path: Path, frame_bytes: int, pixels: str, seconds: float = 0.0) -> None:
        self._path, self._frame_bytes = path, frame_bytes
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `close`
        seek = ["-ss", f"{seconds:.6f}"] if seconds > 0 else []
        wanted = ["-map", "0:v:0", *_each_frame(), "-f", "rawvideo", "-pix_fmt", pixels]
        try:
            self._process = started(
                [*seek, "-i", str(path), *wanted, "pipe:1"], self._said, stdout=subprocess.PIPE
            )
        except BaseException:
            self._said.close()
            raise

    def read(self) -> bytes | None:
        """Return the next frame; None after the last.

        Raises
        ------
        FormatError
            If ffmpeg cannot decode the file; the message holds what it said.
        """
        pipe = self._process.stdout
        if pipe is None:
            raise AssertionError
        parts, missing = [], self._frame_bytes
        while missing and (part := pipe.read(missing)):
            parts.append(part)
            missing -= len(part)
        if not missing:
            return parts[0] if len(parts) == 1 else b"".join(parts)
        code = self._process.wait()
        if code or parts:
            why = told_by(self._said) or "its end is missing"
            raise FormatError(f"{self._path} is damaged or no movie: {why}; restore it from a copy")
        return None

    def close(self) -> None:
        """End ffmpeg; does nothing the second time."""
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process.kill()
        self._process.wait()
        self._said.close()


def tags(path: Path) -> dict[str, str]:
    """Return the tags of a movie's container, names in lower case.

    Raises
    ------
    MissingFileError
        If there is no such file.
    FormatError
        If it is no movie.
    """
    text = _probe(path, ["-f", "ffmetadata", "pipe:1"]).decode("utf-8", "replace")
    return dict(_parse_tags(text))


def _parse_tags(text: str) -> Iterator[tuple[str, str]]:
    """Yield what ffmpeg's own text format for tags holds, which escapes with backslashes."""
    for name, value in _TAG.findall(text):
        yield _ESCAPED.sub(r"\1", name).lower(), _ESCAPED.sub(r"\1", value)


def _escaped(value: str) -> str:
    return re.sub(r"([=;#\\\n])", r"\\\1", value)


@dataclass(frozen=True, slots=True)
class Frames:
    """What is in a movie, without decoding it.

    Attributes
    ----------
    size : (int, int)
        Width and height.
    codec : str
        ffmpeg's name of the codec.
    starts : list of float
        Seconds at which each frame begins.
    fps : float
        Frames a second.
    """

    size: tuple[int, int]
    codec: str
    starts: list[float]
    fps: float


def frames_of(path: Path, *, decode: bool = False) -> Frames:
    """Look at the frames of a movie.

    Parameters
    ----------
    path : Path
        The movie.
    decode : bool
        Whether to count only what can be decoded, of a movie whose end may be missing.

    Raises
    ------
    MissingFileError
        If there is no such file.
    FormatError
        If it is no movie.
    """
    told = ["-map", "0:v:0", "-f", "framecrc", "pipe:1"]
    if decode:
        text = _decodable(path, [*_each_frame(), *told]).decode("ascii", "replace")
    else:
        text = _probe(path, ["-c", "copy", *told]).decode("ascii", "replace")
    found, codec = _DIMENSIONS.search(text), _CODEC.search(text)
    if found is None or codec is None:
        raise FormatError(f"{path} holds no movie; check the name")
    unit = _TIME_BASE.search(text)
    tick = int(unit[1]) / int(unit[2]) if unit else 1.0
    lines = [line.split(",") for line in text.splitlines() if line and not line.startswith("#")]
    starts = sorted(int(line[2]) * tick for line in lines)
    last = max(int(lines[-1][3]) * tick, tick) if lines else 0
    fps = _rate(len(starts), starts[-1] - starts[0] + last, tick) if lines else 0.0
    return Frames((int(found[1]), int(found[2])), codec[1], starts, fps)


def _rate(frames: int, seconds: float, tick: float) -> float:
    """Return frames a second: a whole number where the container's rounding allows for one."""
    rate = frames / seconds
    whole = max(round(rate), 1)
    return whole if abs(frames / whole - seconds) <= tick else rate


def _decodable(path: Path, arguments: Sequence[str]) -> bytes:
    """Return what ffmpeg finds up to the first frame that is damaged, which it fails at."""
    return _ran(["-err_detect", "explode", "-xerror", "-i", str(path), *arguments])[1]


def _probe(path: Path, arguments: Sequence[str]) -> bytes:
    if not path.is_file():
        raise MissingFileError(f"there is no movie {path}; check the name")
    code, content, said = _ran(["-i", str(path), *arguments])
    if code:
        why = said.replace(str(path), path.name).rstrip(".")
        raise FormatError(
            f"{path} is damaged or no movie: {why}; check the name, or restore it from a copy"
        )
    return content


def copy(
    sources: Sequence[Path], target: Path, arguments: Sequence[str], tagged: Mapping[str, str]
) -> None:
    """Copy a movie, or several one after the other.

    Parameters
    ----------
    sources : sequence of Path
        Movies of one size and codec.
    target : Path
        A new file.
    arguments : sequence of str
        Options of its container.
    tagged : mapping
        Tags of the container.

    Raises
    ------
    OSError
        If the disk is full.
    StateError
        If ffmpeg fails.
    """
    inputs = ["-i", str(sources[0])]
    with contextlib.ExitStack() as stack:
        if len(sources) > 1:
            listed = stack.enter_context(tempfile.NamedTemporaryFile("w", suffix=".txt"))
            for path in sources:
                quoted = str(path.resolve()).replace("'", "'\\''")
                listed.write(f"file '{quoted}'\n")
            listed.flush()
            inputs = ["-f", "concat", "-safe", "0", "-i", listed.name]
        inputs += ["-f", "ffmetadata", "-i", "pipe:0", "-map", "0:v:0", "-map_metadata", "1"]
        told = "".join(f"{name}={_escaped(value)}\n" for name, value in tagged.items())
        feed = b";FFMETADATA1\n" + told.encode()
        run([*inputs, "-c", "copy", *arguments, str(target)], target, feed=feed)
