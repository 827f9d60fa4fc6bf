"""`Encoder`: raw frames into a movie, by an ffmpeg that runs beside the program."""

import contextlib
import os
import select
import subprocess
import tempfile
import threading
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import IO

from holdfast.fields._ffmpeg import (
    failure,
    ffmpeg_executable,
    started,
    tells_of_frames,
    told_by,
)

_WAIT = 0.5
"""Seconds between two looks whether ffmpeg has taken a frame, should a wake-up be missed."""

_LOOK = 0.1
"""Seconds between two looks whether ffmpeg has complained."""

_PATIENCE = 10.0
"""Seconds after which an ffmpeg that does not say that it wrote a frame is not asked any more."""


class Encoder:
    """Encodes raw frames into a file, which is a playable movie at every moment.

    Parameters
    ----------
    path : Path
        The file; one that exists is replaced.
    size : (int, int)
        Width and height of a frame.
    pixels : str
        Pixel format of the frames given, by ffmpeg's name.
    fps : float
        Frames a second.
    arguments : sequence of str
        How to encode.

    Raises
    ------
    MissingDependencyError
        If there is no ffmpeg.

    Notes
    -----
    A thread hands the frames over: a signal handler that raises in the middle of a write would
    leave half a frame in the pipe, and every later one shifted. One frame waits, so that memory
    stays bounded. Should this process be killed, ffmpeg meets the end of its input and finishes the
    file.
    """

    def __init__(
        self, path: Path, size: tuple[int, int], pixels: str, fps: float, arguments: Sequence[str]
    ) -> None:
        self.path = path
        # Closed in `_end`, when ffmpeg has said its last.
        self._said = tempfile.TemporaryFile()  # noqa: SIM115
        self._given = 0
        self._written = _Written.asked()
        # It knows all about its input, and is not to read dozens of frames to find out.
        at_once = ["-probesize", "32", "-analyzeduration", "0", "-fpsprobesize", "0"]
        form = ["-f", "rawvideo", "-pix_fmt", pixels, "-s", f"{size[0]}x{size[1]}"]
        given = ["-y", "-xerror", *at_once, *form, "-r", f"{fps}", "-i", "pipe:0"]
        try:
            self._process = started(
                [*given, *arguments, *self._written.asking, str(path)],
                self._said,
                stdin=subprocess.PIPE,
                pass_fds=self._written.passed,
            )
        except BaseException:
            self._said.close()
            self._written.close()
            raise
        self._written.handed_over()
        self._failure: Exception | None = None
        self._frames: SimpleQueue[_Frame | None] = SimpleQueue()
        self._last: _Frame | None = None
        self._closed = self._broken = False
        _encoders.add(self)
        self._thread = threading.Thread(target=self._feed, name="holdfast-ffmpeg", daemon=True)
        self._thread.start()

    def write(self, frame: "bytes | memoryview") -> None:
        """Hand a frame over, when the one before is on its way into the file.

        Raises
        ------
        OSError
            If the disk is full.
        StateError
            If ffmpeg has ended; the message holds what it said.
        """
        self._wait_for_last()
        self._written.wait_for(self._given, self._said)
        # It closes its end of the pipe some time before it is gone.
        if self._broken or self._process.poll() is not None:
            self._end()
        self.check()
        self._given += 1
        self._last = _Frame(frame)
        self._frames.put(self._last)

    def check(self) -> None:
        """Raise what has gone wrong, if anything has."""
        if self._failure is not None:
            raise self._failure

    def _wait_for_last(self) -> None:
        while self._last is not None and not self._last.taken:
            self._last.lock.acquire(timeout=_WAIT)

    def _feed(self) -> None:
        """Write frames to the pipe until there are no more, or ffmpeg has ended."""
        pipe = self._process.stdin
        if pipe is None:
            raise AssertionError
        while (frame := self._frames.get()) is not None:
            view = memoryview(frame.content).cast("B")
            try:
                while view and not self._broken:
                    view = view[pipe.write(view) :]
            except OSError:  # it has ended; `write` and `close` find out why
                self._broken = True
            frame.take()
        with contextlib.suppress(OSError):
            pipe.close()

    def close(self) -> None:
        """Finish the file; does nothing the second time.

        Raises
        ------
        OSError
            If the disk is full.
        StateError
            If ffmpeg fails.
        """
        if not self._closed:
            self._wait_for_last()
            self._end()
            self.check()

    def _end(self) -> None:
        if self._closed:
            return
        self._frames.put(None)
        self._thread.join()
        code = self._process.wait()
        if (code or self._broken) and self._failure is None:
            self._failure = failure(code, told_by(self._said), self.path)
        self._said.close()
        self._written.close()
        self._closed = True

    def abandon(self) -> None:
        """End ffmpeg at once; the file stays as it is."""
        self._process.kill()
        self._end()

    def let_go(self) -> None:
        """Close the pipe in a forked child, or ffmpeg would wait for the child's end, too."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._written.close()


_encoders: "weakref.WeakSet[Encoder]" = weakref.WeakSet()


def _after_fork() -> None:
    for encoder in list(_encoders):
        encoder.let_go()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class _Frame:
    """A frame on its way to the pipe."""

    __slots__ = ("content", "lock", "taken")

    def __init__(self, content: "bytes | memoryview") -> None:
        self.content: bytes | memoryview = content
        self.lock = threading.Lock()
        self.lock.acquire()
        self.taken = False

    def take(self) -> None:
        self.content = b""
        self.taken = True
        self.lock.release()


class _Written:
    """What ffmpeg says about frames that it writes: a line for each, into a pipe.

    ffmpeg holds a dozen frames between its own threads. With this it has one at a time, so that a
    full disk is noticed at once, and that a kill of everything costs no more than that one.
    """

    def __init__(self, ends: tuple[int, int] | None) -> None:
        self._from: int | None = None if ends is None else ends[0]
        self._to: int | None = None if ends is None else ends[1]
        self._lines = 0
        self.passed = () if self._to is None else (self._to,)
        self.asking: tuple[str, ...] = ()
        if self._to is not None:
            self.asking = ("-stats_mux_pre:v", f"pipe:{self._to}", "-stats_mux_pre_fmt:v", "{n}")

    @classmethod
    def asked(cls) -> "_Written":
        """Return what to ask an ffmpeg; nothing where it cannot answer."""
        return cls(os.pipe() if tells_of_frames(ffmpeg_executable()) else None)

    def handed_over(self) -> None:
        """Close the end that ffmpeg has, so that its end is that of the pipe."""
        if self._to is not None:
            os.close(self._to)
            self._to = None

    def wait_for(self, frames: int, said: IO[bytes]) -> None:
        """Wait until so many frames were written, or ffmpeg has ended or complained.

        One that complains ends only when it meets further input, so it is not waited for.
        """
        until = time.monotonic() + _PATIENCE
        while self._from is not None and self._lines < frames:
            told = b""
            if select.select([self._from], [], [], _LOOK)[0]:
                told = os.read(self._from, 4096)
                self._lines += told.count(b"\n")
            elif not os.fstat(said.fileno()).st_size and time.monotonic() < until:
                continue
            if not told:
                self.close()

    def close(self) -> None:
        """Close the pipe; nothing is waited for any more."""
        self.handed_over()
        if self._from is not None:
            os.close(self._from)
            self._from = None
