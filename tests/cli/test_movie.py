import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from commands import holdfast
from holdfast import H5Logger
from holdfast.fields import FileStorage, MovieStorage, ZarrStorage
from movies import FLAT, decoded, moving, write_movie

STORAGES: list[tuple[str, Any]] = [
    ("x.h5", FileStorage),
    ("x.zarr", ZarrStorage),
    ("x.mkv", MovieStorage),
]


@pytest.mark.parametrize(("name", "kind"), STORAGES, ids=[name for name, _ in STORAGES])
def test_the_fields_of_a_file_are_shown_and_made_a_movie(
    tmp_path: Path, name: str, kind: Any
) -> None:
    write_movie(kind(name, info={"run": "A"}), 4)
    done = holdfast("show", name, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["holds"] == "fields over time"
    assert told["fields"]["number"] == 4
    assert told["fields"]["times"] == [0, 0.75]
    assert told["fields"]["shape"] == [8, 4]
    assert told["fields"]["kind"] == "ScalarField"
    assert "[8, 4]" in told["fields"]["grid"] or "(8, 4)" in told["fields"]["grid"]
    assert told["attributes"]["run"] == "A"
    assert "ScalarField" in holdfast("show", name).stdout
    target = tmp_path / "made.gif"
    done = holdfast("movie", name, "-o", target, "--bare", "--limits", 0, 1, "--quiet")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{target}: 4 frames\n"
    assert len(decoded(target)) == 4


def test_the_streams_of_a_file_are_shown(tmp_path: Path) -> None:
    with H5Logger("run.h5") as log:
        for number in range(3):
            log.log("energy", float(number))
            log.log("state", np.zeros((2, 2)))
    told = json.loads(holdfast("show", "run.h5", "--json").stdout)
    assert told["streams"]["energy"]["shape"] == [3]
    assert told["streams"]["state"] == {"dtype": "float64", "shape": [3, 2, 2], "attrs": {}}
    shown = holdfast("show", "run.h5").stdout
    assert "energy" in shown
    assert "float64" in shown
    done = holdfast("movie", "run.h5")
    assert done.returncode == 4
    assert "neither data nor times" in done.stderr


def test_a_file_is_shown_while_a_writer_lives_or_after_it_died() -> None:
    for name, kind in STORAGES[:2]:
        storage = kind(name)
        storage.append(moving(0), 0)
        assert json.loads(holdfast("show", name, "--json").stdout)["fields"]["number"] == 1
        storage.close()


def test_a_killed_store_is_recovered() -> None:
    tests = str(Path(__file__).resolve().parents[1])
    program = f"""
import os, sys
sys.path[:0] = [{tests!r}]
from zarr_work import X, ZarrStorage, fill
fill(ZarrStorage(X), range(5))
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", program], check=False)
    assert sorted(os.listdir()) == ["x.zarr-journal"]
    assert json.loads(holdfast("show", "x.zarr", "--json").stdout)["fields"]["number"] == 5
    done = holdfast("recover", ".", "--json")
    assert json.loads(done.stdout) == [{"file": "x.zarr", "rows": {"data": 5}, "problems": []}]
    assert os.listdir() == ["x.zarr"]
    assert "whole" in holdfast("recover", "x.zarr").stdout


def test_what_is_not_there_or_wrong_has_its_exit_code() -> None:
    write_movie(FileStorage("x.h5"), 2)
    assert holdfast("movie", "nothing.h5").returncode == 3
    assert holdfast("movie", "x.h5", "-o", "x.txt").returncode == 2
    assert holdfast("movie", "x.h5", "-o", "x.mp4", "--codec", "divx").returncode == 2
    Path("text.h5").write_text("no HDF5")
    assert holdfast("show", "text.h5").returncode == 4
    done = holdfast("movie", "x.h5", "--bare", "--quiet")
    assert done.returncode == 0
    assert len(decoded(Path("x.mp4"))) == 2
    assert FLAT.shape == (8, 4)


def test_a_movie_does_not_take_the_place_of_the_fields_it_is_made_of() -> None:
    write_movie(MovieStorage("x.mp4", codec="ffv1"), 2)
    before = Path("x.mp4").read_bytes()
    done = holdfast("movie", "x.mp4", "--quiet")
    assert done.returncode == 2
    assert "holds the fields themselves" in done.stderr
    assert Path("x.mp4").read_bytes() == before


def test_a_rendering_is_said_to_hold_no_fields() -> None:
    write_movie(MovieStorage("x.gif", bare=True), 2)
    done = holdfast("show", "x.gif")
    assert done.returncode == 4
    assert "movie without data" in done.stderr


def test_numbers_of_a_grid_are_shown_plain() -> None:
    pde = pytest.importorskip("pde")
    with FileStorage("x.h5") as storage:
        storage.append(pde.ScalarField(pde.CartesianGrid([[0, 2], [0, 1]], [4, 2]), 1.0), 0)
    assert (
        "((0.0, 2.0), (0.0, 1.0))"
        in json.loads(holdfast("show", "x.h5", "--json").stdout)["fields"]["grid"]
    )
    assert "float64(" not in holdfast("show", "x.h5").stdout


def test_a_rendering_and_a_folder_are_refused_for_what_they_are() -> None:
    write_movie(MovieStorage("x.mp4", bare=True), 2)
    done = holdfast("show", "x.mp4")
    assert done.returncode != 0
    assert "movie without data" in done.stderr
    done = holdfast("movie", ".")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
