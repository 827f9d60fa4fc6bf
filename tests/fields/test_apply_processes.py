import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import apply_work
from apply_work import OddNumberError, process_and_mean, process_of
from helpers import HANG, output, wait_until
from holdfast.errors import (
    HoldfastWarning,
    InvalidInputError,
    MissingDependencyError,
    StateError,
)
from holdfast.fields import (
    Field,
    FileStorage,
    Grid,
    MemoryStorage,
    MovieStorage,
    StorageBase,
    ZarrStorage,
)
from holdfast.fields._parallel import BATCH_BYTES, Task, _batch_size

pytest.importorskip("loky")

HERE = os.getpid()
COUNT = 60


@pytest.fixture
def many() -> StorageBase:
    return MemoryStorage.from_fields([np.array([n]) for n in range(COUNT)])


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let "auto" hand over after two fields whatever can be."""
    monkeypatch.setattr("holdfast.fields._parallel.COLD", -1.0)
    monkeypatch.setattr("holdfast.fields._parallel.WARM", -1.0)
    monkeypatch.setattr("holdfast.fields._parallel.usable_cores", lambda: 2)


def are_in_order_and_elsewhere(done: list[tuple[int, int]]) -> bool:
    return [number for _, number in done] == list(range(len(done))) and HERE not in pids(done)


def pids(done: list[tuple[int, Any]]) -> set[int]:
    return {pid for pid, _ in done}


@pytest.mark.parametrize("parallel", [True, 3, "processes"])
def test_processes_share_the_work_and_keep_the_order(many: StorageBase, parallel: Any) -> None:
    done = many.apply(process_of, parallel=parallel)
    assert len(done) == COUNT
    assert are_in_order_and_elsewhere(done)


def test_a_single_field_stays_here(many: StorageBase) -> None:
    assert MemoryStorage.from_fields([many[7]]).apply(process_of, parallel=2) == [(HERE, 7)]


def test_workers_stay_for_the_next_call(many: StorageBase) -> None:
    found = set().union(*(pids(many.apply(process_of, parallel=2)) for _ in range(5)))
    assert len(found) <= 2


@pytest.mark.parametrize("kind", [FileStorage, ZarrStorage, MemoryStorage])
def test_every_storage_gives_its_fields_to_processes(
    kind: Callable[..., StorageBase], tmp_path: Path
) -> None:
    storage = kind() if kind is MemoryStorage else kind(tmp_path / "fields.h5")
    grid = Grid.unit([3, 2])
    for n in range(COUNT):
        storage.append(Field(grid, np.full((3, 2), float(n))), n)
    for open_still in (True, False):
        done = storage.apply(process_and_mean, parallel=2)
        assert are_in_order_and_elsewhere(done), open_still
        storage.end_writing()


def test_processes_read_a_file_anew_that_has_been_replaced(tmp_path: Path) -> None:
    for number in (1, 2):
        with FileStorage(tmp_path / "a.h5", write_mode="truncate") as storage:
            storage.write([np.full(3, number), np.full(3, number)])
        assert storage.apply(np.max, parallel=2) == [number, number]


def test_an_archive_gives_its_fields_to_processes(tmp_path: Path) -> None:
    with MovieStorage(tmp_path / "a.mkv", codec="ffv1", vmin=0, vmax=65535, fps=5) as storage:
        for n in range(20):
            storage.append(Field(Grid.unit([4, 4]), np.full((4, 4), float(n))), n)
    archive = MovieStorage(tmp_path / "a.mkv", write_mode="readonly")
    assert are_in_order_and_elsewhere(archive.apply(process_and_mean, parallel=2))


def test_fields_of_pde_and_of_views_go_to_processes_and_come_back(tmp_path: Path) -> None:
    pde = pytest.importorskip("pde")
    grid = pde.UnitGrid([3, 2])
    with FileStorage(tmp_path / "fields.h5") as storage:
        for n in range(COUNT):
            parts = [pde.ScalarField(grid, n), pde.VectorField(grid, 2.0 * n)]
            storage.append(pde.FieldCollection(parts, labels=["u", "v"]), n)
    found = storage.view_field("v").apply(apply_work.squared, parallel=2)
    assert [float(field.data[0, 0, 0]) for field in found] == [4.0 * n * n for n in range(COUNT)]
    assert type(found[0]) is pde.VectorField
    assert found[0].grid == grid


@pytest.mark.usefixtures("eager")
def test_work_that_pays_begins_here_and_is_then_given_away(many: StorageBase) -> None:
    offset = 3
    done = many.apply(lambda a: (os.getpid(), int(a[0]) + offset))  # of no module, too
    assert [number for _, number in done] == [n + offset for n in range(COUNT)]
    assert pids(done[:2]) == {HERE}
    assert HERE not in pids(done[2:])


@pytest.mark.usefixtures("eager")
def test_work_that_must_stay_stays(many: StorageBase) -> None:
    seen: list[int] = []
    lock = threading.Lock()
    elsewhere_unknown = ModuleType("nowhere_to_be_found")
    exec("import os\ndef f(a):\n    return os.getpid(), 1", vars(elsewhere_unknown))  # noqa: S102
    sys.modules["nowhere_to_be_found"] = elsewhere_unknown
    try:
        assert many.apply(lambda a: seen.append(int(a[0]))) == [None] * COUNT
        assert pids(many.apply(lambda _: (os.getpid(), lock.locked()))) == {HERE}
        assert pids(many.apply(lambda _: (os.getpid(), threading.Lock()))) == {HERE}
        assert pids(many.apply(elsewhere_unknown.f)) == {HERE}
        with pytest.raises(InvalidInputError, match="nowhere_to_be_found"):
            many.apply(elsewhere_unknown.f, parallel="processes")
    finally:
        del sys.modules["nowhere_to_be_found"]
    assert seen == list(range(COUNT))


def test_an_error_in_a_process_keeps_its_type_and_says_which_field(many: StorageBase) -> None:
    with pytest.raises(OddNumberError) as caught:
        many.apply(apply_work.fails, parallel=2)
    assert caught.value.__notes__ == ["in field 3, at time 3, of a storage's apply()"]
    assert "apply_work.py" in str(caught.value.__cause__)
    with pytest.raises(StateError, match="StayingError: 0 of 7"):
        many.apply(apply_work.fails_for_itself, parallel=2)
    with pytest.raises(InvalidInputError, match="of the user's own"):
        many.apply(apply_work.fails_like_us, parallel=2)
    with pytest.raises(TypeError, match="lock"):
        many.apply(lambda _: threading.Lock(), parallel=2)
    assert are_in_order_and_elsewhere(many.apply(process_of, parallel=2))


def test_the_death_of_a_process_is_an_error_and_the_next_call_has_another(
    many: StorageBase,
) -> None:
    with pytest.raises(StateError, match="SIGKILL"):
        many.apply(apply_work.dies, parallel=2)
    first = many.apply(process_of, parallel=2)
    for pid in pids(first):
        os.kill(pid, signal.SIGKILL)  # while it waits for the next call
    wait_until(lambda: not any(map(exists, pids(first))))
    again = many.apply(process_of, parallel=2)
    assert are_in_order_and_elsewhere(again)
    assert not pids(again) & pids(first)


def test_a_call_that_ends_early_harms_not_the_next(many: StorageBase) -> None:
    with pytest.raises(InvalidInputError, match="no field"):
        many.apply(process_of, MemoryStorage(), parallel=2)
    assert are_in_order_and_elsewhere(many.apply(process_of, parallel=2))


def test_what_no_one_can_send_is_done_by_threads_or_refused(many: StorageBase) -> None:
    lock = threading.Lock()
    with pytest.warns(HoldfastWarning, match="lock"):
        assert many.apply(lambda _: lock.locked(), parallel=2) == [False] * COUNT
    with pytest.raises(InvalidInputError, match="lock"):
        many.apply(lambda _: lock.locked(), parallel="processes")


@pytest.mark.usefixtures("eager")
def test_without_loky_threads_do_it_or_it_is_asked_for(
    many: StorageBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "loky", None)
    with pytest.raises(MissingDependencyError, match=r"holdfast\[fields\]"):
        many.apply(process_of, parallel="processes")
    for number in (True, 2):
        with pytest.warns(HoldfastWarning, match="threads share the work"):
            assert pids(many.apply(process_of, parallel=number)) == {HERE}
    assert pids(many.apply(process_of)) == {HERE}


def test_processes_read_a_module_again_that_has_changed(
    many: StorageBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for number in (1, 22):
        (tmp_path / "changing.py").write_text(f"import os\nf = lambda a: (os.getpid(), {number})")
        os.utime(tmp_path / "changing.py", (number, number))
        importlib.invalidate_caches()
        sys.modules.pop("changing", None)
        done = many.apply(importlib.import_module("changing").f, parallel=2)
        assert HERE not in pids(done)
        assert {found for _, found in done} == {number}


def test_a_worker_does_alone_what_it_applies_itself(many: StorageBase) -> None:
    for pid, nested in many.apply(apply_work.process_of_nested, parallel=2):
        assert nested == {pid}


def test_a_process_that_may_have_none_of_its_own_works_alone() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:  # its processes are daemons
        pid, nested = pool.apply(apply_work.process_of_nested, (np.zeros(1),))
    assert nested == {pid}


def test_a_forked_process_has_workers_of_its_own() -> None:
    program = """
        import os, warnings
        import numpy as np
        from apply_work import process_of
        from holdfast.fields import MemoryStorage
        storage = MemoryStorage.from_fields([np.array([n]) for n in range(20)])
        first = {pid for pid, _ in storage.apply(process_of, parallel=2)}
        warnings.simplefilter("ignore")  # that processes with threads should not be forked
        child = os.fork()
        done = storage.apply(process_of, parallel=2)
        assert [number for _, number in done] == list(range(20))
        if not child:
            assert not {pid for pid, _ in done} & first
            raise SystemExit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    assert output(program, env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}) == "7"


