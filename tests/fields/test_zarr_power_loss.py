"""Power losses while a Zarr store is written: what was synced is there, and the store opens."""

import errno
import os
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray

from holdfast.fields import ZarrStorage, _zarr_writer, recover_store
from holdfast.fields._exit import no_longer_open
from holdfast.testing.faults import Call, Faults, injected
from lossy_disk import LossyDisk
from zarr_work import X
from zarr_work import field as made

STORE = 1000
"""Fields of one store have numbers from a multiple of this on, so that stores are told apart."""


@dataclass(frozen=True)
class Possible:
    """A store that may be found: the number of its first field, and how many there may be."""

    first: int
    least: int
    most: int


@dataclass
class Work:
    """Writes stores at one place, one after the other, and knows what may be found there."""

    path: Path
    before: Possible = Possible(0, 0, 0)
    now: Possible | None = None
    open: list[ZarrStorage] = field(default_factory=list)

    @property
    def possible(self) -> list[Possible]:
        """What may be there after a power loss at this moment."""
        if self.now is None:
            return [self.before]
        if self.now.least:
            return [self.now]
        return [self.before, replace(self.now, least=1)]  # never neither

    def begin(self, first: int, mode: Any, sync: Any) -> ZarrStorage:
        if mode == "truncate":
            self.settle()
            self.now = Possible(first, 0, 0)
        options: Any = {"chunks": 2, "shards": 4, "sync": sync}
        storage = ZarrStorage(self.path, write_mode=mode, **options)
        self.open.append(storage)
        return storage

    def settle(self) -> None:
        if self.now is not None:
            self.before, self.now = self.now, None

    @property
    def latest(self) -> Possible:
        return self.before if self.now is None else self.now

    def became(self, least: int, most: int) -> None:
        changed = Possible(self.latest.first, max(least, self.latest.least), most)
        if self.now is None:
            self.before = changed
        else:
            self.now = changed

    def add(self, storage: ZarrStorage, count: int, *, always: bool = False) -> None:
        for number in range(self.latest.most, self.latest.most + count):
            self.became(0, number + 1)
            storage.append(made(self.latest.first + number), number)
            committed = storage._writer._committed if storage._writer else 0
            self.became(number + 1 if always else committed, number + 1)

    def synced(self) -> None:
        self.became(self.latest.most, self.latest.most)

    def end(self, storage: ZarrStorage) -> None:
        storage.close()
        self.synced()
        self.settle()

    def kill(self, *, recover: bool = True) -> None:
        """Leave what a kill of the process would, and mend it."""
        for storage in self.open:
            writer = storage._writer
            if writer is not None:
                writer._stop.set()
                writer._journal.close(keep=True)
            no_longer_open(storage)
        self.open.clear()
        if recover:
            recover_store(self.path)
            self.synced()
            self.settle()


def write_stores(work: Work) -> None:
    """Write stores in all ways there are: begun, continued, replaced, killed, recovered, erased."""
    storage = work.begin(0, "truncate", "always")
    work.add(storage, 6, always=True)
    work.end(storage)
    storage = work.begin(0, "append", "background")
    work.add(storage, 3)
    storage.checkpoint()
    work.synced()
    work.add(storage, 2)
    work.kill()
    storage = work.begin(STORE, "truncate", "background")
    work.add(storage, 3)
    work.kill()
    storage = work.begin(2 * STORE, "truncate", "background")
    work.add(storage, 6)
    storage.checkpoint()
    work.synced()
    storage.checkpoint()
    work.add(storage, 1)
    work.end(storage)
    storage = work.begin(3 * STORE, "truncate", "always")
    work.add(storage, 1, always=True)
    work.kill(recover=False)
    work.settle()
    storage = work.begin(4 * STORE, "truncate", "background")
    work.add(storage, 5)
    work.end(storage)
    storage = work.begin(4 * STORE, "append", "background")
    work.add(storage, 2)
    work.before = Possible(4 * STORE, 0, 7)
    storage.clear()
    work.before = Possible(4 * STORE, 0, 0)
    work.add(storage, 2)
    work.end(storage)


def found(path: Path) -> tuple[int, int]:
    """Return the number of the first field and how many there are, all of which must be right."""
    storage = ZarrStorage(path, write_mode="readonly")
    count = len(storage)
    assert storage.times.tolist() == list(range(count))
    first = round(float(storage[0].data[0, 0])) if count else 0
    for number, one in enumerate(storage):
        assert np.array_equal(one.data, made(first + number).data)
    return first, count


