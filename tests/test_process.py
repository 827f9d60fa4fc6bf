import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import end, output, start
from holdfast._process import (
    HEARTBEAT_STALE,
    ForkGuard,
    Identity,
    is_alive,
    is_fresh,
    this_process,
)

PRINT_IDENTITY = """
    import json
    from holdfast._process import this_process
    print(json.dumps(this_process().to_dict()), flush=True)
"""


def start_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def test_a_process_knows_that_it_lives_itself() -> None:
    assert is_alive(this_process())


def test_a_child_is_alive_until_it_ends() -> None:
    process = start("import os; print(os.getpid(), flush=True); input()", stderr=subprocess.DEVNULL)
    started = start_of(process.pid)
    child = dataclasses.replace(this_process(), pid=process.pid, process_start=started)
    assert is_alive(child)
    process.kill()
    end(process)
    assert is_alive(child) is False


def test_a_zombie_is_dead() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = start_of(process.pid)
    child = dataclasses.replace(this_process(), pid=process.pid, process_start=started)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, but is not collected
    assert is_alive(child) is False
    process.communicate()


def test_a_recycled_pid_is_another_process() -> None:
    earlier = dataclasses.replace(this_process(), process_start=1)
    assert is_alive(earlier) is False


@pytest.mark.parametrize("where", ["host", "boot_id", "pid_namespace"])
def test_a_process_elsewhere_cannot_be_judged(where: str) -> None:
    elsewhere = Identity(**{**this_process().to_dict(), where: "another"})
    assert is_alive(elsewhere) is None


def test_a_process_that_proc_hides_is_not_taken_for_dead() -> None:
    """Clusters mount /proc so that users see only their own processes."""
    if os.geteuid():
        pytest.skip("becoming another user needs root")
    program = """
        import dataclasses, os, sys
        from holdfast import _process
        here = _process.this_process()
        theirs = dataclasses.replace(here, pid=os.getppid(), process_start=1)
        os.setuid(65534)
        exists, _process.os.path.exists = os.path.exists, lambda path: False
        _process._start_time = lambda pid: None
        print(_process.is_alive(theirs))
    """
    assert output(program) == "None"


def test_without_a_start_time_the_pid_alone_is_asked() -> None:
    unknown = dataclasses.replace(this_process(), process_start=None)
    assert is_alive(unknown)
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert is_alive(dataclasses.replace(unknown, pid=process.pid)) is False


def test_an_identity_comes_back_from_its_dictionary() -> None:
    assert Identity.from_dict(this_process().to_dict()) == this_process()


@pytest.mark.parametrize(
    "data", [{}, {"host": "h"}, {"pid": 1}, {"host": 3, "pid": 1}, {"host": "h", "pid": "1"},
             {"host": "h", "pid": -1}, {"host": "h", "pid": 0}, {"host": "h", "pid": 10**30}]
)  # fmt: skip
def test_data_that_say_too_little_give_no_identity(data: dict[str, object]) -> None:
    assert Identity.from_dict(data) is None


def test_two_processes_have_two_identities() -> None:
    assert output(PRINT_IDENTITY) != output(PRINT_IDENTITY)


def test_a_sign_of_life_is_fresh_for_minutes() -> None:
    assert is_fresh(1000.0, now=1000.0 + HEARTBEAT_STALE - 1)
    assert not is_fresh(1000.0, now=1000.0 + HEARTBEAT_STALE)


def test_an_object_is_refused_in_a_forked_child() -> None:
    program = """
        import os
        from holdfast._process import ForkGuard, this_process
        from holdfast.errors import StateError
        guard, parent = ForkGuard(), this_process()
        guard.check("it")
        if os.fork():
            _, code = os.wait()
            print(os.waitstatus_to_exitcode(code), bool(guard), this_process() == parent)
        else:
            try:
                guard.check("the log")
            except StateError as error:
                named = "the log" in str(error) and str(parent.pid) in str(error)
                os._exit(7 if named and not guard and this_process() != parent else 1)
            os._exit(2)
    """
    assert output(program) == "7 True True"
    assert ForkGuard()
