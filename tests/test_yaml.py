import subprocess
import sys
from pathlib import Path

import pytest

from helpers import HANG
from holdfast import Logbook
from holdfast._yaml import check_depth, load_yaml
from holdfast.errors import FormatError

DEEP = 40_000


@pytest.mark.parametrize("content", [b"[" * DEEP, b"{a: " * DEEP, b"- " * DEEP, b"? " * DEEP])
def test_yaml_that_is_too_deep_is_refused_where_it_would_crash_the_reader(content: bytes) -> None:
    with pytest.raises(FormatError, match=r"here is not valid YAML: it is nested more than 5,000"):
        load_yaml(content, "here")


def test_many_values_are_not_deep() -> None:
    check_depth(b"- [1, {a: 2}]\n" * 10_000)


def test_no_tag_runs_code() -> None:
    with pytest.raises(FormatError, match="constructor"):
        load_yaml(b"!!python/object/apply:os.getcwd []", "here")


def test_parameters_that_are_too_deep_do_not_crash_the_reader(tmp_path: Path) -> None:
    with Logbook("a", tmp_path, params={"x": 1}) as log:
        (log.path / "params.yaml").write_bytes(b"x: " + b"[" * DEEP + b"]" * DEEP)
    program = f"from holdfast import LogReader; LogReader({str(log.path)!r}).params"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=HANG, check=False
    )
    assert done.returncode == 1
    assert "FormatError" in done.stderr
    assert "params.yaml" in done.stderr
