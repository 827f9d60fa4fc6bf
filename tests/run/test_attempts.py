import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import HANG, contents, output, start
from holdfast import AlreadyExistsError, Logbook, LogReader, StateError
from holdfast.streams import Streams

DIE_AT_EVERY_STEP = """
    # In a folder for each step of Logbook(..., <how>=True), a process that is killed at this step.
    import os, shutil, signal, sys
    from holdfast import Logbook
    import holdfast.run._environment
    holdfast.run._environment.environment()
    CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "open", "shutil.rmtree"}
    how, exists = sys.argv[1], len(sys.argv) > 2

    def begin(last):
        steps = 0
        def watch(event, arguments):
            nonlocal steps
            if event in CHANGES and "outputs" in str(arguments[0]):
                steps += 1
                if steps == last:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(watch)
        Logbook("a", params={"attempt": "new"}, **{how: True})

    def fail():
        log = Logbook("a", params={"attempt": "old"})
        log.params(ext="json", more=1)
        log.array("deep/x", [1.0, 2.0])
        log.json("m", {"a": 1})
        log.mark_failed("diverged")

    def in_child(function, *arguments):
        if os.fork() == 0:
            function(*arguments)
            os._exit(0)
        return os.wait()[1]

    died, step = True, 0
    while died:
        step += 1
        os.mkdir(str(step))
        os.chdir(str(step))
        if exists:
            in_child(fail)
            shutil.copytree("outputs/log_a", "before")
        died = in_child(begin, step) == signal.SIGKILL
        os.chdir("..")
    print(step)
"""


def failed_run() -> Path:
    log = Logbook("a", params={"attempt": "old"})
    log.params(ext="json", more=1)
    log.array("deep/x", [1.0, 2.0])
    log.json("m", {"a": 1})
    log.mark_failed("diverged")
    return log.path


def kept(run: Path) -> dict[str, bytes]:
    return {name: data for name, data in contents(run).items() if not name.startswith("attempts/")}


def test_a_retried_run_begins_anew_and_keeps_the_old_attempt_as_it_was() -> None:
    path = failed_run()
    before = contents(path)
    with Logbook("a", params={"attempt": "new"}, retry=True) as log:
        log.json("m", {"a": 2})
    run = LogReader(path)
    assert (run.state, run.meta["attempt"], run.params) == ("complete", 2, {"attempt": "new"})
    assert run.arrays == []
    assert "failure_reason" not in run.meta
    (old,) = run.attempts
    assert contents(old.path) == before
    assert (old.run_id, old.state, old.meta["attempt"]) == ("a", "failed", 1)


def test_attempts_are_counted_on_and_listed_oldest_first() -> None:
    failed_run()
    for number in range(2, 12):
        log = Logbook("a", params={"number": number}, retry=True)
        log.mark_failed("again")
    attempts = LogReader(log.path).attempts
    assert [run.meta["attempt"] for run in attempts] == list(range(1, 11))
    assert [run.params.get("number") for run in attempts] == [None, *range(2, 11)]


def test_a_run_that_does_not_exist_is_simply_begun() -> None:
    assert Logbook("a", retry=True).status == "initialized"


@pytest.mark.parametrize("state", ["complete", "running"])
def test_a_run_that_is_complete_or_running_is_not_retried_and_not_touched(state: str) -> None:
    log = Logbook("a")
    if state == "complete":
        log.mark_complete()
    before = contents(log.path)
    with pytest.raises(StateError, match=f"is {state}"):
        Logbook("a", retry=True)
    assert contents(log.path) == before
    assert not (log.path / "attempts").exists()


def test_parameters_that_are_refused_leave_the_old_attempt_in_its_place() -> None:
    path = failed_run()
    before = contents(path)
    with pytest.raises(ValueError, match="YAML"):
        Logbook("a", params={"x": "\udcff"}, retry=True)
    assert kept(path) == before
    assert LogReader(path).attempts == []


def test_a_failed_run_is_not_retried_unless_asked() -> None:
    failed_run()
    with pytest.raises(AlreadyExistsError):
        Logbook("a")


def test_the_logbook_of_the_old_attempt_writes_nothing_more() -> None:
    old = Logbook("a")
    old.mark_failed("x")
    new = Logbook("a", retry=True)
    with pytest.raises(StateError, match="newer one"):
        old.json("late", 1)
    assert LogReader(new.path).artifact_files == []


def test_an_old_attempt_that_still_lives_in_another_process_is_shut_out() -> None:
    """As when its host was silent for so long that it was taken for dead."""
    program = """
        from holdfast import Logbook, StateError
        log = Logbook("a")
        log.info("first")
        print("ready", flush=True)
        input()
        for write in (lambda: log.json("x", 1), lambda: log.meta(a=1), log.mark_complete):
            try:
                write()
            except StateError as error:
                print("refused" if "newer" in str(error) else error)
    """
    process = start(program)
    meta_path = Path("outputs/log_a/metadata.json")
    meta = json.loads(meta_path.read_bytes())
    meta["environment"]["host"] = "elsewhere"
    meta_path.write_text(json.dumps(meta))
    os.utime("outputs/log_a/log.txt", (0, 0))
    new = Logbook("a", retry=True)
    shown, _ = process.communicate("\n", timeout=HANG)
    assert shown.splitlines() == ["refused"] * 3
    assert (new.status, LogReader(new.path).artifact_files) == ("initialized", [])


