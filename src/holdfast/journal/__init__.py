"""Rows in mapped files, kept the instant they are published: format, writer, reader.

What is in the files and why stands in ``design/006-journal.md``.
"""

from holdfast.journal._block import Block
from holdfast.journal._format import PAGE, generation_number, journal_folder, unpack_generation
from holdfast.journal._generation import MAPPED_ROW_BYTES, can_map
from holdfast.journal._lock import WriterLock, is_empty, remove_empty, writer_lives
from holdfast.journal._reader import Journal, read_journal
from holdfast.journal._segment import Segment
from holdfast.journal._writer import JournalWriter, is_held

__all__ = [
    "MAPPED_ROW_BYTES",
    "PAGE",
    "Block",
    "Journal",
    "JournalWriter",
    "Segment",
    "WriterLock",
    "can_map",
    "generation_number",
    "is_empty",
    "is_held",
    "journal_folder",
    "read_journal",
    "remove_empty",
    "unpack_generation",
    "writer_lives",
]
