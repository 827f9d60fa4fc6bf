from pathlib import Path
from typing import Any

from holdfast.fields import MemoryStorage, StorageBase
from holdfast.testing.storages import StorageTests


class TestMemoryStorage(StorageTests):
    def create(self, folder: Path, **options: Any) -> StorageBase:
        return MemoryStorage(**options)
