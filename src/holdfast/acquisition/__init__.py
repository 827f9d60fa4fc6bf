"""Messages: timestamped payloads of many sources, put by many processes, kept in archives.

How they are kept, and by whom, stands in ``design/014-messages.md``.
"""

from holdfast.acquisition._assemble import assemble_log_archives
from holdfast.acquisition._live import sources_in
from holdfast.acquisition._logger import DataLogger
from holdfast.acquisition._message import LogMessage, MessageArrays
from holdfast.acquisition._package import LogPackage
from holdfast.acquisition._producer import Producer
from holdfast.acquisition._reader import LogArchiveReader
from holdfast.acquisition._report import SourceReport, report

__all__ = [
    "DataLogger",
    "LogArchiveReader",
    "LogMessage",
    "LogPackage",
    "MessageArrays",
    "Producer",
    "SourceReport",
    "assemble_log_archives",
    "report",
    "sources_in",
]
