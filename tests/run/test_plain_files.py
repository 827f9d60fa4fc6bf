"""A run directory needs nothing of Holdfast to be read."""

import csv
import json
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml

from holdfast import Logbook


@pytest.mark.parametrize("ext", ["yaml", "json"])
def test_everything_in_a_run_directory_is_read_without_holdfast(ext: str) -> None:
    with Logbook("a", params={"dt": 0.1, "name": "größer"}) as log:
        log.params(scheme="leapfrog", ext=ext)
        log.array("states/T", np.eye(2))
        log.arrays("trajectory", x=[1.0], v=[2.0])
        log.json("metrics", {"mean": 0.5})
        log.text("table", "a,b\n1,2\n")
        log.pickle("object", {"a": 1})
        log.bytes("raw.bin", b"\0")
        log.info("two\nlines")
        log.meta(seed=7)
    run = Path("outputs/log_a")
    everything = {p.relative_to(run).as_posix() for p in run.rglob("*") if p.is_file()}

    meta = json.loads((run / "metadata.json").read_text(encoding="utf-8"))
    assert (meta["status"], meta["run_id"], meta["seed"]) == ("complete", "a", 7)
    load = yaml.safe_load if ext == "yaml" else json.loads
    expected = {"dt": 0.1, "name": "größer", "scheme": "leapfrog"}
    assert load((run / f"params.{ext}").read_text(encoding="utf-8")) == expected
    np.testing.assert_array_equal(np.load(run / "data/states/T.npy"), np.eye(2))
    with np.load(run / "data/trajectory.npz") as bundle:
        assert {key: bundle[key].tolist() for key in bundle} == {"x": [1.0], "v": [2.0]}
    assert zipfile.ZipFile(run / "data/trajectory.npz").testzip() is None
    assert json.loads((run / "artifacts/metrics.json").read_text()) == {"mean": 0.5}
    with (run / "artifacts/table.txt").open(newline="") as file:
        assert list(csv.reader(file)) == [["a", "b"], ["1", "2"]]
    assert pickle.loads((run / "artifacts/object.pkl").read_bytes()) == {"a": 1}
    assert (run / "artifacts/raw.bin").read_bytes() == b"\0"
    line = re.compile(r"\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\] (INFO|ERROR) .+|    lines")
    assert all(line.fullmatch(text) for text in (run / "log.txt").read_text().splitlines())

    assert everything == {
        "metadata.json", f"params.{ext}", "log.txt", "data/states/T.npy", "data/trajectory.npz",
        "artifacts/metrics.json", "artifacts/table.txt", "artifacts/object.pkl",
        "artifacts/raw.bin",
    }  # fmt: skip
