"""What a user's type checker sees of the store, and what importing it loads."""

from typing import Any, assert_type

import store_work as work
from helpers import output
from holdfast import Group, Run, Store, get, launch, task
from holdfast.store import Runs


@task
def typed(x: float = 1.0) -> float:
    return x


def test_the_types_of_get_are_what_its_documentation_says() -> None:
    assert_type(typed(2.0), float)
    run = get(typed, x=2.0)
    assert_type(run, Run)
    assert_type(run.launch(), Run)
    assert_type(run.result, Any)
    assert_type(run.group, Group | None)
    assert_type(get(Store, {"directory": "here"}), Store)
    assert_type(get.all(typed), Runs)
    assert_type(launch([run]), Runs)
    assert_type(get(work.Walk), Run)
    assert run.result == 2.0


def test_get_loads_neither_hdf5_nor_tables_nor_the_index() -> None:
    program = "import sys, holdfast; holdfast.get; print(' '.join(sys.modules))"
    loaded = set(output(program).split())
    assert "numpy" in loaded
    assert not {"h5py", "zarr", "pandas", "matplotlib", "sqlite3", "pydantic"} & loaded
