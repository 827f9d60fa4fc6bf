"""`Recording`: a movie while it is written, under a temporary name, and how it gets its own."""

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from holdfast._append import append_whole
from holdfast._atomic import temporary_beside
from holdfast._process import ForkGuard
from holdfast._sync import fsync_path
from holdfast.errors import FormatError, HoldfastError, InvalidInputError, StateError
from holdfast.fields._codings import Coding, Size
from holdfast.fields._encoder import Encoder
from holdfast.fields._ffmpeg import COMMENT, copy, frames_of
from holdfast.fields._gif import GifWriter, gif_of, join

_FINAL = dict.fromkeys((".mp4", ".m4v", ".mov"), ("-movflags", "+faststart+use_metadata_tags"))


class _Sink(Protocol):
    def write(self, frame: "bytes | memoryview") -> None: ...
    def close(self) -> None: ...
    def abandon(self) -> None: ...


class Recording:
    """Frames on their way into a movie.

    Parameters
    ----------
    target : Path
        The movie, which is whole or not there.
    coding : Coding
        How frames become a file.
    tags : callable
        Returns the tags of the container when it is finished.
    continues : bool
        Whether the frames are added to those that `target` has.
    frames : int, optional
        How many it has, where that is known.

    Attributes
    ----------
    partial : Path or None
        The file that is written, beside the target.
    kept : int
        Frames given since the movie was last whole, as far as they are known to be in `partial`.
    """

    def __init__(
        self,
        target: Path,
        coding: Coding,
        tags: Callable[[], Mapping[str, str]],
        *,
        continues: bool,
        frames: int | None = None,
    ) -> None:
        self.target, self.continues, self._frames = target, continues, frames
        self.partial: Path | None = None
        self.kept = 0
        self._coding, self._tags = coding, tags
        self._sink: _Sink | None = None
        self._damaged = False
        self._guard = ForkGuard()

    def write(self, frame: bytes, size: Size, note: str = "") -> None:
        """Add a frame, and a line to the text file beside `partial`.

        Raises
        ------
        OSError
            If the disk is full. `partial` can be played, and a later call goes on from `kept`.
        StateError
            If ffmpeg has ended; the message holds what it said.
        """
        self._guard.check(f"movie {self.target}")
        if self._sink is None:
            self.finish()  # what a failure has left
            self._open(size)
        if self._sink is None:
            raise AssertionError
        # The time first: one without its frame is passed over, a frame without its time is not.
        if note and self.partial is not None:
            _append_line(sidecar(self.partial), note)
        try:
            self._sink.write(frame)
        except (OSError, HoldfastError):
            self._failed()
            raise
        self.kept += 1

    def _open(self, size: Size) -> None:
        if self.continues:
            self._check_target(size)
        partial = _new_beside(self.target, self._coding.suffix)
        try:
            if self._coding.pillow:
                after = self.target if self.continues else None
                self._sink = GifWriter(partial, size, self._coding.fps, after=after)
            else:
                given = self._coding
                self._sink = Encoder(partial, size, given.pixels, given.fps, given.options)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        self.partial = partial

    def _check_target(self, size: Size) -> None:
        """Refuse a movie behind whose frames those to come could not stand."""
        if self._coding.pillow:
            return  # it looks itself
        there = frames_of(self.target)
        if (there.size, there.codec) != (size, self._coding.codec):
            raise InvalidInputError(
                f"{self.target} has {there.codec} frames of {there.size[0]} x {there.size[1]} "
                f"pixels, and those to be added are {self._coding.codec} of {size[0]} x {size[1]}; "
                "write_mode='truncate' begins a new movie"
            )
        if self._frames not in (None, len(there.starts)):
            raise FormatError(
                f"{self.target} has {len(there.starts)} frames, and tells of {self._frames}; "
                "restore it from a copy, or write another movie"
            )
        self._frames = None  # it is known no longer, once frames were added

    def _failed(self) -> None:
        """Let go of a writer that failed, and count the frames that can be played."""
        self._damaged = True
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.abandon()
        if self.partial is not None and not self._coding.pillow:  # which leaves whole frames
            self.kept = 0
            with contextlib.suppress(HoldfastError):  # there may be less than one frame
                self.kept = _whole_frames(self.partial)
        if not self.kept:
            self._remove_partial()

    def _remove_partial(self) -> None:
        if self.partial is not None:
            self.partial.unlink(missing_ok=True)
            sidecar(self.partial).unlink(missing_ok=True)
            self.partial = None

    def finish(self) -> None:
        """Give the movie its own name, with all its frames.

        Raises
        ------
        OSError
            If the disk is full. `partial` can be played; call again.
        StateError
            If ffmpeg has ended; the message holds what it said.
        """
        if not self._guard:
            return  # a forked child has nothing to finish
        if self._sink is not None:
            try:
                self._sink.close()
            except (OSError, HoldfastError):
                self._failed()
                raise
            self._sink = None
        if self.partial is None:
            return
        self._give_name(self.partial)
        self._remove_partial()
        self.kept, self.continues, self._damaged = 0, True, False

    def _give_name(self, partial: Path) -> None:
        tags, ending = self._tags(), self.target.suffix.lower()
        sources = [self.target, partial] if self.continues else [partial]
        if self._coding.suffix == ".gif":
            own = [partial] if self._coding.pillow else sources  # Pillow's begins with the others
            _into(self.target, lambda path: join(own, path, tags[COMMENT]))
            return
        # Parts count time in units of their own, which ffmpeg takes for those of the first.
        again = f"setts=ts=N/({self._coding.fps}*TB):duration=1/({self._coding.fps}*TB)"
        options = [*_FINAL.get(ending, ()), *(("-bsf:v", again) if self.continues else ())]
        if self._damaged:  # what is behind the last whole frame is left out
            before = len(frames_of(self.target).starts) if self.continues else 0
            options += ["-frames:v", str(before + self.kept)]
        _into(self.target, lambda path: copy(sources, path, options, tags))

    def abandon(self) -> None:
        """Forget what has been written since the movie was last whole."""
        if self._sink is not None:
            self._sink.abandon()
            self._sink = None
        self._remove_partial()
        self.kept = 0


def sidecar(path: Path) -> Path:
    """Return the text file with the times of a movie's frames, as py-pde names it."""
    return path.with_name(f"{path.name}.times")


def _append_line(path: Path, line: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        append_whole(descriptor, line.encode("ascii"))
    finally:
        os.close(descriptor)


def _whole_frames(path: Path) -> int:
    """Return how many frames of a movie can be played, whose end may be missing."""
    if path.suffix == ".gif":
        return len(gif_of(path).delays)
    return len(frames_of(path, decode=True).starts)


def _into(target: Path, write: Callable[[Path], None]) -> None:
    """Let a file be written, and give it its name when it is on the disk."""
    temporary = temporary_beside(target).with_suffix(target.suffix)
    try:
        write(temporary)
        fsync_path(temporary)
        os.replace(temporary, target)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:
            raise OSError(error.errno, os.strerror(error.errno), str(target)) from None
        raise


def _new_beside(target: Path, suffix: str) -> Path:
    """Make an empty file for the frames of a movie: ``pattern.partial.mp4``, or a number more.

    What a killed process left is somebody's beginning of a movie, and is not overwritten.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for number in range(1, 10_000):
        middle = "partial" if number == 1 else f"partial-{number}"
        path = target.with_name(f"{target.stem}.{middle}{suffix}")
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            return path
    raise StateError(f"{target.parent} holds too many beginnings of {target.name}; remove some")
