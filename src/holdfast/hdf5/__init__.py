"""The append file: rows journalled as they come, checkpointed into HDF5, read while written.

This is the only room that imports h5py. How it works and why stands in
``design/007-checkpoint.md``.
"""

from holdfast.hdf5._chunks import ChunkShape, Compression
from holdfast.hdf5._file import AppendFile, check_options
from holdfast.hdf5._open import closed_on_error
from holdfast.hdf5._recover import Recovered, recover
from holdfast.hdf5._rows import RowType, row_type_of
from holdfast.hdf5._snapshot import AppendReader
from holdfast.hdf5._stream import StreamWriter
from holdfast.hdf5._tiles import Box

__all__ = [
    "AppendFile",
    "AppendReader",
    "Box",
    "ChunkShape",
    "Compression",
    "Recovered",
    "RowType",
    "StreamWriter",
    "check_options",
    "closed_on_error",
    "recover",
    "row_type_of",
]
