"""The objects of a Zarr store of fields: shards, and the metadata that make arrays of them.

Written by the specification of Zarr version 3 and of its ``sharding_indexed`` codec, without the
zarr package: that encodes on threads which are gone when a process exits, and fields are still to
be brought into the store then. Rows of a shard are fields; each of its inner chunks holds some of
them whole, so that a field is read without its neighbours, or tiles of more of them, so that a
series at a point is.
"""

import json
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from holdfast.errors import InvalidInputError, MissingDependencyError
from holdfast.fields._forms import Array

DATA, TIME, ROOT = "data", "time", "zarr.json"
OURS = "holdfast"
VERSION = 1

INNER_BYTES, SHARD_BYTES = 256 << 10, 8 << 20
"""Bytes of an inner chunk and of a shard, where they are not chosen."""

LARGEST_SHARD = 1 << 16
"""Fields in a shard at most, so that a store of tiny ones is committed now and then."""

_ENTRY = struct.Struct("<QQ")
_NOTHING = 2**64 - 1, 2**64 - 1
"""Where an index has no chunk."""

_NAMES = {
    "b1": "bool",
    **{f"{k}{n}": f"{w}{8 * n}" for k, w in (("i", "int"), ("u", "uint")) for n in (1, 2, 4, 8)},
    **{f"f{n}": f"float{8 * n}" for n in (2, 4, 8)},
    **{f"c{n}": f"complex{8 * n}" for n in (8, 16)},
}


