"""`MovieStorage`: fields over time as a movie, for eyes or, in a lossless codec, as data."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast.errors import HoldfastError, InvalidInputError, StateError
from holdfast.fields._base import StorageBase, Stored, WriteMode
from holdfast.fields._counter import Counter
from holdfast.fields._existing import Existing, existing_archive, existing_rendering
from holdfast.fields._exit import closed_at_exit, no_longer_open
from holdfast.fields._forms import Array, Layout
from holdfast.fields._frames import FrameReader, stamp_of
from holdfast.fields._making import Making, making
from holdfast.fields._recording import Recording


class MovieStorage(StorageBase):
    """Makes a movie of fields while they are appended: a rendering, or an archive.

    A *rendering* is for eyes: each field is drawn with axes, colours and the time as title. An
    *archive* is for data: values between `vmin` and `vmax` are rounded to 8 or 16 bits, kept in the
    lossless codec FFV1, and read back with their grid and times. One is asked for by
    ``codec="ffv1"``, by one of the arguments from `vmin` to `write_times`, or, where no argument
    asks for a rendering, by a name that ends in ``.mkv``, ``.avi`` or ``.mov``.

    While it is written, a movie ``x.mp4`` is ``x.partial.mp4``, which plays at every moment, after
    a kill too. It gets its name at `end_writing`, `close` or the exit of the process. A movie that
    is there stays until then, and where no frame was written.

    Parameters
    ----------
    filename : path
        The movie; its ending chooses the container: ``.mp4``, ``.webm``, ``.gif``, ``.mov``,
        ``.m4v``, ``.mkv``; of archives ``.mkv``, ``.avi``, ``.mov``, ``.mp4``.
    movie_writer : {"auto", "ffmpeg", "pillow"}
        What writes it. Pillow writes gifs, and ``auto`` takes it for them; ffmpeg writes all.
    fps : float, optional
        Frames a second; 10, of archives 25.
    dpi : float, optional
        Dots an inch of a rendering, whose pictures are 6.4 by 4.8 inches each; 100.
    cmap : str or matplotlib.colors.Colormap, optional
        Colours of images.
    limits : (float, float) or sequence of them, optional
        Values of the first and last colour, for all pictures or each; else those seen so far.
    title : str, bool or callable, optional
        ``True`` shows the time; a text may hold ``{time}``; a function of the time returns a text.
    bare : bool, optional
        Whether a frame is the image alone, each cell a square of pixels, without axes or title.
    codec : str
        ``h264``, ``h265``, ``vp9``, ``gif``, ``ffv1``; ``auto`` follows the ending.
    bitrate : float
        Kilobits a second of a rendering; if not positive, quality is constant.
    progress : bool
        Whether to show how many frames there are, on standard error.
    vmin, vmax : float or sequence of float, optional
        Limits of an archive, for all or for each field of collections; 0 and 1. What is beyond is
        stored as the nearest, with a `HoldfastWarning`.
    bits_per_channel : {16, 8}, optional
        Steps between the limits of an archive: 65535 or 255.
    video_format : str, optional
        Pixel format of an archive, by py-pde's name; ``auto`` fits the number of components.
    write_times : bool, optional
        Whether the times of an archive are also written to ``<filename>.times``, as text.
    loglevel : str, optional
        Accepted for py-pde's sake; errors of ffmpeg are in the exceptions.
    info, write_mode, allow_backwards
        As `StorageBase` takes them. A movie that is continued keeps its size and codec, and an
        archive its limits.

    Raises
    ------
    InvalidInputError
        If an argument cannot be, or arguments of a rendering and of an archive are mixed.

    Examples
    --------
    >>> movie = MovieStorage("waves.mp4", fps=10, dpi=100)
    >>> movie.is_writing, len(movie)
    (False, 0)
    """

    def __init__(
        self,
        filename: str | os.PathLike[str],
        *,
        movie_writer: str | None = None,
        fps: float | None = None,
        dpi: float | None = None,
        cmap: Any = None,
        limits: Any = None,
        title: Any = None,
        bare: bool | None = None,
        codec: str = "auto",
        bitrate: float = -1,
        progress: bool = False,
        vmin: Any = None,
        vmax: Any = None,
        bits_per_channel: int | None = None,
        video_format: str | None = None,
        write_times: bool | None = None,
        loglevel: str | None = None,
        info: Mapping[str, Any] | None = None,
        write_mode: WriteMode = "truncate_once",
        allow_backwards: bool = False,
    ) -> None:
        super().__init__(info=info, write_mode=write_mode, allow_backwards=allow_backwards)
        del loglevel
        self._path = Path(os.path.abspath(filename))
        looks = {
            "movie_writer": movie_writer,
            "dpi": dpi,
            "cmap": cmap,
            "limits": limits,
            "title": title,
            "bare": bare,
        }
        data = {
            "vmin": vmin,
            "vmax": vmax,
            "bits_per_channel": bits_per_channel,
            "video_format": video_format,
            "write_times": write_times,
        }
        self._making: Making = making(self._path, codec, fps, bitrate, looks, data)
        self._recording: Recording | None = None
        self._reader: FrameReader | None = None
        self._times: list[float] = []
        self._whole = 0
        self._seen: tuple[Any, list[float]] = (None, [])
        self._counter = Counter(self._path.name) if progress else None

    @property
    def filename(self) -> Path:
        """The movie's path."""
        return self._path

    @property
    def is_archive(self) -> bool:
        """Whether the movie can be read back as data."""
        return self._making.archive

    @property
    def partial(self) -> Path | None:
        """The file that is being written, which plays; None when there is none."""
        return None if self._recording is None else self._recording.partial

    # Writing

    def _begin(self, layout: Layout, *, truncate: bool) -> None:
        self._let_go_of_reader()
        continues = not truncate and self._path.exists()
        if self._recording is not None and not truncate:
            return
        if self._path.is_dir():
            raise InvalidInputError(f"{self._path} is a folder; choose another name for the movie")
        there = self._existing() if continues else None
        coding = self._making.begin(layout, self.info, there)
        if self._recording is not None:
            self._recording.abandon()
        self._times = [] if there is None else there.times
        self._whole = len(self._times)
        self._recording = Recording(
            self._path,
            coding,
            lambda: self._making.tags(self._times),
            continues=continues,
            frames=self._whole if self._making.archive and continues else None,
        )
        closed_at_exit(self)

    def _append_data(self, data: Array, time: float) -> None:
        recording = self._recording
        if recording is None:
            raise AssertionError
        frame, size = self._making.frame(data, time)
        try:
            recording.write(frame, size, self._making.note(time))
        except (OSError, HoldfastError):
            del self._times[self._whole + recording.kept :]
            raise
        self._times.append(time)
        if self._counter is not None:
            self._counter.show(len(self._times), time)

    def _end(self) -> None:
        if self._counter is not None:
            self._counter.stop()
        if self._recording is not None:
            self._finish(self._recording)
            self._recording = None
        no_longer_open(self)

    def _finish(self, recording: Recording) -> None:
        self._making.update(self.info)
        try:
            recording.finish()
        except (OSError, HoldfastError):
            del self._times[self._whole + recording.kept :]
            raise
        if not recording.continues:
            return  # no frame was written, and a movie that is there is another
        self._whole = len(self._times)
        if self._path.exists():
            self._seen = (stamp_of(self._path), self._times)
        self._making.finished(self._path, self._times)

    def _erase(self) -> None:
        self._let_go_of_reader()
        if self._recording is not None:
            self._recording.abandon()
            self._recording.continues = False
        self._path.unlink(missing_ok=True)
        self._times, self._whole = [], 0

    def close(self) -> None:
        """Finish the movie, and let go of files; does nothing the second time.

        Raises
        ------
        OSError
            If the disk is full. What has been written can be played, and the call be repeated.
        """
        super().close()
        self._let_go_of_reader()

    def clear_partial(self) -> None:
        """Forget what has been written since the movie was last whole, and let go of files."""
        if self._recording is not None:
            self._recording.abandon()
            self._recording = None
        self._is_writing = False
        self.close()
        no_longer_open(self)

    # Reading

    def _where(self) -> str:
        return repr(str(self._path))

    def _stored(self) -> Stored | None:
        if not self._making.archive or not self._path.exists():
            return None
        archive = self._open_reader().archive
        return Stored(archive.info, archive.shape, archive.dtype)

    def _read_times(self) -> npt.NDArray[np.float64]:
        self._refresh()
        return np.array(self._times, np.float64)

    def _refresh(self) -> None:
        """Take in a movie that was replaced since, where this storage does not write it."""
        if self._recording is not None:
            return
        stamp = stamp_of(self._path) if self._path.exists() else None
        if stamp != self._seen[0]:
            self._seen = (stamp, [] if stamp is None else self._existing().times)
        self._times = self._seen[1]

    def _existing(self) -> Existing:
        """Return what the movie that is there tells of itself."""
        if self._making.archive:
            return existing_archive(self._path, self._open_reader().archive)
        return existing_rendering(self._path)

    def _last_time(self) -> float | None:
        latest = super()._last_time()
        return None if latest is None or math.isnan(latest) else latest

    @property
    def layout(self) -> Layout:
        """Shape, dtype and form of the fields; a `StateError` where they are not known."""
        self._load()
        if self._layout is None and len(self):
            self._require_archive()
        return super().layout

    def _row(self, index: Any) -> int:
        self._require_archive()
        return super()._row(index)

    def _require_archive(self) -> None:
        if not self._making.archive:
            raise StateError(
                f"{self._path} is a rendering, from which no values can be read; read them from "
                "another storage, or write an archive, and open it with codec='ffv1'"
            )

    def _read_data(self, start: int, stop: int) -> Array:
        self._require_archive()
        if self._recording is not None:
            self._finish(self._recording)  # the next field goes on from there
        if stop <= start:
            return self._nothing()
        reader = self._open_reader()
        return np.stack([reader.read(number) for number in range(start, stop)])

    def _open_reader(self) -> FrameReader:
        if self._reader is None or self._reader.stamp != stamp_of(self._path):
            self._let_go_of_reader()
            self._reader = FrameReader(self._path)
        return self._reader

    def _let_go_of_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
