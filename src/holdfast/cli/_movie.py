"""``holdfast movie``: the fields of a file as a movie."""

import os
from pathlib import Path
from typing import Any

import click

from holdfast._text import visible
from holdfast.cli._fields import open_fields
from holdfast.errors import NotFoundError


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The movie; FILE.mp4.")
@click.option("--fps", type=float, help="Frames a second.")
@click.option("--dpi", type=float, help="Dots an inch.")
@click.option("--cmap", help="Colours, by matplotlib's name.")
@click.option("--limits", nargs=2, type=float, help="Values of the first and last colour.")
@click.option("--title", help="Text above each frame; may hold {time}.")
@click.option("--bare", is_flag=True, default=None, help="The image alone, without axes.")
@click.option("--codec", default="auto", help="Such as h264, vp9, gif, or ffv1 for an archive.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def movie(file: Path, output: Path | None, quiet: bool, **options: Any) -> None:
    """Make a movie of the fields in FILE.

    FILE is an HDF5 file of fields, a Zarr store or an archive movie; it may be being written. The
    movie is .mp4, .webm, .gif, .mov, .m4v or .mkv.
    """
    target = Path(os.path.abspath(file)).with_suffix(".mp4") if output is None else output
    with open_fields(file) as storage:
        if not len(storage):
            raise NotFoundError(f"{file} holds no field; see holdfast show")
        given = {name: value for name, value in options.items() if value is not None}
        made = storage.movie(target, progress=not quiet, **given)
        click.echo(f"{visible(str(made))}: {len(storage)} frames")