@dataclass(frozen=True, slots=True)
class Plan:
    """How fields are laid out in a store.

    Attributes
    ----------
    shape : tuple of int
        Shape of the values of one field.
    dtype : str
        Their dtype, little-endian.
    inner, shard : int
        Fields in an inner chunk and in a shard.
    level : int or None
        Level of Zstandard; None for no compression.
    dims : tuple of str
        Names of the dimensions of a field.
    tile : tuple of int
        Shape of the part of a field that is in an inner chunk.
    """

    shape: tuple[int, ...]
    dtype: str
    inner: int
    shard: int
    level: int | None
    dims: tuple[str, ...]
    tile: tuple[int, ...]

    @classmethod
    def choose(
        cls,
        shape: Sequence[int],
        dtype: "np.dtype[Any]",
        dims: Sequence[str],
        *,
        chunks: int | None,
        tile: Sequence[int] | None,
        shards: int | None,
        level: int | None,
    ) -> "Plan":
        """Return a plan; `chunks` and `shards` are fields in each, chosen by their size if None.

        Raises
        ------
        InvalidInputError
            If there is no such dtype in Zarr, a shard holds no whole number of chunks, or tiles do
            not fit the fields.
        """
        little = check_dtype(dtype).newbyteorder("<")
        size = max(math.prod(shape) * little.itemsize, 1)
        inner = chunks or min(max(INNER_BYTES // size, 1), LARGEST_SHARD)
        if shards is None:
            shards = inner * max(min(SHARD_BYTES // size, LARGEST_SHARD) // inner, 1)
        check_whole(inner, shards)
        whole = tuple(max(cells, 1) for cells in shape)
        tile = whole if tile is None else tuple(tile)
        if len(tile) != len(shape) or any(t > w for t, w in zip(tile, whole, strict=True)):
            raise InvalidInputError(
                f"chunks={(inner, *tile)} do not fit fields of shape {tuple(shape)}: give a number "
                f"of fields, then for each dimension at most its length, up to {(inner, *whole)}"
            )
        return cls(tuple(shape), little.str, inner, shards, level, tuple(dims), tile)

    @property
    def row(self) -> "np.dtype[Any]":
        """The dtype of a row of the journal: a time and a field."""
        fields: Any = [(TIME, "<f8"), (DATA, self.dtype, self.shape)]
        dtype: np.dtype[Any] = np.dtype(fields)
        return dtype

    @classmethod
    def parse(cls, described: Mapping[str, Any]) -> "Plan":
        """Read what `describe` gave; at first plans had no tiles."""
        lists = {name: tuple(described[name]) for name in ("shape", "dims")}
        tile = tuple(described.get("tile") or (max(size, 1) for size in lists["shape"]))
        return cls(**{**described, **lists, "tile": tile})

    def describe(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)

    # Metadata

    @property
    def _codecs(self) -> list[dict[str, Any]]:
        order: dict[str, Any] = {"name": "bytes", "configuration": {"endian": "little"}}
        if self.level is None:
            return [order, {"name": "crc32c"}]
        return [order, {"name": "zstd", "configuration": {"level": self.level, "checksum": True}}]

    def arrays(
        self, rows: int, coordinates: Mapping[str, Array], attributes: Mapping[str, Any]
    ) -> dict[str, dict[str, Any]]:
        """Return the metadata of all arrays, for a store with so many fields.

        Parameters
        ----------
        rows : int
            Fields in the store.
        coordinates : mapping
            Values along dimensions.
        attributes : mapping
            Attributes of the array of values.
        """
        sharding = {
            "name": "sharding_indexed",
            "configuration": {
                "chunk_shape": [self.inner, *self.tile],
                "codecs": self._codecs,
                "index_codecs": [
                    {"name": "bytes", "configuration": {"endian": "little"}},
                    {"name": "crc32c"},
                ],
                "index_location": "end",
            },
        }
        chunk = [self.shard, *self._padded]
        found = {
            DATA: _array(
                (rows, *self.shape),
                chunk,
                self.dtype,
                [sharding],
                (TIME, *self.dims),
                attributes,
            ),
            TIME: _array((rows,), [self.shard], "<f8", self._codecs, (TIME,), {}),
        }
        for name, values in coordinates.items():
            found[name] = _array(values.shape, values.shape, "<f8", self._codecs, (name,), {})
        return found

    # Content

    def objects(
        self, number: int, rows: Array, before: bytes | None = None
    ) -> Iterator[tuple[str, bytes]]:
        """Yield keys and contents of the objects of a shard, from its rows of the journal.

        `before` is the object that the shard's takes the place of, with the first of these rows.
        """
        yield self.key(DATA, number), self._shard(rows[DATA], before)
        times = np.zeros(self.shard, "<f8")
        times[: len(rows)] = rows[TIME]
        yield self.key(TIME, number), self._encode(times.tobytes())

    def key(self, name: str, number: int) -> str:
        """Return the key of the object of an array that belongs to a shard."""
        return f"{name}/c/{number}{'/0' * len(self.shape) if name == DATA else ''}"

    def coordinate(self, name: str, values: Array) -> tuple[str, bytes]:
        """Return key and content of the object of a coordinate."""
        return f"{name}/c/0", self._encode(values.astype("<f8").tobytes())

    def _shard(self, fields: Array, before: bytes | None) -> bytes:
        """Return a shard: what was in the one before stays where it is, for who has its index.

        Its superseded chunks go when they have grown to the size of all values.
        """
        parts, index, known = [b""], [], Shard(before, self._count)
        if len(known.body) > 2 * self._nbytes:
            known = Shard(None, self._count)
        at = len(known.body)
        for number, chunk in enumerate(self._chunks(fields)):
            content = self._encode(chunk)
            place = known.place(number)
            if known.at(place) == content:
                index.append(place)
                continue
            parts.append(content)
            index.append((at, len(content)))
            at += len(content)
        index += [_NOTHING] * (self._count - len(index))
        table = b"".join(_ENTRY.pack(*place) for place in index)
        return b"".join([known.body, *parts, table, _crc(table)])

    def _chunks(self, fields: Array) -> Iterator[bytes]:
        """Yield the inner chunks of some fields, in the order of a shard's index."""
        for start in range(0, len(fields), self.inner):
            part = fields[start : start + self.inner]
            whole = (self.inner, *self._padded)
            if part.shape != whole:
                padded = np.zeros(whole, part.dtype)
                padded[tuple(slice(size) for size in part.shape)] = part
                part = padded
            for place in np.ndindex(*self._tiles):
                corner = zip(place, self.tile, strict=True)
                inside = tuple(slice(n * size, (n + 1) * size) for n, size in corner)
                yield np.ascontiguousarray(part[(slice(None), *inside)]).tobytes()

    @property
    def _tiles(self) -> tuple[int, ...]:
        """How many tiles there are along each dimension of a field."""
        return tuple(-(-max(n, 1) // t) for n, t in zip(self.shape, self.tile, strict=True))

    @property
    def _padded(self) -> tuple[int, ...]:
        """The shape of whole tiles that hold a field."""
        return tuple(n * t for n, t in zip(self._tiles, self.tile, strict=True))

    @property
    def _count(self) -> int:
        return self.shard // self.inner * math.prod(self._tiles)

    @property
    def _nbytes(self) -> int:
        return self.shard * math.prod(self._padded) * np.dtype(self.dtype).itemsize

    def _encode(self, content: bytes) -> bytes:
        if self.level is None:
            return content + _crc(content)
        from numcodecs.zstd import Zstd  # type: ignore[import-untyped]  # it has no types

        return bytes(Zstd(self.level, checksum=True).encode(content))


def _crc(content: bytes) -> bytes:
    import google_crc32c

    return struct.pack("<I", google_crc32c.value(content))


class Shard:
    """The chunks of a shard as it is in a store; none where there is no whole one.

    Attributes
    ----------
    body : bytes
        All but the index.
    """

    def __init__(self, content: bytes | None, count: int) -> None:
        size = count * _ENTRY.size
        self.body, table = b"", b""
        if content is not None and len(content) >= size + 4:
            end = len(content) - size - 4
            if _crc(content[end:-4]) == content[-4:]:
                self.body, table = content[:end], content[end:-4]
        self._table = table

    def place(self, number: int) -> tuple[int, int]:
        """Return offset and length of a chunk."""
        if not self._table:
            return _NOTHING
        offset, length = _ENTRY.unpack_from(self._table, number * _ENTRY.size)
        return offset, length

    def at(self, place: tuple[int, int]) -> bytes:
        """Return what is at a place."""
        return b"" if place == _NOTHING else self.body[place[0] : sum(place)]


def check_dtype(dtype: "np.dtype[Any]") -> "np.dtype[Any]":
    """Refuse what Zarr has no name for.

    Raises
    ------
    InvalidInputError
        If it is such a dtype.
    """
    if dtype.str[1:] not in _NAMES:
        raise InvalidInputError(f"{dtype} values cannot be stored in Zarr; convert them")
    return dtype


def check_whole(inner: int, shards: int) -> None:
    """Refuse shards that hold no whole number of chunks.

    Raises
    ------
    InvalidInputError
        If they do not.
    """
    if shards % inner:
        raise InvalidInputError(
            f"a shard of {shards} fields holds no whole number of chunks of {inner}; choose "
            f"shards={shards // inner * inner + inner}"
        )


def check_installed() -> None:
    """Refuse to go on without what Zarr stores need.

    Raises
    ------
    MissingDependencyError
        If the zarr package, which brings it, is not installed.
    """
    try:
        import google_crc32c
        import numcodecs.zstd  # type: ignore[import-untyped]  # noqa: F401 - whether it is there
    except ImportError:
        raise MissingDependencyError(
            "ZarrStorage needs zarr 3; install it with: pip install 'holdfast[fields]'"
        ) from None
    del google_crc32c


def _array(
    shape: Sequence[int],
    chunk: Sequence[int],
    dtype: str,
    codecs: Sequence[Mapping[str, Any]],
    dims: Sequence[str],
    attributes: Mapping[str, Any],
) -> dict[str, Any]:
    kind = dtype[1]
    fill: Any = [0.0, 0.0] if kind == "c" else False if kind == "b" else 0
    regular = {"chunk_shape": [max(size, 1) for size in chunk]}
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": _NAMES[dtype[1:]],
        "chunk_grid": {"name": "regular", "configuration": regular},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": float(fill) if kind == "f" else fill,
        "codecs": list(codecs),
        "attributes": dict(attributes),
        "dimension_names": list(dims),
        "storage_transformers": [],
    }


def group(arrays: Mapping[str, Any], attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata of the store itself, which repeat those of its arrays."""
    return {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": dict(attributes),
        "consolidated_metadata": {
            "kind": "inline",
            "must_understand": False,
            "metadata": dict(arrays),
        },
    }


def dumped(metadata: Mapping[str, Any]) -> bytes:
    """Return metadata as an object."""
    return json.dumps(metadata, indent=2).encode()