def test_batches_are_bounded_in_bytes(tmp_path: Path) -> None:
    storage = FileStorage(tmp_path / "a.h5")
    storage.write([np.zeros(BATCH_BYTES // 16)] * 2)

    class Two:
        count, size = 2, 0

    task = Task(storage.form, len, 1, {}, [0.0] * 900, storage)
    assert _batch_size(task, Two, 900, 1e-9) == 2  # type: ignore[arg-type]
    storage.end_writing()


PROGRAM = """
    import os, time
    import numpy as np
    from holdfast.fields import MemoryStorage

    print("begun")

    def slow(field):
        open(f"worker-{os.getpid()}", "w").close()
        time.sleep(float(os.environ["SECONDS"]))
        return os.getpid()

    storage = MemoryStorage.from_fields([np.array([n]) for n in range(20)])
"""


def start(folder: Path, program: str, seconds: float = 0) -> tuple["subprocess.Popen[str]", str]:
    """Run a program in a group of its own; its processes are known by a mark."""
    (folder / "program.py").write_text(textwrap.dedent(PROGRAM) + textwrap.dedent(program))
    mark = uuid.uuid4().hex
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "program.py"],
        cwd=folder,
        env=os.environ | {"HOLDFAST_TEST_MARK": mark, "SECONDS": str(seconds)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    return process, mark


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def marked(mark: str) -> list[str]:
    """Return the processes of a program, its helpers too."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in path.read_bytes():
                found.append(path.parent.name)
        except OSError:  # of somebody else, or gone
            continue
    return found


def left_behind(pid: int) -> list[Path]:
    return list(Path("/dev/shm").glob(f"*loky-{pid}-*"))


def test_a_program_needs_no_guard_is_not_run_again_and_leaves_nothing(tmp_path: Path) -> None:
    process, mark = start(
        tmp_path, 'print(os.getpid() in storage.apply(slow, parallel="processes"))'
    )
    out, err = process.communicate(timeout=HANG)
    assert (out, err, process.returncode) == ("begun\nFalse\n", "", 0)
    wait_until(lambda: not marked(mark))
    assert not left_behind(process.pid)


def test_a_program_that_fails_does_not_wait_for_what_others_do(tmp_path: Path) -> None:
    process, mark = start(
        tmp_path,
        """
        def fails(field):
            if field[0] == 0:
                while len(list(__import__("pathlib").Path().glob("worker-*"))) < 1:
                    time.sleep(0.01)
                raise ZeroDivisionError
            slow(field)

        storage.apply(fails, parallel=2)
        """,
        seconds=3600,
    )
    _, err = process.communicate(timeout=HANG)
    assert "\nZeroDivisionError" in err
    wait_until(lambda: not marked(mark))


def test_ctrl_c_ends_what_runs_and_is_told_once(tmp_path: Path) -> None:
    process, mark = start(tmp_path, "storage.apply(slow, parallel=2)", seconds=3600)
    wait_until(lambda: len(list(tmp_path.glob("worker-*"))) == 2)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, err = process.communicate(timeout=HANG)
    assert err.count("Traceback") == 1
    assert err.endswith("KeyboardInterrupt\n")
    wait_until(lambda: not marked(mark))
    assert not left_behind(process.pid)


@pytest.mark.parametrize("seconds", [0, 3600])
def test_a_program_that_is_killed_takes_its_processes_along(tmp_path: Path, seconds: float) -> None:
    program = "storage.apply(slow, parallel=2)\nopen('done', 'w').close()\ntime.sleep(3600)"
    process, mark = start(tmp_path, program, seconds)
    wait_until((tmp_path / "done").exists if not seconds else lambda: any(tmp_path.glob("wor*")))
    process.kill()
    process.communicate(timeout=HANG)
    wait_until(lambda: not marked(mark))
    assert not left_behind(process.pid)


def test_loky_is_imported_when_processes_are_asked_for() -> None:
    program = """
        import sys
        import numpy as np
        import holdfast, holdfast.fields
        holdfast.fields.MemoryStorage.from_fields([np.zeros(1)]).apply(np.sum)
        print([name for name in sys.modules if name.split(".")[0] in ("loky", "cloudpickle")])
    """
    assert output(program) == "[]"


def test_progress_counts_what_processes_do(
    many: StorageBase, capsys: pytest.CaptureFixture[str]
) -> None:
    assert are_in_order_and_elsewhere(many.apply(process_of, parallel=2, progress=True))
    assert capsys.readouterr().out == ""
