"""What is saved into a run before it is launched: kept in memory, and written when it begins."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from holdfast._plain import fields_to_plain
from holdfast._sync import Durability
from holdfast.records import RecordWriter, record_file
from holdfast.run import LogReader
from holdfast.store._data import write_data

RECORDS = "records"


@dataclass(slots=True)
class Pending:
    """Data by name, and rows by table, that wait for their run."""

    data: dict[str, bytes] = field(default_factory=dict)
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def write(self, run: Path, durability: Durability) -> None:
        """Write everything into a run that has begun; what is written is forgotten here."""
        for name in list(self.data):
            write_data(run, name, self.data[name], durability)
            del self.data[name]
        for scope in list(self.rows):
            writer = record_writer(run, scope, durability)
            for row in self.rows.pop(scope):
                writer.append(row)
            writer.close()


def record_writer(run: Path, scope: str, durability: Durability) -> RecordWriter:
    """Return what appends to a table of a run directory, from any process."""
    return RecordWriter(LogReader(run)[f"{RECORDS}/{record_file(scope)}"], durability)


class WaitingWriter(RecordWriter):
    """Appends rows to a table of a run; as long as the run is not launched, it keeps them.

    Parameters
    ----------
    scope : str
        Name of the table.
    directory : callable
        Returns the run directory, None as long as there is none.
    pending : Pending
        Takes the rows until then.
    durability : Durability
        When rows reach the disk.
    """

    def __init__(
        self,
        scope: str,
        directory: Callable[[], Path | None],
        pending: Pending,
        durability: Durability,
    ) -> None:
        super().__init__(Path(record_file(scope)), durability)
        self._scope, self._directory, self._pending = scope, directory, pending
        self._writer: RecordWriter | None = None

    def append(self, values: Mapping[str, Any]) -> None:
        """Append one row, or keep it."""
        if self._writer is None:
            directory = self._directory()
            if directory is None:
                row = fields_to_plain(values, f"record {self._scope!r}")
                self._pending.rows.setdefault(self._scope, []).append(row)
                return
            self._writer = record_writer(directory, self._scope, self._durability)
        self._writer.append(values)
