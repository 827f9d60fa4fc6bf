"""Power losses while messages are put: all that was synced is there, and nothing else is wrong."""

import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from holdfast import DataLogger, LogArchiveReader, assemble_log_archives
from holdfast.acquisition import sources_in
from holdfast.acquisition._service import Service
from holdfast.acquisition._stored import StoredBlock
from holdfast.testing.faults import Call, Faults, injected

PAGE = 4096


@dataclass
class Disk:
    """Knows what a power loss may leave of blocks: each page as last synced, or as it is now."""

    durable: dict[Path, bytes] = field(default_factory=dict)

    def after(self, call: Call) -> None:
        path = Path(call.target)
        if call.name == "fsync" and path.is_file():
            self.durable[path] = path.read_bytes()

    def develop(self, live: Path, folder: Path, chance: random.Random, lost: float) -> None:
        for path in live.rglob("*.block"):
            content = self._mixture(path, chance, lost)
            if content is not None:
                copy = folder / path.relative_to(live)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(content)

    def _mixture(self, path: Path, chance: random.Random, lost: float) -> bytes | None:
        current, synced = path.read_bytes(), self.durable.get(path)
        if synced is None and chance.random() < lost:
            return None  # not even its name has come to the disk
        old = synced or b""
        size = len(current) if synced is None or chance.random() >= lost else len(old)
        mixed = bytearray(size)
        for at in range(0, size, PAGE):
            page = slice(at, min(at + PAGE, size))
            chosen = old if chance.random() < lost else current
            mixed[page] = chosen[page].ljust(page.stop - page.start, b"\0")
        return bytes(mixed)


@contextmanager
def another_boot(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr("holdfast.acquisition._stored.boot_id", lambda: "another boot")
        yield


def text(source: int | str, number: int) -> bytes:
    return f"{source}/{number}".encode() + b"." * (number * 7 % 90)


def put_some(logger: DataLogger, counts: dict[int | str, int], chance: random.Random) -> None:
    for _ in range(chance.randint(1, 600)):
        source = chance.choice(list(counts))
        logger.put(source, counts[source] + 1, text(source, counts[source]))
        counts[source] += 1


def check(folder: Path, least: dict[int | str, int], most: dict[int | str, int]) -> None:
    """Each source has its first messages, all those that were synced, in order and whole."""
    found = dict.fromkeys(most, 0)
    for source in sources_in(folder):
        messages = LogArchiveReader.live(folder, source, onset_us=0).iter_messages()
        texts = [message.payload.tobytes() for message in messages]
        assert texts == [text(source, number) for number in range(len(texts))]
        found[source] = len(texts)
    for source, count in found.items():
        assert least[source] <= count <= most[source], source


@pytest.mark.timeout(14_400)
def test_after_a_power_loss_everything_synced_is_there_and_nothing_is_wrong(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    recordings = 100 if request.config.getoption("--campaign", default=False) else 2
    chance = random.Random(4)  # noqa: S311 - a test to be repeated
    for _ in range(recordings):
        logger, disk = DataLogger("live", "rig"), Disk()
        with injected(Faults(after=disk.after), below=logger.output_directory):
            lose_power_again_and_again(logger, disk, chance, monkeypatch)
        shutil.rmtree("live")


def lose_power_again_and_again(
    logger: DataLogger, disk: Disk, chance: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = logger.output_directory
    counts: dict[int | str, int] = {1: 0, "camera": 0}
    synced = dict(counts)
    service = Service(live)
    place = Path("image/rig_data_log")
    for _ in range(12):
        if chance.random() < 0.2:
            service = Service(live)  # a logger process that was killed and started again
        put_some(logger, counts, chance)
        if chance.random() < 0.6:
            service.round(sync=True)
            synced = dict(counts)
        place.mkdir(parents=True)
        disk.develop(live, place, chance, lost=chance.choice([0.1, 0.5, 0.9, 1.0]))
        with another_boot(monkeypatch):
            check(place, synced, counts)
            if chance.random() < 0.5:
                Service(place).round(sync=True)
                check(place, synced, counts)
            assemble_log_archives(place)
            check(place, synced, counts)
        assert {path.suffix for path in place.iterdir()} <= {".npz"}
        shutil.rmtree("image")


def test_a_logger_process_that_begins_anew_spares_the_better_mark_of_the_one_before() -> None:
    logger, disk = DataLogger("live", "rig"), Disk()
    live = logger.output_directory
    with injected(Faults(after=disk.after), below=live):
        service = Service(live)
        for count in (1, 2, 3):
            logger.put(1, count, b"synced")
            service.round(sync=True)
        logger.put(1, 4, b"not synced")
        newest = max(marks(live))
        with (
            pytest.raises(OSError, match="stopped here"),
            injected(Faults(before=stop_at_sync), below=live),
        ):
            Service(live).round(sync=True)
    assert newest in marks(live)


def stop_at_sync(call: Call) -> None:
    if call.name == "fsync":
        raise OSError(5, "stopped here", call.target)


def marks(live: Path) -> list[tuple[int, int]]:
    (path,) = live.glob("producer-*/*.block")
    return StoredBlock(path).states().marks
