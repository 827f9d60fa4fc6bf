"""A movie of what a storage has, by a `MovieStorage` of the same colours for all fields."""

import os
from pathlib import Path
from typing import Any

from holdfast.errors import InvalidInputError, StateError
from holdfast.fields._movie import MovieStorage
from holdfast.fields._pictures import Limits, pictures_of
from holdfast.fields._progress import shown
from holdfast.fields._reading import Reading


def make_movie(
    storage: Reading,
    filename: str | os.PathLike[str],
    *,
    progress: bool,
    options: dict[str, Any],
) -> Path:
    """Do what `Looking.movie` says."""
    count = len(storage)
    if not count:
        raise StateError(f"{storage!r} holds no field to make a movie of; append one")
    source = getattr(storage, "filename", None)
    if source is not None and os.path.realpath(source) == os.path.realpath(filename):
        raise InvalidInputError(f"{filename} holds the fields themselves; choose another name")
    movie = MovieStorage(filename, write_mode="truncate", allow_backwards=True, **options)
    if not movie.is_archive and options.get("limits") is None:
        seen = _limits_of_all(storage)
        movie = MovieStorage(
            filename,
            write_mode="truncate",
            allow_backwards=True,
            **{**options, "limits": [limit.pair for limit in seen]},
        )
    try:
        for time, field in shown(storage.items, count, progress):
            movie.append(field, time)
        movie.close()
    except BaseException:
        movie.clear_partial()
        raise
    return movie.filename


def _limits_of_all(storage: Reading) -> list[Limits]:
    form = storage.form
    seen: list[Limits] = []
    for values in storage.frames(range(len(storage))):
        pictures = pictures_of(form, values)
        seen = seen or [Limits() for _ in pictures]
        for limit, picture in zip(seen, pictures, strict=True):
            limit.see(picture.values)
    return seen
