"""The index of a store: a disposable SQLite catalogue of its run directories.

`Index` answers; the directories are the truth, and every file of this room keeps to
``design/013-index.md``.
"""

from holdfast.store._index._index import Index, table_of_paths

__all__ = ["Index", "table_of_paths"]
