"""What tasks return, and data beside it, come back the way they were made, or are refused."""

import dataclasses
import datetime as dt
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

import store_work as work
from holdfast import Logbook, Run, get, task
from holdfast.errors import FormatError, InvalidInputError, MissingFileError
from holdfast.store import Task, _task

VALUE: list[Any] = [None]
RING: list[Any] = []
RING.append(RING)


@task(name="returns")
def returns(number: int) -> Any:
    return VALUE[0]


@task(name="returns-pickled", pickle=True)
def returns_pickled(number: int) -> Any:
    return VALUE[0]


@dataclasses.dataclass
class Outcome:
    energy: float
    path: np.ndarray[Any, Any]


def launched(value: Any, target: Any = returns) -> Run:
    VALUE[0] = value
    number = len(get.all(target))
    run: Run = get(target, number=number).launch()
    return run


def same(one: Any, two: Any) -> bool:
    if isinstance(one, np.ndarray) or isinstance(two, np.ndarray):
        return type(one) is type(two) and one.dtype == two.dtype and np.array_equal(one, two)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[k], two[k]) for k in one)
    if isinstance(one, list):
        return len(one) == len(two) and all(map(same, one, two))
    return type(one) is type(two) and (one == two or (one != one and two != two))  # noqa: PLR0124 - NaN


@pytest.mark.parametrize(
    ("value", "file"),
    [
        (None, "artifacts/result.json"),
        (True, "artifacts/result.json"),
        (3, "artifacts/result.json"),
        (0.1, "artifacts/result.json"),
        (math.nan, "artifacts/result.json"),
        (1 - 2j, "artifacts/result.json"),
        ("text\r\nof lines\udc80", "artifacts/result.txt"),
        ("", "artifacts/result.txt"),
        ([1, [2.5, None], {"a": "b"}], "artifacts/result.json"),
        ({"": {"x y": [1]}, "$complex": [1, 2]}, "artifacts/result.json"),
        ({}, "artifacts/result.json"),
        (np.arange(6.0).reshape(2, 3), "data/result.npy"),
        (np.array(3.0), "data/result.npy"),
        ({"x": np.arange(3), "deep/y": np.zeros((0, 2))}, "data/result.npz"),
        ({"mean": 0.5, "all": np.arange(3), "a b/..": np.ones(2)}, "artifacts/result.json"),
        ([np.arange(2), {"0": [np.arange(3)]}, "x"], "artifacts/result.json"),
        ({"0": {"1": np.arange(3)}, "0/1": np.zeros(1)}, "artifacts/result.json"),
    ],
)
def test_results_come_back_as_they_were(value: Any, file: str) -> None:
    run = launched(value)
    assert (run.directory / file).is_file()
    assert same(run.result, value)
    assert same(get(returns, number=0).result, value)


def test_what_json_holds_otherwise_comes_back_plain() -> None:
    value = {"t": (1, 2), "o": Outcome(1.0, np.arange(2)), "p": Path("a/b"), "n": np.float32(0.5)}
    assert launched(value).result == {
        "t": [1, 2],
        "o": {"energy": 1.0, "path": [0, 1]},
        "p": "a/b",
        "n": 0.5,
    }
    assert launched(dt.date(2024, 5, 1)).result == "2024-05-01"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (object(), "has no plain form"),
        (np.array([object()]), "holds Python objects"),
        (pd.DataFrame({"a": [1]}), "whose labels no array keeps"),
        ({"frame": pd.Series([1])}, "whose labels no array keeps"),
        ({"$array": "x"}, "stands for an array"),
        (np.ma.masked_array([1], [True]), "has a mask"),
        (lambda: 0, "has no plain form"),
        (RING, "cannot be kept"),
        (b"bytes", "or declare @task(pickle=True)"),
    ],
)
def test_what_no_plain_file_holds_fails_when_the_task_returns(value: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        launched(value)
    run = get(returns, number=0)
    assert run.is_failed()
    assert message in run.reader.meta["failure_reason"]


def test_pickled_results_are_declared_and_read_on_trust_only() -> None:
    run = launched({1: {2}}, returns_pickled)
    with pytest.raises(InvalidInputError, match="pass trust=True"):
        _ = run.result
    assert run.load_result(trust=True) == {1: {2}}
    assert launched([1, {"a": np.arange(2).tolist()}], returns_pickled).result == [1, {"a": [0, 1]}]
    assert not list(run.directory.glob("data/result*"))


def test_a_task_may_save_its_result_itself_but_not_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_task, "_known", dict[str, Task]())

    @task(name="saves")
    def saves(log: Logbook, value: int | None) -> int | None:
        log.json("result", {"own": 1})
        return value

    assert get(saves, value=None).launch().result == {"own": 1}
    with pytest.raises(InvalidInputError, match="the name 'result' is for what it returns"):
        get(saves, value=2).launch()
    assert get(saves, value=2).reader.load_json("result") == {"own": 1}


# Data beside the result

ROWS = [{"a": 1, "b": "x,y\n"}, {"a": 2.5, "c": None}]
DATA: list[tuple[str, Any, Any]] = [
    ("notes.txt", "größe\n", "größe\n"),
    ("deep/er.json", {"a": [1, math.inf]}, {"a": [1, math.inf]}),
    ("lines.jsonl", [{"a": 1}, 2], [{"a": 1}, 2]),
    ("x.npy", [1, 2], np.array([1, 2])),
    ("x.npz", {"a": np.arange(2), "b": [0.5]}, {"a": np.arange(2), "b": np.array([0.5])}),
    ("c.yaml", {"a": [1, "b"], "t": (1,)}, {"a": [1, "b"], "t": [1]}),
    ("t.csv", ROWS, [{"a": 1, "b": "x,y\n", "c": None}, {"a": 2.5, "b": None, "c": None}]),
    ("raw.bin", b"\xff\x00", b"\xff\x00"),
    ("page.html", "<p>", "<p>"),
    ("noending", "text", "text"),
]


