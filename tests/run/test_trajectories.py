from pathlib import Path

import numpy as np
import pytest

from helpers import output, python
from holdfast import Logbook, LogReader
from holdfast.errors import InvalidInputError, NotFoundError, StateError
from holdfast.fields import Field, Grid, track

GRID = Grid.unit([3])


def field(number: float) -> Field:
    return Field(GRID, np.full(3, float(number)))


def test_a_run_keeps_fields_over_time_in_its_data(tmp_path: Path) -> None:
    with Logbook("a", tmp_path) as log:
        for _ in track(((n / 2, field(n)) for n in range(5)), log.trajectory("T").tracker(1)):
            assert LogReader(log.path).trajectories == ["T"]
        log.trajectory("deep/u", dtype="f4").append(field(7), 3)
        assert LogReader(log.path).trajectory("T").times.tolist() == [0, 1, 2]
    reader = LogReader(log.path)
    assert reader.trajectories == ["T", "deep/u"]
    assert reader.trajectory("T")[1] == field(2)
    assert reader.trajectory("deep/u").dtype == np.float32
    assert (log.path / "data" / "T.h5").is_file()
    assert "2 trajectories" in repr(reader)
    assert "T (3 fields)" in reader._repr_html_()


def test_a_trajectory_that_is_there_is_continued_unless_asked_otherwise(tmp_path: Path) -> None:
    with Logbook("a", tmp_path) as log:
        log.trajectory("T").append(field(0), 0)
        log.trajectory("T", every=2).append(field(1), 1)
        assert LogReader(log.path).trajectory("T").times.tolist() == [0, 1]
        log.trajectory("T", write_mode="truncate").append(field(2), 0)
        log.trajectory("T").append(field(3), 1)
    assert LogReader(log.path).trajectory("T").times.tolist() == [0, 1]
    assert LogReader(log.path).trajectory("T")[0] == field(2)


def test_a_killed_run_has_its_trajectory(tmp_path: Path) -> None:
    program = """
        import os, signal, sys
        import numpy as np
        from holdfast import Logbook
        log = Logbook("a", sys.argv[1])
        for number in range(4):
            log.trajectory("T").append(np.full(3, float(number)), number)
        print(log.path, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    path = python(program, tmp_path).stdout.strip()
    reader = LogReader(path)
    assert reader.state == "interrupted"
    assert reader.trajectories == ["T"]
    assert reader.trajectory("T").times.tolist() == [0, 1, 2, 3]


def test_names_and_states_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with Logbook("a", tmp_path) as log:
        log.append("energy", 1.0)
        for wrong in ("streams", "../out", "x-journal", ""):
            with pytest.raises(InvalidInputError):
                log.trajectory(wrong)
        log.trajectory("temperature").append(field(0))
    with pytest.raises(StateError):
        log.trajectory("temperature")
    with pytest.raises(NotFoundError, match="temperature"):
        LogReader(log.path).trajectory("temperatur")
    with pytest.raises(NotFoundError):
        LogReader(log.path).trajectory("T")
    assert LogReader(log.path).trajectories == ["temperature"]


def test_a_logbook_without_fields_loads_none_of_it(tmp_path: Path) -> None:
    program = """
        import sys
        from holdfast import Logbook, LogReader
        with Logbook("a", sys.argv[1]) as log:
            pass
        LogReader(log.path).trajectories
        print([name for name in ("h5py", "holdfast.fields") if name in sys.modules])
    """
    assert output(program, tmp_path) == "[]"
