import json
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from helpers import HANG, end, output, start
from holdfast import Logbook, LogReader, StateError, _append


def metadata() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path("outputs/log_a/metadata.json").read_bytes())
    return content


SETUP = """
    import os, signal, sys, threading, time
    from holdfast import Logbook
"""
WAIT = """
    print("ready", flush=True)
    while True:
        time.sleep(0.01)
"""


def test_by_default_sigterm_is_not_handled() -> None:
    before = signal.getsignal(signal.SIGTERM)
    Logbook("a")
    assert signal.getsignal(signal.SIGTERM) is before
    process = start(SETUP + '    Logbook("b")' + WAIT)
    process.terminate()
    assert end(process) == -signal.SIGTERM
    assert LogReader("outputs/log_b").state == "interrupted"


def test_a_process_that_is_terminated_marks_its_run_failed_and_dies_of_the_signal() -> None:
    process = start(SETUP + '    log = Logbook("a", handle_sigterm=True)' + WAIT)
    process.terminate()
    assert end(process) == -signal.SIGTERM
    run = LogReader("outputs/log_a")
    assert run.state == "failed"
    assert run.meta["failure_reason"].startswith("SIGTERM")
    assert run.log_lines()[-1].level == "ERROR"


def test_the_handler_that_was_there_before_is_called_after_the_run_is_marked() -> None:
    process = start(
        SETUP
        + """
    def older(number, frame):
        print(log.status, number == signal.SIGTERM, flush=True)
        sys.exit(3)
    signal.signal(signal.SIGTERM, older)
    log = Logbook("a", handle_sigterm=True)
    """
        + WAIT
    )
    process.terminate()
    shown, _ = process.communicate(timeout=HANG)
    assert (shown.strip(), process.returncode) == ("failed True", 3)


def test_where_sigterm_was_ignored_the_run_goes_on() -> None:
    program = (
        SETUP
        + """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with Logbook("a", handle_sigterm=True) as log, Logbook("b", handle_sigterm=True) as inner:
        os.kill(os.getpid(), signal.SIGTERM)
        print(log.status, inner.status)
    print(log.status, signal.getsignal(signal.SIGTERM) is signal.SIG_IGN)
    """
    )
    assert output(program).splitlines() == ["initialized initialized", "complete True"]


def test_all_runs_of_a_terminated_process_are_marked() -> None:
    process = start(
        SETUP + '    a, b = (Logbook(name, handle_sigterm=True) for name in "ab")' + WAIT
    )
    process.terminate()
    assert end(process) == -signal.SIGTERM
    assert [LogReader(f"outputs/log_{name}").state for name in "ab"] == ["failed", "failed"]


def test_the_old_handler_is_back_after_the_run_in_whatever_order_runs_end() -> None:
    before = signal.getsignal(signal.SIGTERM)
    one = Logbook("one", handle_sigterm=True)
    two = Logbook("two", handle_sigterm=True)
    one.mark_complete()
    three = Logbook("three", handle_sigterm=True)
    two.mark_complete()
    three.mark_complete()
    assert signal.getsignal(signal.SIGTERM) == before


def test_runs_that_ended_are_not_kept_by_those_that_go_on() -> None:
    before = signal.getsignal(signal.SIGTERM)
    logs = [Logbook("0", handle_sigterm=True)]
    for number in range(1, 6):
        logs.append(Logbook(number, handle_sigterm=True))
        logs[-2].mark_complete()
    handler: Any = signal.getsignal(signal.SIGTERM)
    assert handler.__self__.before() == before
    logs[-1].mark_complete()
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_handler_that_was_set_during_the_run_stays() -> None:
    before = signal.getsignal(signal.SIGTERM)

    def mine(number: int, frame: object) -> None:
        pass

    try:
        with Logbook("a", handle_sigterm=True):
            signal.signal(signal.SIGTERM, mine)
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)


