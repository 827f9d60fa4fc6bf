import ast
import logging

import pytest

import holdfast
from helpers import output


def test_importing_holdfast_loads_nothing_heavy() -> None:
    loaded = output("import sys, holdfast; print(' '.join(sys.modules))").split()
    heavy = {"h5py", "zarr", "pandas", "matplotlib", "asyncio", "numpy", "yaml", "rich", "filelock"}
    assert not heavy & set(loaded)


def test_the_logbook_loads_neither_plotting_nor_tables() -> None:
    loaded = output("import sys, holdfast; holdfast.Logbook; print(' '.join(sys.modules))").split()
    assert "numpy" in loaded
    assert not {"h5py", "zarr", "pandas", "matplotlib", "asyncio"} & set(loaded)


def test_every_public_name_is_there_and_listed_once_in_order() -> None:
    assert holdfast.__all__ == sorted(set(holdfast.__all__))
    assert all(hasattr(holdfast, name) for name in holdfast.__all__)
    assert set(holdfast.__all__) <= set(dir(holdfast))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="logbok"):
        _ = holdfast.logbok


def test_without_logging_set_up_holdfast_prints_nothing() -> None:
    program = "from holdfast._logging import log; log.error('x'); print('done')"
    assert output(f"{program}") == "done"
    from holdfast import _logging

    handlers = _logging.log.handlers
    assert any(isinstance(handler, logging.NullHandler) for handler in handlers)


def test_the_version_is_a_plain_text() -> None:
    assert [part.isdigit() for part in holdfast.__version__.split(".")] == [True] * 3
    assert ast.literal_eval(repr(holdfast.__version__)) == holdfast.__version__
