import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from helpers import HANG, end, start
from holdfast import FormatError, Logbook, LogReader
from holdfast.run import _metadata

RUNNING = """
    from holdfast import Logbook
    log = Logbook("a")
    log.json("kept", 1)
    print("ready", flush=True)
    command = input()
    if command == "fail":
        raise SystemExit(log.mark_failed("asked to"))
    if command == "complete":
        log.mark_complete()
"""
PATH = Path("outputs/log_a")


def change_environment(**fields: Any) -> None:
    meta = json.loads((PATH / "metadata.json").read_bytes())
    meta["environment"].update(fields)
    (PATH / "metadata.json").write_text(json.dumps(meta))


@pytest.mark.parametrize("command", ["complete", "fail"])
def test_a_run_is_running_until_it_is_marked(command: str) -> None:
    process = start(RUNNING)
    reader = LogReader(PATH)
    assert reader.state == "running"
    process.communicate(command + "\n", timeout=HANG)
    assert reader.state == {"complete": "complete", "fail": "failed"}[command]


def test_a_run_whose_process_was_killed_is_interrupted_and_keeps_what_it_saved() -> None:
    process = start(RUNNING)
    process.kill()
    end(process)
    reader = LogReader(PATH)
    assert (reader.status, reader.state) == ("initialized", "interrupted")
    assert reader.load_json("kept") == 1


def test_a_run_whose_process_ended_without_marking_it_is_interrupted() -> None:
    process = start(RUNNING)
    process.communicate("\n", timeout=HANG)
    assert LogReader(PATH).state == "interrupted"


def test_a_run_of_this_process_is_running() -> None:
    log = Logbook("a")
    assert LogReader(log.path).state == "running"


def test_a_recycled_pid_is_not_taken_for_the_run() -> None:
    Logbook("a")
    change_environment(process_start=1)
    assert LogReader(PATH).state == "interrupted"


@pytest.mark.parametrize("where", ["host", "boot_id", "pid_namespace"])
def test_a_run_elsewhere_is_judged_by_its_heartbeat(where: str) -> None:
    Logbook("a")
    change_environment(**{where: "elsewhere"})
    assert LogReader(PATH).state == "running"
    os.utime(PATH / "log.txt", (0, 0))
    assert LogReader(PATH).state == "interrupted"


def test_a_run_in_another_container_is_judged_by_its_heartbeat() -> None:
    """In it, the process has a pid that is another process's here."""
    unshare = ["unshare", "--pid", "--fork", "--kill-child"]
    if subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode:
        pytest.skip("a pid namespace of one's own needs root")
    program = "from holdfast import Logbook; Logbook('a'); print('x', flush=True); input()"
    from sys import executable

    process = subprocess.Popen(
        [*unshare, executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    assert LogReader(PATH).meta["environment"]["pid"] < os.getpid()
    assert LogReader(PATH).state == "running"
    os.utime(PATH / "log.txt", (0, 0))
    assert LogReader(PATH).state == "interrupted"
    process.communicate(b"\n", timeout=HANG)


def test_a_run_that_ends_well_between_two_looks_is_not_called_interrupted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    process = start(RUNNING)

    def alive(identity: object) -> bool:
        process.communicate("complete\n", timeout=HANG)
        return False

    monkeypatch.setattr(_metadata, "is_alive", alive)
    assert LogReader(PATH).state == "complete"
    monkeypatch.undo()


def test_a_run_that_ends_well_while_a_retry_looks_is_not_set_aside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    process = start(RUNNING)

    def alive(identity: object) -> bool:
        process.communicate("complete\n", timeout=HANG)
        return False

    monkeypatch.setattr(_metadata, "is_alive", alive)
    with pytest.raises(RuntimeError, match="is complete"):
        Logbook("a", retry=True)
    assert LogReader(PATH).load_json("kept") == 1


def test_the_heartbeat_touches_the_log() -> None:
    log = Logbook("a")
    os.utime(log.log_path, (0, 0))
    log._session._beat()
    assert log.log_path.stat().st_mtime > 0


def test_an_unknown_status_is_not_taken_for_an_end() -> None:
    log = Logbook("a")
    (PATH / "metadata.json").write_text('{"status": "paused"}')
    with pytest.raises(FormatError, match="unknown status"):
        _ = LogReader(log.path).state
    os.utime(log.log_path, (0, 0))
    with pytest.raises(FormatError, match="unknown status"):
        _ = LogReader(log.path).state


def test_parameters_are_seen_while_their_form_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Logbook("a")
    log.params(x=1, ext="json")
    read_bytes = Path.read_bytes

    def slow(path: Path) -> bytes:
        try:
            return read_bytes(path)
        finally:
            if path.name == "params.yaml":  # missed it: now, before the other look, it changes
                monkeypatch.undo()
                log.params(x=2)

    monkeypatch.setattr(Path, "read_bytes", slow)
    assert LogReader(log.path).params == {"x": 2}
