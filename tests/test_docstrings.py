"""The examples in docstrings are programs too."""

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import holdfast

MODULES = [
    module.name
    for module in pkgutil.walk_packages(holdfast.__path__, "holdfast.")
    if not module.name.startswith(("holdfast.testing", "holdfast.__main__"))  # which runs at import
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_modules_docstrings_say_the_truth(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)

    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)

    assert result.failed == 0


def test_the_main_classes_have_examples() -> None:
    finder = doctest.DocTestFinder()
    for name in ("Logbook", "Experiment", "H5Logger"):
        tests = finder.find(getattr(holdfast, name), name)
        assert any(test.examples for test in tests), name
