"""Processes killed by SIGKILL at random instants while they save: each file is whole."""

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import HANG
from holdfast import LogReader

LENGTH = 3000


@pytest.fixture
def killer() -> Iterator["subprocess.Popen[str]"]:
    program = Path(__file__).parent / "saving.py"
    process = subprocess.Popen(
        [sys.executable, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield process
    process.communicate(timeout=HANG)
    assert process.returncode == 0


def test_whenever_a_saving_process_is_killed_each_file_is_whole_and_what_was_saved_is_there(
    killer: "subprocess.Popen[str]", kills: int
) -> None:
    chance = random.Random(20)  # noqa: S311 - a test to be repeated
    assert killer.stdin
    assert killer.stdout
    saved = 0
    for number in range(kills):
        folder = Path(f"{number}")
        killer.stdin.write(f"{folder} {number} {chance.uniform(0, 60)}\n")
        killer.stdin.flush()
        last = json.loads(killer.stdout.readline())
        if (folder / "log_a").exists():
            check(LogReader(folder / "log_a"), last)
        else:
            assert set(last.values()) == {0}
        assert not [p for p in folder.glob("log_*") if p.name != "log_a"]
        saved += sum(last.values())
    assert saved > kills  # the campaign did kill processes in the middle of their work


def check(run: LogReader, last: dict[str, int]) -> None:
    assert run.state == "interrupted"
    found = {
        "params": params_of(run),
        "meta": meta_of(run),
        "array": array_of(run),
        "arrays": bundle_of(run),
        "json": json_of(run),
        "text": text_of(run),
    }
    for kind, number in found.items():
        assert number in (last[kind], last[kind] + 1), kind
    steps = [line.message for line in run.log_lines() if line.message.startswith("step")]
    whole = [f"step {n}\n" + f"{n} " * (n % 500) for n in range(1, last["note"] + 1)]
    assert steps[: last["note"]] == whole
    assert len(steps) - last["note"] in (0, 1)


def params_of(run: LogReader) -> int:
    params = run.params
    number: int = params.get("n", 0)
    merged = {f"p{n % 7}": n for n in range(1, number + 1)}
    assert params == ({**merged, "n": number} if number else {})
    return number


def meta_of(run: LogReader) -> int:
    number: int = run.meta.get("n", 0)
    assert run.meta.get("values", []) == ([number] * LENGTH if number else [])
    return number


def array_of(run: LogReader) -> int:
    if "deep/x" not in run.arrays:
        return 0
    array = run.load_array("deep/x")
    assert array.shape == (LENGTH * 10,)
    assert (array == array[0]).all()
    return int(array[0])


def bundle_of(run: LogReader) -> int:
    if "b:x" not in run.arrays:
        return 0
    (number,) = run.load_array("b:n").tolist()
    assert (run.load_array("b:x") == number).all()
    return int(number)


def json_of(run: LogReader) -> int:
    if not run.artifacts:
        return 0
    values = run.load_json("x")
    assert values == [values[0]] * LENGTH
    return int(values[0])


def text_of(run: LogReader) -> int:
    if "x.txt" not in run.artifact_files:
        return 0
    words = run.load_text("x").split()
    assert words == [words[0]] * LENGTH
    return int(words[0])
