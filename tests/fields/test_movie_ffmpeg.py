"""ffmpeg that is missing, found elsewhere, or that refuses."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from holdfast.errors import MissingDependencyError, StateError
from holdfast.fields import MovieStorage
from movies import append_all, decoded, moving, write_movie


def hide_ffmpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    monkeypatch.setenv("PATH", "/nowhere")


def test_what_ffmpeg_says_when_it_refuses_is_in_the_error(tmp_path: Path) -> None:
    movie = MovieStorage(tmp_path / "x.mp4", bare=True)
    too_wide = [np.zeros((20_000, 1))] * 3  # for H.264
    with pytest.raises(StateError, match=r"ffmpeg ended with code .* width"), movie:
        append_all(movie, too_wide)
    assert not (tmp_path / "x.mp4").exists()
    movie.clear()


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
        with MovieStorage(tmp_path / "x.gif", bare=True, write_mode="append") as movie:
            append_all(movie, [moving(3), moving(4)])
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


def test_an_ffmpeg_of_before_its_newer_options_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imageio_ffmpeg import get_ffmpeg_exe

    real = get_ffmpeg_exe()
    old = tmp_path / "ffmpeg"
    old.write_text(
        f"""#!/bin/sh
case " $* " in
*" -version "*) echo "ffmpeg version 4.4.2-0ubuntu1 Copyright"; exit 0;;
*" -fps_mode "*|*" -stats_mux_pre:v "*) echo "Unrecognized option" >&2; exit 1;;
esac
for word; do
  shift
  [ "$word" = -vsync ] && word=-fps_mode  # its name of today
  set -- "$@" "$word"
done
exec "{real}" "$@"
"""
    )
    old.chmod(0o755)
    with monkeypatch.context() as hidden:
        hidden.setenv("IMAGEIO_FFMPEG_EXE", str(old))
        for name, options in (("x.mp4", {}), ("x.mkv", {"codec": "ffv1", "vmax": 40})):
            path = tmp_path / name
            for mode in ("truncate", "append"):
                movie = MovieStorage(path, write_mode=mode, allow_backwards=True, **options)  # type: ignore[arg-type]
                write_movie(movie, 3)
        found = MovieStorage(tmp_path / "x.mkv", write_mode="readonly")
        assert len(list(found)) == 6
        found.close()
    assert len(decoded(tmp_path / "x.mp4")) == 6
