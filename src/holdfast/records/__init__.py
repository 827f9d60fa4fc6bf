"""Records: a table of rows that may gain columns, one JSON object a line, appended as they come.

A *row* is a set of named values with the time at which it was saved. A *scope* names a table; its
file is ``records/<scope>.jsonl`` of a run. `RecordWriter` appends rows, `Record` gathers one,
`Records` reads them, also while they are being written. See ``design/008-records.md``.
"""

from holdfast.records._line import ENDING, TIMESTAMP, record_file
from holdfast.records._reader import Records
from holdfast.records._writer import Record, RecordWriter

__all__ = ["ENDING", "TIMESTAMP", "Record", "RecordWriter", "Records", "record_file"]
