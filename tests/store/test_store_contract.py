"""The contract of stores, kept by ours and by one that sends its runs elsewhere."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast import LogReader, Store, get
from holdfast.store import AbstractStore, Claims
from holdfast.testing.stores import StoreTests, twice


class TestStore(StoreTests):
    def make_store(self, folder: Path) -> AbstractStore:
        return Store(folder / "storage")


class MirroredStore(AbstractStore):
    """Copies every run that is complete to another folder, and fetches what is missing here."""

    def __init__(self, directory: str | Path, mirror: str | Path) -> None:
        self.here, self.mirror = Store(directory), Path(mirror)
        self.default_group = self.here.default_group

    def place(self, name: str) -> Path:
        return self.here.place(name)

    def locate(self, name: str) -> Path | None:
        found = self.here.locate(name)
        if found is None and (self.mirror / name).is_dir():
            shutil.copytree(self.mirror / name, self.place(name))
            return self.place(name)
        return found

    def runs(self) -> Iterator[Path]:
        yield from self.here.runs()

    def note(self, path: Path) -> None:
        if LogReader(path).status == "complete":
            shutil.copytree(path, self.mirror / path.name, dirs_exist_ok=True)

    @property
    def claims(self) -> Claims:
        return self.here.claims

    @property
    def schemas(self) -> Path:
        return self.here.schemas

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.here.directory, self.mirror)


class TestMirroredStore(StoreTests):
    def make_store(self, folder: Path) -> AbstractStore:
        return MirroredStore(folder / "here", folder / "mirror")

    def test_what_is_lost_here_is_fetched(self, tmp_path: Path) -> None:
        with self.make_store(tmp_path):
            get(twice, x=4).launch()
        shutil.rmtree(tmp_path / "here")
        with self.make_store(tmp_path):
            assert get(twice, x=4).result == 8


def test_a_store_of_another_package_is_found_by_its_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "site" / "mirrored-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mirrored\nVersion: 1.0\n")
    entry = "[holdfast.stores]\nmirrored = mirrored_package:MirroredStore\n"
    (info / "entry_points.txt").write_text(entry)
    (tmp_path / "site" / "mirrored_package.py").write_text(
        "from holdfast.store import Store\nclass MirroredStore(Store): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "site")
    store = get("mirrored", {"directory": "here"})
    assert repr(store) == "MirroredStore <here>"
    assert isinstance(store, Store)
    assert get("mirrored_package", {"directory": "here"}).directory == store.directory
    assert not os.path.exists("here")
