"""Streams: named sequences of rows appended to one HDF5 file, kept at once, read while written.

`Streams` writes them (and `H5Logger`, with the calls of the h5logger package), `StreamsReader`
reads them as a mapping of names to `Stream` objects that behave like HDF5 datasets.
"""

from holdfast.streams._h5logger import H5Logger, h5logger
from holdfast.streams._reader import Stream, StreamsReader
from holdfast.streams._writer import Streams

__all__ = ["H5Logger", "Stream", "Streams", "StreamsReader", "h5logger"]