def test_another_thread_cannot_handle_signals_and_makes_no_run() -> None:
    caught: list[BaseException] = []

    def work() -> None:
        try:
            Logbook("a", handle_sigterm=True)
        except StateError as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert "main thread only" in str(caught[0])
    assert not Path("outputs").exists()


def test_a_run_may_end_in_another_thread_than_it_began() -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        log = Logbook("a", handle_sigterm=True)
        thread = threading.Thread(target=log.mark_complete)
        thread.start()
        thread.join()
        assert log.status == "complete"
    finally:
        signal.signal(signal.SIGTERM, before)


def test_an_exception_in_the_callback_does_not_keep_the_process_from_dying() -> None:
    process = start(
        SETUP + '    log = Logbook("a", handle_sigterm=True, callback=lambda log: 1 / 0)' + WAIT
    )
    process.terminate()
    assert end(process) == -signal.SIGTERM
    assert metadata()["status"] == "failed"


def test_a_forked_child_that_is_terminated_dies_and_the_run_of_its_parent_goes_on() -> None:
    program = (
        SETUP
        + """
    log = Logbook("a", handle_sigterm=True)
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(tell, b"x")
        while True:
            time.sleep(0.01)
    os.read(ready, 1)
    os.kill(child, signal.SIGTERM)
    print(os.waitstatus_to_exitcode(os.wait()[1]), log.status)
    """
    )
    assert output(program) == "-15 initialized"


def test_sigterm_in_the_middle_of_saves_waits_for_them_and_tears_nothing() -> None:
    """The handler goes on as a user's own may do, so that everything after it is seen."""
    program = (
        SETUP
        + """
    hits = []
    signal.signal(signal.SIGTERM, lambda number, frame: hits.append(1))
    main = os.getpid()
    for number in range(60):
        log = Logbook(number, handle_sigterm=True)
        timer = threading.Timer(0.0005 * (number % 10), os.kill, (main, signal.SIGTERM))
        timer.start()
        step = 0
        while not len(hits) > number:
            log.info(f"step {step}")
            log.meta(step=step)
            log.params(step=step)
            step += 1
        timer.join()
        log.info("after")
        from holdfast import LogReader
        run = LogReader(log.path)
        steps = [line.message for line in run.log_lines() if line.message.startswith("step")]
        assert steps == [f"step {n}" for n in range(step)], steps
        last = run.meta.get("step", -1), run.params.get("step", -1)
        assert run.status == "failed" and last == (step - 1, step - 1), last
        assert run.log_lines()[-1].message == "after"
    links = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    open_logs = [link for link in links if os.path.realpath(link).endswith("log.txt")]
    print(len(hits), len(open_logs))
    """
    )
    assert output(program) == "60 0"


def test_a_line_that_sigterm_meets_while_it_is_written_is_written_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    called: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: called.append(number))
    write = _append.append_whole

    def interrupted(descriptor: int, content: bytes) -> None:
        monkeypatch.undo()
        signal.raise_signal(signal.SIGTERM)
        write(descriptor, content)

    try:
        log = Logbook("a", handle_sigterm=True)
        monkeypatch.setattr(_append, "append_whole", interrupted)
        log.info("in the middle")
    finally:
        signal.signal(signal.SIGTERM, before)
    messages = [line.message for line in LogReader(log.path).log_lines()]
    assert messages[1] == "in the middle"
    assert messages[2].startswith("run failed: SIGTERM")
    assert called == [signal.SIGTERM]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_and_an_exit_are_told_apart_from_failures(number: signal.Signals) -> None:
    process = start(
        SETUP
        + """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(9))
    sys.stderr = open(os.devnull, "w")
    with Logbook("a"):
        print("ready", flush=True)
        while True:
            time.sleep(0.01)
    """
    )
    process.send_signal(number)
    end(process)
    reason = metadata()["failure_reason"]
    assert reason == ("KeyboardInterrupt" if number == signal.SIGINT else "SystemExit: 9")
