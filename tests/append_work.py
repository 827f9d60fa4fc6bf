"""A scripted use of an append file, and what must be found of it after a crash."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from holdfast.hdf5 import AppendFile, AppendReader, RowType, recover

SMALL = RowType(np.dtype("f8"))
VECTOR = RowType(np.dtype("i4"), (5,))
LARGE = RowType(np.dtype("f8"), (52, 50))
TILED = RowType(np.dtype("i4"), (3, 5))
RECORD = RowType(np.dtype([("a", "i8"), ("b", "f4", (3,))]))


@dataclass
class Moment:
    """What was accepted, and what had been asked for, at one moment."""

    accepted: dict[str, int] = field(default_factory=dict)
    attributes: dict[tuple[str, str], Any] = field(default_factory=dict)


@dataclass
class Workload:
    """Does the script, keeping account of it."""

    path: Path
    rows: dict[str, list[bytes]] = field(default_factory=dict)
    kinds: dict[str, RowType] = field(default_factory=dict)
    accepted: dict[str, int] = field(default_factory=dict)
    asked: dict[tuple[str, str], Any] = field(default_factory=dict)
    attributes: dict[tuple[str, str], Any] = field(default_factory=dict)
    safe: Moment = field(default_factory=Moment)

    def now(self) -> Moment:
        return Moment(dict(self.accepted), dict(self.attributes))

    def add(self, file: AppendFile, name: str, kind: RowType, count: int = 1) -> None:
        """Append rows whose bytes tell stream and number, one by one or as a block."""
        rows = self.rows.setdefault(name, [])
        self.kinds[name] = kind
        first = len(rows)
        block = np.stack([_row(name, kind, first + n) for n in range(count)])
        rows.extend(row.tobytes() for row in block)
        try:
            if count == 1:
                file.append(name, block[0])
            else:
                file.extend(name, block)
        except OSError:
            # A block may have been added in part; what is there is asked for by the next checks.
            if count == 1:
                del rows[first:]
            raise
        self.accepted[name] = len(rows)

    def mark(self, file: AppendFile, name: str, key: str, value: Any) -> None:
        self.asked[name, key] = value
        file.set_attribute(name, key, value)
        self.attributes[name, key] = value

    def synced(self, moment: Moment) -> None:
        self.safe = moment

    def sync(self, file: AppendFile) -> None:
        moment = self.now()
        file.sync()
        self.safe = moment

    def checkpoint(self, file: AppendFile) -> None:
        moment = self.now()
        file.checkpoint()
        del moment  # a checkpoint promises nothing about rows that only the journal holds

    def close(self, file: AppendFile) -> None:
        moment = self.now()
        file.close()
        self.safe = moment

    def run(self) -> None:
        """Names that come late, attributes, small and large rows, filters, rotations, reopening."""
        with AppendFile(self.path, interval=3600, journal_bytes=96 << 10) as file:
            file.stream("packed", VECTOR, compression="gzip")
            file.stream("tiled", TILED, compression="gzip", chunk_rows=3, tile=(2, 3))
            file.stream("cut", TILED, chunk_rows=2, tile=(3, 4))
            for n in range(4):
                self.add(file, "small", SMALL)
                self.add(file, "packed", VECTOR, 70)
                if n == 1:
                    self.mark(file, "small", "units", "J")
                    self.checkpoint(file)
            self.add(file, "large", LARGE)
            self.sync(file)
            self.mark(file, "late/group", "note", 1.5)
            self.add(file, "late/record", RECORD, 3)
            self.checkpoint(file)
            for _ in range(5):
                self.add(file, "large", LARGE)
                self.add(file, "small", SMALL, 150)
            self.checkpoint(file)
            self.add(file, "late/record", RECORD)
            self.add(file, "tiled", TILED, 4)
            self.add(file, "cut", TILED, 3)
            self.add(file, "packed", VECTOR, 20)  # behind rows that were carried over
            self.checkpoint(file)
            self.sync(file)
            self.add(file, "packed", VECTOR)
            self.mark(file, "", "title", "a run")
            self.add(file, "small", SMALL)
            self.close(file)
        file = AppendFile(self.path, interval=3600, journal_bytes=96 << 10)
        self.add(file, "small", SMALL, 40)
        self.add(file, "packed", VECTOR, 300)
        self.add(file, "second", SMALL)
        self.add(file, "tiled", TILED, 3)
        self.add(file, "cut", TILED)
        self.checkpoint(file)
        self.add(file, "packed", VECTOR)
        self.mark(file, "second", "units", "s")
        self.sync(file)
        self.add(file, "second", SMALL)
        self.close(file)

    # What must be found

    def check(self, path: Path, least: Moment, *, power_lost: bool = False) -> None:
        """Look with a reader, recover, and look with plain h5py."""
        if not path.exists() and not Path(f"{path}-journal").exists():
            assert not any(least.accepted.values())
            return
        reader = AppendReader(path)
        assert not reader.live
        found = {}
        for name in reader.names:
            length = reader.length(name)
            found[name] = self._as_made(name, reader.read(name, 0, length))
        self._check_counts(found, least)
        for (name, key), value in least.attributes.items():
            assert reader.attributes(name)[key] == value
        done = recover(path)
        if power_lost:  # of pages that no sync had reached, a header may be missing
            assert all("no valid header" in problem for problem in done.problems), done.problems
        else:
            assert done.problems == []
            assert not Path(f"{path}-journal").exists()
        assert not (path.exists() and recover(path).anything)
        if path.exists():
            self._check_plain(path, found, least)
        else:
            assert not any(found.values())

    def _check_plain(self, path: Path, found: dict[str, int], least: Moment) -> None:
        with h5py.File(path) as file:
            for name, count in found.items():
                if count:
                    assert self._as_made(name, file[name][:]) == count
            for (name, key), value in least.attributes.items():
                assert file[name or "/"].attrs[key] == value
            for (name, key), value in self.asked.items():
                if (name or "/") in file and key in file[name or "/"].attrs:
                    assert file[name or "/"].attrs[key] == value

    def _as_made(self, name: str, rows: Any) -> int:
        made = self.rows[name]
        assert len(rows) <= len(made)
        assert np.ascontiguousarray(rows).tobytes() == b"".join(made[: len(rows)]), name
        return len(rows)

    @staticmethod
    def _check_counts(found: dict[str, int], least: Moment) -> None:
        for name, count in least.accepted.items():
            assert found.get(name, 0) >= count, name


def _row(name: str, kind: RowType, number: int) -> Any:
    seed = sum(name.encode()) * 1_000_003 + number
    content = np.random.default_rng(seed).integers(1, 100, kind.nbytes, dtype=np.uint8).tobytes()
    return np.frombuffer(content, kind.dtype).reshape(kind.shape)[()]