def check(path: Path, possible: list[Possible], chance: random.Random) -> None:
    first, count = found(path)
    assert any(p.least <= count <= p.most and (first == p.first or not count) for p in possible), (
        first,
        count,
        possible,
    )
    how = chance.choice(["recover", "append", "truncate"])
    if how == "recover" and (path.exists() or path.with_name(f"{path.name}-journal").exists()):
        recover_store(path)
        assert found(path) == (first, count)
    elif how == "append":
        with ZarrStorage(path, write_mode="append", chunks=2, shards=4) as storage:
            storage.append(made(first + count), count)
        assert found(path) == (first, count + 1)
    elif how == "truncate":
        with ZarrStorage(path, write_mode="truncate") as storage:
            storage.append(made(7), 0)
        assert found(path) == (7, 1)
    if (path / "zarr.json").exists():
        with xarray.open_zarr(path) as dataset:
            assert dataset.sizes["time"] == found(path)[1]
            assert dataset["data"].values.shape[0] == dataset.sizes["time"]


@contextmanager
def another_boot(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        for module in ("_reader", "_generation"):
            patch.setattr(f"holdfast.journal.{module}.boot_id", lambda: "another boot")
        yield


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(_zarr_writer, "SYNC_INTERVAL", 3600)  # syncs come where the script has them
    return monkeypatch


@dataclass
class Losses:
    """Takes images of a folder before calls, which are looked at when no faults are injected."""

    folder: Path
    work: Work
    chance: random.Random
    share: float
    images: list[tuple[str, Path, list[Possible]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.disk = LossyDisk(self.folder)

    def before(self, call: Call) -> None:
        for _ in range(int(self.share) or int(self.chance.random() < self.share)):
            place = self.folder.with_name(f"image-{len(self.images)}")
            self.disk.develop(
                place, self.chance, lost=self.chance.choice([0.0, 0.1, 0.5, 0.9, 1.0])
            )
            self.images.append((f"before {call.name} of {call.target}", place, self.work.possible))

    def check(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.disk.close()
        with monkeypatch.context() as patch, another_boot(monkeypatch):
            patch.setattr(os, "fsync", lambda descriptor: None)  # the images need not last
            for number, (what, place, possible) in enumerate(self.images):
                try:
                    check(place / X, possible, self.chance)
                except Exception as error:
                    error.add_note(f"power loss {what}, image {number}")
                    raise
                shutil.rmtree(place)


def lose_power(
    ram: Path, chance: random.Random, share: float, monkeypatch: pytest.MonkeyPatch
) -> int:
    work = Work(ram / "live" / X)
    losses = Losses(ram / "live", work, chance, share)
    with injected(Faults(before=losses.before, after=losses.disk.after), below=losses.folder):
        write_stores(work)
    losses.check(monkeypatch)
    shutil.rmtree(losses.folder)
    return len(losses.images)


@pytest.mark.timeout(14_400)
def test_after_a_power_loss_every_synced_field_is_there_and_the_store_opens(
    ram: Path, quick: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    chance = random.Random(6)  # noqa: S311 - a test to be repeated
    large = request.config.getoption("--campaign", default=False)
    assert lose_power(ram, chance, 20 if large else 0.12, quick) > 25


@pytest.mark.timeout(14_400)
def test_after_a_kill_and_a_power_loss_while_that_is_mended_every_synced_field_is_there(
    ram: Path, quick: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    large = request.config.getoption("--campaign", default=False)
    chance = random.Random(8)  # noqa: S311 - a test to be repeated
    for _ in range(400 if large else 5):
        work = Work(ram / "live" / X)
        losses = Losses(ram / "live", work, chance, 1 if large else 0.2)
        faults = Faults(chance.randrange(300), errno.EIO, lasting=True)
        faults.before, faults.after = losses.before, losses.disk.after
        with injected(faults, below=losses.folder):
            try:
                write_stores(work)
            except OSError:
                faults.heal()
                work.kill(recover=False)
                if work.path.exists() or (losses.folder / f"{X}-journal").exists():
                    recover_store(work.path)
        losses.check(quick)
        shutil.rmtree(losses.folder)
