import threading
from collections.abc import Callable

import numpy as np

from helpers import output
from holdfast import Logbook, LogReader

THREADS, STEPS = 8, 25


def at_once(work: Callable[[int], object]) -> None:
    """Call `work` in many threads that begin together, and pass on what it raises."""
    begin, errors = threading.Barrier(THREADS), []

    def call(number: int) -> None:
        begin.wait()
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_threads_that_save_at_once_lose_nothing() -> None:
    log = Logbook("a", capture_logging=True)

    def work(number: int) -> None:
        for step in range(STEPS):
            name = f"{number}_{step}"
            log.params({f"p{name}": step}, ext="yaml" if number % 2 else "json")
            log.meta(**{f"m{name}": step})
            log.note(f"line {name}")
            log.array(f"thread{number}/{step}", np.full(3, step))
            log.json(f"deep/{name}", step)
            log.text("same", name * 100)

    at_once(work)
    log.mark_complete()
    run = LogReader(log.path)
    names = [f"{number}_{step}" for number in range(THREADS) for step in range(STEPS)]
    assert set(run.params) == {f"p{name}" for name in names}
    assert {f"m{name}" for name in names} <= set(run.meta)
    said = [line.message for line in run.log_lines()]
    assert sorted(m for m in said if m.startswith("line")) == sorted(f"line {n}" for n in names)
    assert len(run.arrays) == len(run.artifacts) == len(names)
    assert run.load_text("same") in {name * 100 for name in names}


def test_threads_that_begin_the_same_run_at_once_make_one() -> None:
    begun: list[Logbook] = []

    def work(number: int) -> None:
        try:
            begun.append(Logbook("a", params={"number": number}))
        except FileExistsError:
            return

    at_once(work)
    assert len(begun) == 1
    assert LogReader(begun[0].path).params == begun[0].params()


def test_of_threads_that_overwrite_the_same_run_only_the_last_goes_on() -> None:
    for _ in range(5):
        begun: list[Logbook] = []

        def work(number: int, begun: list[Logbook] = begun) -> None:
            begun.append(Logbook("a", params={"n": number}, overwrite=True))

        at_once(work)
        alive = []
        for log in begun:
            try:
                log.meta(seen=1)
            except RuntimeError:
                continue
            alive.append(log)
        assert len(alive) == 1
        assert LogReader(alive[0].path).params == alive[0].params()


def test_threads_may_mark_a_run_while_others_save() -> None:
    log = Logbook("a", capture_logging=True)
    at_once(lambda number: log.mark_complete() if number == 0 else log.json(f"{number}", number))
    assert log.status == "complete"
    assert len(LogReader(log.path).artifacts) == THREADS - 1


FORK = """
    import os, sys, logging
    from holdfast import Logbook, LogReader, StateError
    def in_child(function):
        pid = os.fork()
        if pid == 0:
            try:
                code = function()
            except StateError as error:
                code = 7 if "forked child" in str(error) else 8
            os._exit(code or 0)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""


def test_a_forked_child_that_writes_gets_a_clear_error_and_tears_nothing() -> None:
    program = (
        FORK
        + """
    log = Logbook("a", params={"x": 1})
    log.info("parent")
    before = {p: p.read_bytes() for p in log.path.rglob("*") if p.is_file()}
    writes = [
        lambda: log.info("child"), lambda: log.params(x=2), lambda: log.params(),
        lambda: log.meta(a=1), lambda: log.array("x", [1]), lambda: log.json("x", 1),
        lambda: log.text("x", ""), lambda: log.bytes("x", b""), lambda: log.pickle("x", 1),
        log.mark_complete, lambda: log.mark_failed("x"), lambda: log["x"],
    ]
    print({in_child(write) for write in writes})
    print(before == {p: p.read_bytes() for p in log.path.rglob("*") if p.is_file()})
    log.info("goes on")
    log.mark_complete()
    print([line.message for line in LogReader(log.path).log_lines()])
    """
    )
    assert output(program).splitlines() == [
        "{7}", "True", "['run a started', 'parent', 'goes on', 'run complete']",
    ]  # fmt: skip


def test_a_forked_child_that_leaves_the_block_does_not_mark_the_run() -> None:
    program = (
        FORK
        + """
    for ending in ("normal", "exception"):
        pid = -1
        try:
            with Logbook(ending) as log:
                pid = os.fork()
                if pid == 0 and ending == "exception":
                    raise ValueError
                if pid:
                    os.wait()
                    print(log.status)
        except ValueError:
            pass
        if pid == 0:
            os._exit(0)
        print(log.status)
    """
    )
    assert output(program).split() == ["initialized", "complete", "initialized", "complete"]


def test_what_a_forked_child_logs_is_not_captured_into_its_parents_run() -> None:
    program = (
        FORK
        + """
    with Logbook("a", capture_logging=True) as log:
        in_child(lambda: logging.getLogger("x").error("from the child"))
        logging.getLogger("x").error("from the parent")
    print([line.message for line in LogReader(log.path).log_lines()][1:])
    """
    )
    assert output(program) == "['x: from the parent', 'run complete']"


def test_a_forked_child_writes_runs_of_its_own() -> None:
    program = (
        FORK
        + """
    def work():
        with Logbook("child", capture_logging=True) as log:
            log.json("x", 1)
    with Logbook("parent") as log:
        print(in_child(work), LogReader("outputs/log_child").state, log.status)
    print(LogReader("outputs/log_child").meta["environment"]["pid"] != os.getpid())
    """
    )
    assert output(program).split() == ["0", "complete", "initialized", "True"]


def test_a_child_forked_while_another_thread_begins_a_run_can_begin_one_too() -> None:
    program = (
        FORK
        + """
    import threading
    stop = threading.Event()
    def work():
        number = 0
        while not stop.is_set():
            Logbook(f"t{number}")
            number += 1
    thread = threading.Thread(target=work)
    thread.start()
    codes = {in_child(lambda: Logbook(f"c{os.getpid()}").mark_complete()) for _ in range(20)}
    stop.set()
    thread.join()
    print(codes)
    """
    )
    assert output(program) == "{0}"
