"""Archives with one member for each message, as ataraxis writes them."""

import io
import json
import os
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from holdfast._sync import fsync_path
from holdfast.acquisition._archive import archive_path, fsync_file, known_blocks, open_archive
from holdfast.acquisition._columns import Messages
from holdfast.acquisition._runs import Source
from holdfast.errors import InvalidInputError


def write_members(
    folder: Path, workshop: Path, sources: Iterable[Source], present: Iterable[int]
) -> None:
    """Write the archives of some sources anew, with a member ``<id>_<time>`` for each message.

    Messages of one source and time get ``_2``, ``_3`` … behind the time.

    Parameters
    ----------
    folder : Path
        The logger's folder.
    workshop : Path
        Where archives are made.
    sources : iterable of int or str
        Whose archives; those that have this form stay as they are.
    present : iterable of int
        Blocks and entries that are still there.

    Raises
    ------
    InvalidInputError
        If a source has a name or a number above 255, which an entry cannot hold.
    OSError
        If the disk is full; archives that are not written yet keep their columns.
    """
    for source in sources:
        path = archive_path(folder, source)
        if known_blocks(path)[1]:
            continue
        if not isinstance(source, int) or source > 255:
            raise InvalidInputError(
                f"source {source!r} has no place in layout='messages', which holds 0 to 255; "
                "assemble with layout='columns'"
            )
        messages = open_archive(path)
        messages.check(0, len(messages.times))
        temporary = workshop / f"members-{source}.npz"
        _write(temporary, source, messages, _comment(path, messages, set(present)))
        fsync_file(temporary)
        os.replace(temporary, path)
    fsync_path(folder)


def _comment(path: Path, messages: Messages, present: set[int]) -> bytes:
    """Return what a later assembly has to know: recordings, and blocks that are still there."""
    blocks = [pair for pair in messages.blocks.tolist() if pair[0] in present]
    fields = {"recordings": messages.recordings.tolist(), "blocks": blocks}
    comment = json.dumps({"holdfast": fields}, separators=(",", ":")).encode()
    if len(comment) > zipfile.ZIP_MAX_COMMENT:
        raise InvalidInputError(
            f"{path} cannot hold which {len(blocks)} blocks are in it with layout='messages'; let "
            "assembly remove its sources, or use layout='columns'"
        )
    return comment


def _write(path: Path, source: Source, messages: Messages, comment: bytes) -> None:
    seen: dict[int, int] = {}
    with zipfile.ZipFile(path, "x") as archive:
        archive.comment = comment
        offsets = messages.offsets.tolist()
        for row, time in enumerate(messages.times.tolist()):
            content = messages.payload[offsets[row] : offsets[row + 1]]
            count = seen[time] = seen.get(time, 0) + 1
            name = f"{source:03d}_{time:020d}" + (f"_{count}" if count > 1 else "")
            head = np.frombuffer(bytes([int(source)]) + time.to_bytes(8, "little"), np.uint8)
            file = io.BytesIO()
            np.save(file, np.concatenate([head, content]))
            archive.writestr(f"{name}.npy", file.getvalue())
