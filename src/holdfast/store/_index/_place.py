"""Where the file of an index may lie: in the store, or in a cache of this machine.

A database that several hosts have open needs locks that network file systems do not reliably have,
so there, and where the store cannot be written, the index is kept in the user's cache.
"""

import hashlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from holdfast._atomic import create_bytes
from holdfast._filesystem import filesystem
from holdfast._plain import dump_json, load_json
from holdfast._sync import Durability
from holdfast.errors import AlreadyExistsError, FormatError
from holdfast.store._index._schema import VERSION

INDEX = "index.sqlite"
STORE = "store.json"


def places(directory: Path) -> Iterator[Path]:
    """Yield where the index of a store may lie, the best place first."""
    writable = os.access(directory, os.W_OK)
    if writable and not filesystem(directory).is_network:
        yield directory / INDEX
    yield cache_folder() / f"{_key(directory)}.sqlite"


def cache_folder() -> Path:
    """Return the folder of the user's cache for indexes, which need not exist."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # as its specification says
        base = os.path.expanduser("~/.cache")
    return Path(base) / "holdfast" / "index"


def store_uuid(directory: Path) -> str | None:
    """Return what tells a store apart wherever it is moved, made if need be.

    None for a store that has none and cannot be written, or whose file is damaged.
    """
    path = directory / STORE
    try:
        return _read(path)
    except FileNotFoundError:
        pass
    except (FormatError, OSError):
        return None
    made = {"uuid": uuid.uuid4().hex, "format_version": 1}
    try:
        create_bytes(path, dump_json(made), Durability())
        return str(made["uuid"])
    except AlreadyExistsError:  # somebody was faster
        return _read(path)
    except OSError:
        return None


def _read(path: Path) -> str | None:
    meta = load_json(path.read_bytes(), str(path))
    found = meta.get("uuid") if isinstance(meta, dict) else None
    return found if isinstance(found, str) and found.isalnum() else None


def _key(directory: Path) -> str:
    """Return a name for a store's index in the cache.

    It holds the inode, so that a copy, which has the uuid of its original, has an index of its own;
    and the version, so that two versions of Holdfast do not rebuild each other's.
    """
    name = store_uuid(directory)
    if name is None:
        name = hashlib.blake2b(os.fsencode(os.path.realpath(directory)), digest_size=16).hexdigest()
    return f"{name}-{os.stat(directory).st_ino:x}-v{VERSION}"
