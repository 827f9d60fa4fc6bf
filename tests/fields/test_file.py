from pathlib import Path
from typing import Any

from holdfast.fields import FileStorage, StorageBase
from holdfast.testing.storages import StorageTests


class TestFileStorage(StorageTests):
    def create(self, folder: Path, **options: Any) -> StorageBase:
        return FileStorage(folder / "fields.h5", **options)

    def again(self, folder: Path, **options: Any) -> StorageBase:
        return FileStorage(folder / "fields.h5", **options)
