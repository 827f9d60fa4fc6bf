"""Crashes, power losses and failing disks at every system call of an append file's life."""

import errno
import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from append_work import LARGE, SMALL, VECTOR, Moment, Workload
from holdfast.hdf5 import AppendFile, AppendReader
from holdfast.testing.faults import Call, Faults, injected

PAGE = 4096


@dataclass
class Camera:
    """Takes images of a folder in memory, equal contents once."""

    folder: Path
    pool: dict[bytes, bytes] = field(default_factory=dict)

    def take(self) -> dict[str, tuple[bytes, int]]:
        """Return content without zeros at its end, and length, of each file."""
        image = {}
        for where, _, names in os.walk(self.folder):
            for name in names:
                path = Path(where, name)
                content = path.read_bytes()
                short = content.rstrip(b"\0")
                relative = path.relative_to(self.folder).as_posix()
                image[relative] = self.pool.setdefault(short, short), len(content)
        return image


def develop(image: dict[str, tuple[bytes, int]], folder: Path) -> None:
    for name, (content, length) in image.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.truncate(path, length)


def torn(image: dict[str, tuple[bytes, int]], name: str, call: Call) -> None:
    """Let the first half of a write be in an image."""
    half = call.content[: len(call.content) // 2]
    content, length = image[name]
    whole = bytearray(content.ljust(length, b"\0").ljust(call.offset, b"\0"))
    whole[call.offset : call.offset + len(half)] = half
    image[name] = bytes(whole), len(whole)


def test_a_crash_before_or_within_any_call_that_changes_a_file_loses_no_accepted_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    folder = tmp_path / "live"
    folder.mkdir()
    work = Workload(folder / "x.h5")
    camera = Camera(folder)
    images: list[tuple[str, dict[str, tuple[bytes, int]], Moment]] = []

    def before(call: Call) -> None:
        least = work.now()
        image = camera.take()
        images.append((f"before {call.name} of {call.target}", image, least))
        name = Path(call.target).relative_to(folder).as_posix()
        if len(call.content) > 1 and name in image:
            half = dict(image)
            torn(half, name, call)
            images.append((f"within {call.name} of {call.target}", half, least))

    with injected(Faults(before=before), below=folder) as faults:
        work.run()
    assert {"pwrite", "fsync", "rename", "link", "unlink", "posix_fallocate"} <= {
        name for name, _ in faults.calls
    }
    assert any(target.endswith("00000002.journal") for _, target in faults.calls)  # rotated
    step = 1 if request.config.getoption("--campaign", default=False) else 2
    start = random.Random(os.urandom(4)).randrange(step)  # noqa: S311 - the campaign takes all
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # the images need not last
    for number, (what, image, least) in enumerate(images[start::step]):
        place = tmp_path / f"image-{number}"
        place.mkdir()
        develop(image, place)
        try:
            work.check(place / "x.h5", least)
        except Exception as error:
            error.add_note(f"crash {what}, image {number * step + start}")
            raise
        shutil.rmtree(place)


@dataclass
class Node:
    """A file: what is on the disk for certain, and what may be."""

    durable: bytes = b""
    last: bytes = b""


@dataclass
class Disk:
    """Knows what a power loss may leave: any mixture of what is durable and what is there now."""

    folder: Path
    names: dict[str, Node] = field(default_factory=dict)
    entries: dict[str, Node] = field(default_factory=dict)

    def after(self, call: Call) -> None:
        path = Path(call.target)
        name = path.relative_to(self.folder).as_posix()
        if call.name == "fsync" and path.is_dir():
            self._settle_entries(path)
        elif call.name == "fsync":
            self._node(name).durable = path.read_bytes()
        elif call.name == "open":
            self._node(name)
        elif call.name in ("rename", "replace"):
            self._find_renamed(name)
        elif call.name == "link":
            assert path.name == "fresh.h5"
            self.names["x.h5"] = self._node(name)

    def before(self, call: Call) -> None:
        if call.name == "unlink":
            name = Path(call.target).relative_to(self.folder).as_posix()
            node = self.names.pop(name, None)
            if node is not None:
                node.last = Path(call.target).read_bytes()

    def _node(self, name: str) -> Node:
        return self.names.setdefault(name, Node())

    def _find_renamed(self, old: str) -> None:
        node = self.names.pop(old)
        assert Path(old).name == "redo.new"
        new = Path(old).with_name("redo").as_posix()
        replaced = self.names.get(new)
        if replaced is not None:
            replaced.last = replaced.durable
        self.names[new] = node

    def _settle_entries(self, folder: Path) -> None:
        where = folder.relative_to(self.folder).as_posix()
        for name in {*self.names, *self.entries}:
            if Path(name).parent.as_posix() == where:
                self.entries.pop(name, None)
                if name in self.names:
                    self.entries[name] = self.names[name]

    def image(self, chance: random.Random, *, lost: float) -> dict[str, bytes]:
        """Return one of the states that a power loss at this moment may leave."""
        found = {}
        for name in sorted({*self.names, *self.entries}):
            here, there = self.names.get(name), self.entries.get(name)
            node = there if chance.random() < lost else here
            if node is not None:
                found[name] = self._mixture(node, name, chance, lost)
        return found

    def _mixture(self, node: Node, name: str, chance: random.Random, lost: float) -> bytes:
        path = self.folder / name
        current = node.last
        if self.names.get(name) is node and path.exists():
            current = path.read_bytes()
        size = len(node.durable) if chance.random() < lost else len(current)
        old, new = node.durable.ljust(size, b"\0"), current.ljust(size, b"\0")
        mixed = bytearray(size)
        for at in range(0, size, PAGE):
            page = slice(at, min(at + PAGE, size))
            mixed[page] = (old if chance.random() < lost else new)[page]
        return bytes(mixed)


@contextmanager
def another_boot(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        for module in ("journal._reader", "journal._generation", "hdf5._commit"):
            patch.setattr(f"holdfast.{module}.boot_id", lambda: "another boot")
        yield


def test_after_a_power_loss_everything_synced_is_there_and_no_row_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    folder = tmp_path / "live"
    folder.mkdir()
    work = Workload(folder / "x.h5")
    disk = Disk(folder)
    chance = random.Random(11)  # noqa: S311 - a test to be repeated
    share = 20 if request.config.getoption("--campaign", default=False) else 0.8
    images: list[tuple[str, dict[str, bytes], Moment]] = []

    def before(call: Call) -> None:
        repeats = int(share) or int(chance.random() < share)
        for _ in range(repeats):
            image = disk.image(chance, lost=chance.choice([0.1, 0.5, 0.9, 1.0]))
            images.append((f"before {call.name} of {call.target}", image, work.safe))
        disk.before(call)

    with injected(Faults(before=before, after=disk.after), below=folder):
        work.run()
    assert len(images) >= 200
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # the images need not last
    with another_boot(monkeypatch):
        for number, (what, image, least) in enumerate(images):
            place = tmp_path / f"image-{number}"
            for name, content in image.items():
                path = place / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            try:
                work.check(place / "x.h5", least, power_lost=True)
            except Exception as error:
                error.add_note(f"power loss {what}, image {number}")
                raise
            shutil.rmtree(place, ignore_errors=True)


def use(work: Workload, faults: Faults) -> None:
    """Append, checkpoint and close, trying again whatever failed once the disk is well."""

    def patiently(step: Callable[[], object]) -> None:
        try:
            step()
        except OSError:
            faults.heal()
            step()

    file: list[AppendFile] = []
    patiently(lambda: file.append(AppendFile(work.path, interval=3600, journal_bytes=64 << 10)))
    writer = file[0]
    for _ in range(3):
        for name, kind in (("small", SMALL), ("vector", VECTOR), ("large", LARGE)):
            for _ in range(3):
                patiently(lambda name=name, kind=kind: work.add(writer, name, kind))  # type: ignore[misc]
        patiently(lambda: work.mark(writer, "small", "units", "J"))
        patiently(writer.sync)
        patiently(writer.checkpoint)
        assert AppendReader(work.path).length("small") == work.accepted["small"]
    patiently(writer.close)
    writer.close()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=["full", "broken"])
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "until mended"])
def test_a_disk_that_fails_at_any_call_loses_nothing_and_the_same_object_goes_on(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    number: int,
    *,
    lasting: bool,
) -> None:
    with injected(Faults(), below=tmp_path) as seen:
        use(Workload(tmp_path / "x.h5"), seen)
    step = 1 if request.config.getoption("--campaign", default=False) else 8
    first = 2 * lasting + (number == errno.EIO)  # so that together they meet different calls
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    for at in range(first % step, len(seen.calls), step):
        if seen.calls[at][1].endswith("lock"):
            continue  # before anything was accepted; the lock's own tests are elsewhere
        folder = tmp_path / f"{at}"
        folder.mkdir()
        work = Workload(folder / "x.h5")
        try:
            with injected(Faults(at, number, lasting=lasting), below=folder) as faults:
                use(work, faults)
            assert os.listdir(folder) == ["x.h5"]
            work.check(work.path, work.now())
        except Exception as error:
            error.add_note(f"call {at}: {seen.calls[at]}")
            raise
        shutil.rmtree(folder)