@pytest.mark.parametrize(("name", "value", "expected"), DATA, ids=[name for name, *_ in DATA])
def test_data_come_back_by_their_ending(name: str, value: Any, expected: Any) -> None:
    run = get(work.square).launch()
    run.save_data(name, value)
    again = get(work.square)
    assert same(again.load_data(name), expected)
    folder = "data" if name.endswith((".npy", ".npz")) else "artifacts"
    assert (run.directory / folder / name).is_file()


def test_other_programs_read_data_without_holdfast() -> None:
    run = get(work.square).launch()
    for name, value, _ in DATA:
        run.save_data(name, value)
    data, artifacts = run.directory / "data", run.directory / "artifacts"
    assert np.load(data / "x.npy").tolist() == [1, 2]
    assert sorted(np.load(data / "x.npz")) == ["a", "b"]
    assert yaml.safe_load((artifacts / "c.yaml").read_text())["t"] == [1]
    assert list(pd.read_csv(artifacts / "t.csv").columns) == ["a", "b", "c"]
    lines = (artifacts / "lines.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"a": 1}, 2]
    run.save_data("frame.csv", pd.DataFrame({"a": [1, 2]}))
    assert run.load_data("frame.csv") == [{"a": 1}, {"a": 2}]


def test_pickles_are_read_on_trust_only() -> None:
    run = get(work.square).launch()
    run.save_data("any.p", {1, 2})
    with pytest.raises(InvalidInputError, match="pass trust=True"):
        run.load_data("any.p")
    assert run.load_data("any.p", trust=True) == {1, 2}
    with pytest.raises(InvalidInputError, match="cannot be pickled"):
        run.save_data("any.pkl", lambda: 0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("../escape.txt", "x"),
        ("/abs.txt", "x"),
        ("a/../b.txt", "x"),
        ("nul\x00.txt", "x"),
        ("result.json", 1),
        ("result.npy", [1]),
        ("a.txt", 3),
        ("a.bin", 3),
        ("a.json", object()),
        ("a.jsonl", "text"),
        ("a.csv", []),
        ("a.csv", [[1, 2]]),
        ("a.npy", [object()]),
        ("a.npz", {}),
        ("a.npz", {"../x": [1]}),
        (3, "x"),
    ],
)
def test_data_that_cannot_be_kept_change_nothing(name: Any, value: Any) -> None:
    for run in (get(work.square), get(work.square, x=2).launch()):
        with pytest.raises(InvalidInputError):
            run.save_data(name, value)
    assert [p.name for p in Path("storage").glob("*/artifacts/*")] == ["result.json"]


def test_missing_and_damaged_data_are_different_answers() -> None:
    run = get(work.square).launch()
    run.save_data("values.json", {"a": 1})
    with pytest.raises(MissingFileError, match=r"has no data 'valuse.json'; did you mean 'values"):
        run.load_data("valuse.json")
    assert run.load_data("nothing.npy", default=3) == 3
    for name, content in [
        ("values.json", b'{"a": '),
        ("c.yaml", b"{"),
        ("c.yaml", b"[" * 60_000 + b"]" * 60_000),  # the loader of YAML would crash Python
        ("l.jsonl", b"{}\n{"),
        ("t.csv", b'a\n"x'),
        ("p.pkl", b"junk"),
        ("b.csv", b"\xff\xfe"),
    ]:
        (run.directory / "artifacts" / name).write_bytes(content)
        with pytest.raises(FormatError):
            run.load_data(name, default=None, trust=True)
    for name in ("a.npy", "a.npz"):
        (run.directory / "data").mkdir(exist_ok=True)
        (run.directory / "data" / name).write_bytes(b"junk")
        with pytest.raises(FormatError):
            run.load_data(name, default=None)


def test_a_symlink_out_of_the_run_is_not_followed() -> None:
    run = get(work.square).launch()
    secret = Path("secret.txt").absolute()
    secret.write_text("x")
    (run.directory / "artifacts" / "link.txt").symlink_to(secret)
    with pytest.raises(InvalidInputError, match="leads out"):
        run.load_data("link.txt")
    with pytest.raises(InvalidInputError, match="leads out"):
        run.save_data("link.txt", "y")
    assert secret.read_text() == "x"


def test_data_that_wait_for_the_launch_are_given_back_before_it_as_after_it() -> None:
    rows = [{"x": 1, "y": 0.5}, {"x": 2, "y": None}]
    saved = {
        "note.txt": "half way",
        "settings.json": {"layers": [1, 2]},
        "lines.jsonl": [1, {"a": None}],
        "table.csv": rows,
        "options.yaml": {"dt": 0.1},
        "raw.bin": b"\xff\x00",
        "inputs.npy": np.array([1.0, 2.0]),
        "both.npz": {"x": np.arange(3), "y": np.zeros(2)},
        "objects.pkl": {1, 2},
    }
    run = get(returns, number=len(get.all(returns)))
    for name, value in saved.items():
        run.save_data(name, value)

    before = {name: run.load_data(name, trust=True) for name in saved}
    with pytest.raises(InvalidInputError, match="trust=True"):
        run.load_data("objects.pkl")
    run.launch()

    assert all(same(before[name], saved[name]) for name in saved)
    assert all(same(run.load_data(name, trust=True), saved[name]) for name in saved)
