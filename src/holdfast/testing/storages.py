"""`StorageTests`: what every storage of fields passes; subclass it in the tests of one.

A subclass says how a storage is made in a folder (`create`), how a new instance finds what another
kept there (`again`; None for one that keeps nothing), and which values it can hold (`dtypes`,
`tolerance`, `grids`, `ranks`). The fields are of Holdfast's own kind, so that the suite needs no
other package::

    class TestMemoryStorage(StorageTests):
        def create(self, folder: Path, **options: Any) -> StorageBase:
            return MemoryStorage(**options)
"""

from holdfast.testing._storage_case import FLAT, GRIDS, LINE
from holdfast.testing._storage_reading import StorageReadingTests
from holdfast.testing._storage_writing import StorageWritingTests

__all__ = ["FLAT", "GRIDS", "LINE", "StorageTests"]


class StorageTests(StorageReadingTests, StorageWritingTests):
    """The tests; a subclass provides `create`, and says what its storage can hold."""
