import functools
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import apply_work
from apply_work import OddNumberError, process_and_mean, process_of, wait_for_others
from helpers import HANG, wait_until
from holdfast.errors import HoldfastWarning, InvalidInputError, StateError
from holdfast.fields import (
    Field,
    FileStorage,
    Grid,
    MemoryStorage,
    MovieStorage,
    StorageBase,
    ZarrStorage,
    _pool,
)

HERE = os.getpid()
COUNT = 200


@pytest.fixture
def many() -> StorageBase:
    return MemoryStorage.from_fields([np.array([n]) for n in range(COUNT)])


@pytest.fixture(autouse=True)
def _no_worker_is_left() -> Iterator[None]:
    yield
    _pool.end_all()


def in_order_here_and_elsewhere(done: list[tuple[int, int]]) -> bool:
    return [number for _, number in done] == list(range(COUNT)) and len({p for p, _ in done}) > 1


def pids(done: list[tuple[int, Any]]) -> set[int]:
    return {pid for pid, _ in done} - {HERE}


def test_processes_share_the_work_and_keep_the_order(many: StorageBase) -> None:
    done = many.apply(process_of, parallel=2, slow_in=HERE)
    assert done[0][0] == HERE
    assert in_order_here_and_elsewhere(done)


def test_work_that_pays_is_given_to_processes(
    many: StorageBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.fields._parallel.COLD", 0.001)
    monkeypatch.setattr("holdfast.fields._parallel.usable_cores", lambda: 2)
    assert in_order_here_and_elsewhere(many.apply(process_of, slow_in=HERE))


def test_workers_stay_for_the_next_call(many: StorageBase) -> None:
    first = pids(many.apply(process_of, parallel=2, slow_in=HERE))
    assert len(first) == 1
    assert pids(many.apply(apply_work.fails_nowhere, parallel=2)) <= first
    assert pids(many.apply(process_of, parallel=2, slow_in=HERE)) == first


@pytest.mark.parametrize("kind", [FileStorage, ZarrStorage, MemoryStorage])
def test_every_storage_gives_its_fields_to_processes(
    kind: Callable[..., StorageBase], tmp_path: Path
) -> None:
    storage = kind() if kind is MemoryStorage else kind(tmp_path / "fields.h5")
    grid = Grid.unit([3, 2])
    for n in range(COUNT):
        storage.append(Field(grid, np.full((3, 2), float(n))), n)
    for open_still in (True, False):
        done = storage.apply(process_and_mean, parallel=2, slow_in=HERE)
        assert in_order_here_and_elsewhere(done), open_still
        storage.end_writing()


def test_an_archive_gives_its_fields_to_processes(tmp_path: Path) -> None:
    with MovieStorage(tmp_path / "a.mkv", codec="ffv1", vmin=0, vmax=65535, fps=5) as storage:
        for n in range(20):
            storage.append(Field(Grid.unit([4, 4]), np.full((4, 4), float(n))), n)
    done = MovieStorage(tmp_path / "a.mkv", write_mode="readonly").apply(
        process_and_mean, parallel=2, slow_in=HERE
    )
    assert [round(mean) for _, mean in done] == list(range(20))


def test_fields_of_pde_and_of_views_go_to_processes_and_come_back(tmp_path: Path) -> None:
    pde = pytest.importorskip("pde")
    grid = pde.UnitGrid([3, 2])
    with FileStorage(tmp_path / "fields.h5") as storage:
        for n in range(60):
            parts = [pde.ScalarField(grid, n), pde.VectorField(grid, 2.0 * n)]
            storage.append(pde.FieldCollection(parts, labels=["u", "v"]), n)
    found = storage.view_field("v").apply(apply_work.squared, parallel=2, slow_in=HERE)
    assert [float(field.data[0, 0, 0]) for field in found] == [4.0 * n * n for n in range(60)]
    assert type(found[0]) is pde.VectorField
    assert found[0].grid == grid


def test_an_error_in_a_process_keeps_its_type_and_says_which_field(many: StorageBase) -> None:
    with pytest.raises(OddNumberError) as caught:
        many.apply(apply_work.fails_elsewhere, parallel=2, here=HERE)
    notes = "\n".join(caught.value.__notes__)
    assert f"in field {caught.value.args[0]}, at time" in notes
    assert "fails_elsewhere" in notes


def test_the_death_of_a_process_is_an_error_and_the_next_call_has_another(
    many: StorageBase,
) -> None:
    with pytest.raises(StateError, match="SIGKILL in field"):
        many.apply(apply_work.dies_elsewhere, parallel=2, here=HERE)
    first = many.apply(process_of, parallel=2, slow_in=HERE)
    for pid in pids(first):
        os.kill(pid, signal.SIGKILL)  # while it waits for the next call
        wait_until(functools.partial(is_gone, pid))
    again = many.apply(process_of, parallel=2, slow_in=HERE)
    assert in_order_here_and_elsewhere(again)
    assert not pids(again) & pids(first)


def test_an_interrupt_ends_the_processes_that_are_at_work(
    many: StorageBase, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started: list[_pool.Worker] = []
    borrowed = _pool.borrowed

    def noted(count: int) -> list[_pool.Worker]:
        started.extend(borrowed(count))
        return started

    monkeypatch.setattr(_pool, "borrowed", noted)
    with pytest.raises(KeyboardInterrupt):
        many.apply(apply_work.interrupts, parallel=2, here=HERE, marker=tmp_path / "m")
    assert len(started) == 1
    assert not started[0].is_alive


def test_a_reader_who_stops_early_ends_nothing_that_others_need(many: StorageBase) -> None:
    with pytest.raises(InvalidInputError, match="no field"):
        many.apply(process_of, MemoryStorage(), parallel=2, slow_in=HERE)
    assert in_order_here_and_elsewhere(many.apply(process_of, parallel=2, slow_in=HERE))


def test_a_function_without_a_module_travels_as_its_code_or_is_refused(
    many: StorageBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cloudpickle")
    factor = 3
    done = many.apply(
        lambda a: (wait_for_others(int(a[0]), HERE), os.getpid(), factor * int(a[0]))[1:],
        parallel=2,
    )
    assert [number for _, number in done] == [3 * n for n in range(COUNT)]
    assert len(pids(done)) == 1
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(InvalidInputError, match="top of a module"):
        many.apply(lambda _: factor, parallel="processes")
    with pytest.warns(HoldfastWarning, match="threads"):
        assert many.apply(lambda _: factor, parallel=2) == [3] * COUNT


def test_what_no_one_can_send_is_done_by_threads(many: StorageBase) -> None:
    lock = threading.Lock()
    with pytest.warns(HoldfastWarning, match="lock"):
        assert many.apply(lambda _: lock.locked(), parallel=2) == [False] * COUNT


def test_processes_read_a_module_again_that_has_changed(
    many: StorageBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    import importlib

    for number in (1, 22):
        text = f"""
            import os
            from apply_work import wait_for_others
            def f(a):
                wait_for_others(int(a[0]), {HERE})
                return os.getpid(), {number}
        """
        (tmp_path / "changing.py").write_text(textwrap.dedent(text))
        importlib.invalidate_caches()
        sys.modules.pop("changing", None)
        module = importlib.import_module("changing")
        done = many.apply(module.f, parallel=2)
        assert len(pids(done)) == 1
        assert {found for _, found in done} == {number}


PROGRAM = """
    import os
    import numpy as np
    from apply_work import wait_for_others
    from holdfast.fields import MemoryStorage, _pool

    def slow(field):
        wait_for_others(int(field[0]), int(os.environ["PROGRAM"]))
        return os.getpid()

    def work():
        os.environ["PROGRAM"] = str(os.getpid())
        storage = MemoryStorage.from_fields([np.array([n]) for n in range(200)])
        print(len(set(storage.apply(slow, parallel=2))), *[w.pid for w in _pool.idle()], flush=True)
"""


def run(folder: Path, program: str) -> "subprocess.CompletedProcess[str]":
    (folder / "program.py").write_text(textwrap.dedent(program))
    return subprocess.run(
        [sys.executable, "program.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return (Path("/proc") / str(pid) / "stat").read_text().split(") ")[1].startswith("Z")


def test_a_function_of_a_program_is_done_elsewhere_and_no_process_is_left(tmp_path: Path) -> None:
    done = run(tmp_path, PROGRAM + '\n    if __name__ == "__main__":\n        work()\n')
    assert (done.stderr, done.returncode) == ("", 0)
    processes, worker = done.stdout.split()
    assert int(processes) == 2
    assert is_gone(int(worker))


def test_a_program_that_does_not_guard_its_main_part_is_told_so(tmp_path: Path) -> None:
    done = run(tmp_path, PROGRAM + "\n    work()\n")
    assert "StateError" in done.stderr
    assert "__main__" in done.stderr


def test_a_program_that_is_killed_takes_its_processes_along(tmp_path: Path) -> None:
    ending = '\n    if __name__ == "__main__":\n        work()\n        os.kill(os.getpid(), 9)\n'
    worker = int(run(tmp_path, PROGRAM + ending).stdout.split()[1])
    wait_until(lambda: is_gone(worker))


def test_progress_counts_what_processes_do(
    many: StorageBase, capsys: pytest.CaptureFixture[str]
) -> None:
    done = many.apply(process_of, parallel=2, progress=True, slow_in=HERE)
    assert in_order_here_and_elsewhere(done)
    assert capsys.readouterr().out == ""
