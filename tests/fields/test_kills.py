"""Writers of fields killed by SIGKILL at random instants."""

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from helpers import HANG, output
from holdfast.fields import FileStorage, Grid

GRID = Grid.cartesian([[0, 1], [0, 2]], [16, 24])


@pytest.fixture
def killer() -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, Path(__file__).parent / "killed_work.py"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    process.communicate(timeout=HANG)
    assert process.returncode == 0


def killed(
    killer: "subprocess.Popen[str]", path: Path, mode: str, first: int, delay: float | str
) -> int:
    assert killer.stdin is not None
    assert killer.stdout is not None
    killer.stdin.write(f"{path} {mode} {first} {delay}\n")
    killer.stdin.flush()
    return int(killer.stdout.readline())


def check(path: Path, first: int, accepted: int) -> int:
    """Return the number after the last field, having looked at all from `first` on."""
    storage = FileStorage(path, write_mode="readonly")
    times = storage.times
    # One that was written when the kill came may be there too, as a whole.
    assert accepted <= first + len(times) <= accepted + 1
    assert times.tolist() == list(range(first, first + len(times)))
    for number, field in enumerate(storage):
        assert np.array_equal(field.data, np.full(GRID.shape, float(first + number)))
        assert field.grid == GRID
    if storage.shape is not None:
        assert storage.grid == GRID
        assert storage.info["run"] == "A"
    return first + len(times)


@pytest.mark.timeout(7200)
def test_whenever_a_writer_is_killed_every_accepted_field_is_there_and_it_is_continued(
    killer: "subprocess.Popen[str]", kills: int, tmp_path: Path
) -> None:
    chance = random.Random(4)  # noqa: S311 - a test to be repeated
    stop = 0
    for number in range(kills // 5):
        path = tmp_path / f"{number // 5}.h5"
        stop = stop if number % 5 else 0
        accepted = killed(killer, path, "append", stop, 60_000 * chance.random())
        if path.exists() or accepted > stop or Path(f"{path}-journal").exists():
            stop = check(path, 0, accepted)
    accepted = killed(killer, path, "append", stop, "accepted")
    assert check(path, 0, accepted) > stop


@pytest.mark.timeout(7200)
def test_whenever_a_writer_that_replaces_a_file_is_killed_the_old_or_the_new_is_whole(
    killer: "subprocess.Popen[str]", kills: int, tmp_path: Path
) -> None:
    chance = random.Random(5)  # noqa: S311 - a test to be repeated
    path = tmp_path / "a.h5"
    old = 0, check(path, 0, killed(killer, path, "truncate", 0, "accepted"))
    assert old[1] > 0
    for number in range(kills // 5):
        first = 1000 * (number + 1)
        longest = chance.choice([30_000, 100_000])
        accepted = killed(killer, path, "truncate", first, longest * chance.random())
        times = FileStorage(path, write_mode="readonly").times
        if accepted > first or times[0] == first:
            old = first, check(path, first, accepted)
        else:
            check(path, *old)
    first = 1000 * kills
    check(path, first, killed(killer, path, "truncate", first, "accepted"))


def test_a_solver_that_raises_leaves_times_data_and_grid(tmp_path: Path) -> None:
    program = """
        import sys
        import numpy as np
        from holdfast.fields import Field, FileStorage, Grid, track

        def solver():
            for step in range(100):
                if step == 7:
                    raise FloatingPointError("it diverged")
                yield step / 10, Field(Grid.unit([3, 4]), np.full((3, 4), float(step)))

        storage = FileStorage(sys.argv[1])
        tracker = storage.tracker(0.1)
        first = True
        try:
            for t, state in solver():  # as a solver that never ends its trackers
                if first:
                    tracker.initialize(state, {"controller": {"t_start": t}})
                    first = False
                tracker.handle(state, t)
        except FloatingPointError:
            print("failed")
    """
    assert output(program, tmp_path / "a.h5") == "failed"
    found = FileStorage(tmp_path / "a.h5", write_mode="readonly")
    assert found.times == pytest.approx(np.arange(7) / 10)
    assert found.grid == Grid.unit([3, 4])
    assert found[6].data.tolist() == [[6.0] * 4] * 3


def test_another_process_reads_while_fields_are_written(tmp_path: Path) -> None:
    with FileStorage(tmp_path / "a.h5") as storage:
        for number in range(3):
            storage.append(np.full(4, float(number)), number)
            program = """
                import sys
                from holdfast.fields import FileStorage
                storage = FileStorage(sys.argv[1], write_mode="readonly")
                print(len(storage), storage.times[-1], storage[-1][0], storage.live)
            """
            said = output(program, tmp_path / "a.h5")
            assert said == f"{number + 1} {float(number)} {float(number)} True"


def test_a_program_that_ends_without_ending_its_storage_leaves_a_file_for_every_tool(
    tmp_path: Path,
) -> None:
    program = """
        import sys
        import numpy as np
        from holdfast.fields import FileStorage
        for turn in range(2):
            storage = FileStorage(sys.argv[1], write_mode="append")
            storage.append(np.full(4, float(turn)), turn)
            if not turn:
                storage.close()
    """
    output(program, tmp_path / "a.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["times"][:].tolist() == [0, 1]
        assert file.attrs["data_length"] == "2"
