"""Stores: the active one, nested, by class and by module."""

import contextlib
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

import store_work as work
from holdfast import Logbook, Store, get
from holdfast.errors import InvalidInputError


def test_stores_are_nested_and_each_thread_has_its_own() -> None:
    seen: list[Any] = []
    with Store("outer") as outer:
        with Store("inner") as inner:
            assert Store.get() is inner
            thread = threading.Thread(target=lambda: seen.append(Store.get()))
            thread.start()
            thread.join()
        assert Store.get() is outer
    assert repr(Store.get()) == "Store <./storage>"
    assert [repr(store) for store in seen] == ["Store <./storage>"]
    assert os.listdir() == []


def test_stores_may_be_left_in_another_order_than_entered() -> None:
    one, two = Store("one"), Store("two")
    one.__enter__()
    two.__enter__()
    one.__exit__()
    assert Store.get() is two
    two.__exit__()
    assert Store.get() is not two


def test_a_run_found_in_a_store_stays_there_and_one_to_be_made_goes_where_it_is_launched() -> None:
    with Store("one"):
        found = get(work.fails_first)
        with contextlib.suppress(ValueError):
            found.launch()
        planned = get(work.square)
    with Store("two"):
        assert found.launch().directory.parent.name == "one"
        assert planned.launch().directory.parent.name == "two"
    assert planned.is_finished()


def test_get_makes_stores_by_class_and_by_module() -> None:
    for target in (Store, "holdfast.store"):
        store = get(target, {"directory": "here"}, default_group="lab/%Y")
        assert (store.directory, store.default_group) == (Path("here").absolute(), "lab/%Y")
    with pytest.raises(InvalidInputError, match="cannot be made"):
        get(Store, {"folder": "here"})


def test_a_run_in_a_store_is_read_without_holdfast_knowing_tasks() -> None:
    run = get(work.square, x=2).launch()
    assert json.loads((run.directory / "artifacts/result.json").read_bytes()) == 4.0
    assert Logbook("beside").path.exists()
