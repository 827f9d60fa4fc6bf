"""One run in one directory: `Logbook` writes it, `LogReader` reads it, neither needs a server.

The layout of a run directory, format version 1, is described in ``design/001-run-directory.md``.
"""

from holdfast.run._failure import SIGTERM_REASON
from holdfast.run._layout import METADATA, run_folder, run_id_of
from holdfast.run._log import LogLine
from holdfast.run._logbook import Logbook
from holdfast.run._messages import MESSAGES
from holdfast.run._metadata import state_of, writer_of
from holdfast.run._open import abandon_run, fail_run, open_run
from holdfast.run._pickles import check_trust, unpickle
from holdfast.run._reader import LogReader
from holdfast.run._summary import facts_of

__all__ = [
    "MESSAGES",
    "METADATA",
    "SIGTERM_REASON",
    "LogLine",
    "LogReader",
    "Logbook",
    "abandon_run",
    "check_trust",
    "facts_of",
    "fail_run",
    "open_run",
    "run_folder",
    "run_id_of",
    "state_of",
    "unpickle",
    "writer_of",
]
