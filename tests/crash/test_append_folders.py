"""Power losses that keep any part of the entries of folders, while files are replaced, mended."""

import os
import random
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import pytest

from holdfast.errors import MissingFileError
from holdfast.hdf5 import AppendFile, AppendReader, _engine, recover
from holdfast.hdf5._open import no_longer_open
from holdfast.testing.faults import Call, Faults, injected
from lossy_disk import LossyDisk

FILE = 1000
"""Rows of one file have numbers from a multiple of this on, so that files are told apart."""


@dataclass
class Work:
    """Writes files at one path, one after the other, and knows how many rows must be found."""

    path: Path
    least: dict[int, int] = field(default_factory=dict)
    most: dict[int, int] = field(default_factory=dict)
    first: int = 0
    before: int = 0

    def begin(self, first: int, mode: str) -> AppendFile:
        if mode == "w":
            self.before, self.first = self.first, first
            self.least[self.before] = 0  # it is being deleted: any first part may be left
        self.most.setdefault(first, 0)
        self.least.setdefault(first, 0)
        return AppendFile(self.path, mode, interval=3600, journal_bytes=16 << 10)  # type: ignore[arg-type]

    def add(self, file: AppendFile, count: int) -> None:
        for _ in range(count):
            number = self.most[self.first]
            self.most[self.first] += 1
            file.append("x", row(self.first + number))

    def synced(self) -> None:
        self.least[self.first] = self.most[self.first]

    def close(self, file: AppendFile) -> None:
        file.close()
        self.synced()

    def kill(self, file: AppendFile) -> None:
        """Leave what a kill of the process would."""
        file._engine.run(file._engine.checkpointer.close)
        file._engine.journal.close(keep=True)
        file._engine._thread.join()
        file._engine._closed = file._engine.ended = True
        no_longer_open(file)


def row(number: int) -> np.ndarray:
    return np.full(300, number, "f8")


def write_files(work: Work) -> None:
    """Write files in all ways: begun, replaced, killed, replaced after the kill, recovered."""
    file = work.begin(FILE, "w")
    work.add(file, 9)
    file.checkpoint()
    work.add(file, 4)
    file.checkpoint()
    work.add(file, 1)
    file.sync()
    work.synced()
    work.add(file, 1)
    work.kill(file)
    file = work.begin(2 * FILE, "w")
    work.add(file, 3)
    file.sync()
    work.synced()
    work.add(file, 12)
    file.checkpoint()
    work.add(file, 12)
    work.kill(file)
    recover(work.path)
    work.synced()
    file = work.begin(2 * FILE, "a")
    work.add(file, 5)
    work.close(file)
    file = work.begin(3 * FILE, "w")
    work.add(file, 20)
    file.checkpoint()
    work.add(file, 2)
    file._engine.checkpointer._rotate()
    work.add(file, 7)
    file.sync()
    work.synced()
    work.kill(file)
    file = work.begin(4 * FILE, "w")
    file.append("another", 1.5)
    work.add(file, 12)
    file.checkpoint()
    work.add(file, 1)
    work.kill(file)
    file = work.begin(4 * FILE, "a")
    work.add(file, 12)
    file.append("another", 1.5)
    file.checkpoint()
    work.close(file)


def check(path: Path, least: dict[int, int], most: dict[int, int], first: int) -> None:
    try:
        reader = AppendReader(path)
    except MissingFileError:
        assert not least.get(first)
        return
    rows = reader.read("x", 0, reader.length("x")) if "x" in reader.names else np.zeros((0, 300))
    assert (rows == rows[:, :1]).all()
    numbers = rows[:, 0].astype(int)
    if len(numbers):
        begin = int(numbers[0])
        assert begin % FILE == 0, begin
        assert numbers.tolist() == list(range(begin, begin + len(numbers)))
        assert len(numbers) <= most[begin]
        assert least[begin] <= len(numbers)
        assert begin == first or not least[first], (begin, first)
    else:
        assert not least.get(first)
    recover(path)
    if path.exists():
        with h5py.File(path) as file:
            after = file["x"][:, 0].astype(int).tolist() if "x" in file else []
            assert after == numbers.tolist()
    else:
        assert not len(numbers)


def test_after_a_power_loss_a_file_that_was_replaced_is_the_old_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(_engine, "SYNC_INTERVAL", 3600.0)
    folder = tmp_path / "live"
    folder.mkdir()
    work, disk = Work(folder / "x.h5"), LossyDisk(folder)
    chance = random.Random(5)  # noqa: S311 - a test to be repeated
    share = 20 if request.config.getoption("--campaign", default=False) else 0.25
    images: list[tuple[str, Path, dict[int, int], dict[int, int], int]] = []

    def before(call: Call) -> None:
        for _ in range(int(share) or int(chance.random() < share)):
            place = tmp_path / f"image-{len(images)}"
            disk.develop(place, chance, lost=chance.choice([0.0, 0.1, 0.5, 0.9, 1.0]))
            images.append(
                (
                    f"before {call.name} of {call.target}",
                    place,
                    dict(work.least),
                    dict(work.most),
                    work.first,
                )
            )

    with injected(Faults(before=before, after=disk.after), below=folder):
        write_files(work)
    disk.close()
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # the images need not last
    for module in ("journal._reader", "journal._generation", "hdf5._commit"):
        monkeypatch.setattr(f"holdfast.{module}.boot_id", lambda: "another boot")
    for number, (what, place, least, most, first) in enumerate(images):
        try:
            check(place / "x.h5", least, most, first)
        except Exception as error:
            error.add_note(f"power loss {what}, image {number} of {len(images)}")
            raise
        shutil.rmtree(place)