def killed_at_every_step(how: str, *, exists: bool) -> Iterator[tuple[Path, bool]]:
    """Yield the run of each step in turn, and whether its process got to the end."""
    steps = int(output(DIE_AT_EVERY_STEP, how, *(["exists"] if exists else [])))
    assert steps > 5
    top = Path.cwd()
    for step in range(1, steps + 1):
        os.chdir(top / str(step))
        yield Path("outputs/log_a"), step == steps


def test_a_kill_at_any_step_of_a_retry_loses_nothing_of_the_old_attempt() -> None:
    for path, whole in killed_at_every_step("retry", exists=True):
        assert LogReader(path).state in ("failed", "interrupted")
        with Logbook("a", params={"attempt": "newest"}, retry=True) as log:
            log.json("done", 1)
        attempts = LogReader(path).attempts
        assert contents(attempts[0].path) == contents(Path("before"))
        assert LogReader(path).params == {"attempt": "newest"}
        assert len(attempts) in ((2,) if whole else (1, 2))


def test_a_kill_at_any_step_of_overwriting_never_leaves_half_a_run() -> None:
    for path, whole in killed_at_every_step("overwrite", exists=True):
        assert path.exists() or not whole
        if path.exists():
            assert LogReader(path).params in ({"attempt": "old", "more": 1}, {"attempt": "new"})
            assert LogReader(path).state in ("failed", "interrupted")
        assert Logbook("a", overwrite=True).status == "initialized"


def test_a_kill_at_any_step_of_beginning_never_leaves_half_a_run() -> None:
    for path, whole in killed_at_every_step("preallocate", exists=False):
        assert path.exists() or not whole
        if path.exists():
            assert LogReader(path).params == {"attempt": "new"}
            assert LogReader(path).log_lines()


def test_things_put_into_a_run_after_a_killed_retry_are_kept_too() -> None:
    for path, _ in killed_at_every_step("retry", exists=True):
        if (path / "attempts/1/data").exists() and LogReader(path).meta["attempt"] == 1:
            (path / "data").mkdir(exist_ok=True)
            (path / "data/later").write_bytes(b"by hand")
            with Logbook("a", retry=True):
                pass
            found = contents(path / "attempts/1")
            assert b"by hand" in found.values()
            assert contents(Path("before")).items() <= found.items()
            return
    pytest.fail("no process was killed at such a step")


def test_of_processes_that_retry_one_run_at_once_one_does() -> None:
    failed_run()
    program = """
        import os
        from holdfast import HoldfastError, Logbook, LogReader
        import holdfast.run._environment
        holdfast.run._environment.environment()
        start, go = os.pipe()
        done, report = os.pipe()
        for _ in range(6):
            if os.fork() == 0:
                os.close(go)
                os.read(start, 1)
                try:
                    log = Logbook("a", retry=True)
                except HoldfastError as error:
                    os.write(report, type(error).__name__[:1].encode())
                    os._exit(0)
                os.write(report, b"1")
                os.read(start, 1)
                import time; time.sleep(0.3)
                log.mark_complete()
                os._exit(0)
        os.close(go)
        codes = {os.wait()[1] for _ in range(6)}
        os.close(report)
        text = os.read(done, 100).decode()
        run = LogReader("outputs/log_a")
        print(codes, sorted(text), run.state, len(run.attempts))
    """
    assert output(program) == "{0} ['1', 'S', 'S', 'S', 'S', 'S'] complete 1"


def test_rows_that_did_not_fit_at_the_end_stay_with_the_attempt_they_belong_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(streams: Streams) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    log = Logbook("a")
    log.append("x", 1.5)
    with monkeypatch.context() as patch:
        patch.setattr(Streams, "close", full)
        with pytest.raises(OSError, match="No space"):
            log.mark_failed("x")
    again = Logbook("a", retry=True)
    aside = again.path / "attempts/1"
    assert LogReader(aside).stream("x")[:].tolist() == [1.5]
    assert sorted(path.name for path in (aside / "data").iterdir()) == ["streams.h5"]
    assert not (again.path / "data").exists()


def test_a_retry_that_is_refused_leaves_the_running_logbook_alone() -> None:
    log = Logbook("a")
    with pytest.raises(StateError):
        Logbook("a", retry=True)
    log.info("goes on")


def test_a_logbook_whose_run_was_replaced_gives_no_sign_of_life_for_the_new_one() -> None:
    log = Logbook("a")
    os.rename(log.path, "elsewhere")
    log.path.mkdir(parents=True)
    (log.path / "log.txt").write_text("")
    os.utime(log.path / "log.txt", (0, 0))
    log._session._beat()
    assert (log.path / "log.txt").stat().st_mtime == 0
