"""What tests of the store share: a store with its index, and tasks that are forgotten again."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.store import _task
from holdfast.store._index import Index, _scan


@pytest.fixture(autouse=True)
def forget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Modules that a test loads, and tasks it declares, are gone after it."""
    monkeypatch.setattr(_task, "_known", dict(_task._known))
    yield
    for name, loaded in list(sys.modules.items()):
        if str(getattr(loaded, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


@pytest.fixture
def index(store: Path) -> Iterator[Index]:
    made = Index(store)
    yield made
    made.close()


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let complete runs count as final at once."""
    monkeypatch.setattr(_scan, "SETTLED_SECONDS", -1.0)
