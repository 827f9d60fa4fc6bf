import errno
import logging
import os
import re
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import SEPARATORS
from holdfast import InvalidInputError, Logbook, LogLine, LogReader
from holdfast.run._log import LogWriter, follow_log, make_line, read_log


def messages(log: Logbook) -> list[tuple[str, str]]:
    lines = LogReader(log.path).log_lines()
    return [(line.level, line.message) for line in lines if "run a started" not in line.message]


def test_a_line_is_time_level_and_message_as_the_document_shows() -> None:
    log = Logbook("a")
    log.info("step=2000 x=0.5")
    last = log.log_path.read_text().splitlines()[-1]
    assert re.fullmatch(r"\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\] INFO step=2000 x=0\.5", last)


def test_each_level_has_its_method_and_note_takes_any() -> None:
    log = Logbook("a")
    log.debug("d")
    log.info("i")
    log.warning("w")
    log.error("e")
    log.note("n")
    log.note("c", "critical")
    log.note("l", logging.WARNING)
    log.note("m", 25)
    assert messages(log) == [
        ("DEBUG", "d"), ("INFO", "i"), ("WARNING", "w"), ("ERROR", "e"), ("INFO", "n"),
        ("CRITICAL", "c"), ("WARNING", "l"), ("LEVEL_25", "m"),
    ]  # fmt: skip


@pytest.mark.parametrize("level", ["", "two words", "x\ny", "[INFO]", "1"])
def test_a_level_that_is_no_word_is_refused(level: str) -> None:
    log = Logbook("a")
    with pytest.raises(InvalidInputError, match="not one word"):
        log.note("x", level)
    assert messages(log) == []


TEXT = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(SEPARATORS + "[] "))


@settings(deadline=None)
@given(st.lists(TEXT, max_size=5))
def test_every_message_comes_back_and_none_can_pose_as_another(texts: list[str]) -> None:
    log = Logbook("a", overwrite=True)
    for text in texts:
        log.info(text)
    assert messages(log) == [("INFO", "\n".join(text.splitlines())) for text in texts]
    assert len(log.log_path.read_text().split("\n")) >= len(texts)


def test_a_forged_line_within_a_message_is_indented() -> None:
    log = Logbook("a")
    forged = "x\n[2024-01-01T00:00:00] ERROR run failed"
    log.info(forged)
    assert messages(log) == [("INFO", forged)]
    assert log.log_path.read_text().count("\n[") == 1


def test_anything_can_be_logged() -> None:
    log = Logbook("a")
    log.info({"a": 1})
    log.info(None)
    log.info("file\udcff")
    assert messages(log) == [("INFO", "{'a': 1}"), ("INFO", "None"), ("INFO", "file\\udcff")]


def test_lines_of_many_threads_are_all_there_and_whole(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path / "log.txt")
    begin = threading.Barrier(8)

    def work(number: int) -> None:
        begin.wait()
        for step in range(200):
            writer.write(make_line(f"{number} {step} " + "x" * (step * 7), "INFO"))
            if step == 100:
                writer.close()  # lines go on to be written after the end

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = [line.message.split() for line in read_log(tmp_path / "log.txt")]
    assert sorted((int(a), int(b)) for a, b, *_ in lines) == [
        (number, step) for number in range(8) for step in range(200)
    ]
    assert all(len("".join(rest)) == int(step) * 7 for _, step, *rest in lines)


# What `logging` emits


def test_captured_logging_stands_in_the_log_until_the_run_ends() -> None:
    logger = logging.getLogger("solver")
    logger.warning("before")
    with Logbook("a", capture_logging=True) as log:
        logger.warning("pressure %d", 3)
        try:
            _ = 1 / 0
        except ZeroDivisionError:
            logger.exception("step failed")
    logger.warning("after")
    found = messages(log)
    assert ("WARNING", "solver: pressure 3") in found
    level, text = found[1]
    assert level == "ERROR"
    assert text.startswith("solver: step failed\nTraceback")
    assert text.endswith("ZeroDivisionError: division by zero")
    assert not any("before" in text or "after" in text for _, text in found)


def test_without_asking_nothing_is_captured() -> None:
    with Logbook("a") as log:
        logging.getLogger("solver").error("x")
    assert not any("solver" in text for _, text in messages(log))


def test_captured_levels_may_have_any_name() -> None:
    logging.addLevelName(35, "very grave!")
    with Logbook("a", capture_logging=True) as log:
        logging.getLogger("solver").log(35, "x")
        logging.getLogger("solver").log(41, "y")
        logging.getLogger("solver").error("z")
    assert [(level, text) for level, text in messages(log) if "solver" in text] == [
        ("VERY_GRAVE", "solver: x"), ("LEVEL_41", "solver: y"), ("ERROR", "solver: z"),
    ]  # fmt: skip


def test_a_wrong_logging_call_does_not_end_the_program(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    with Logbook("a", capture_logging=True) as log:
        logging.getLogger("solver").error("%d", "no number")
    assert "Logging error" in capsys.readouterr().err
    assert log.status == "complete"


def test_two_logbooks_that_capture_both_get_each_line_and_neither_stays() -> None:
    before = list(logging.getLogger().handlers)
    with Logbook("a", capture_logging=True) as one, Logbook("b", capture_logging=True) as two:
        logging.getLogger("solver").error("x")
    assert ("ERROR", "solver: x") in messages(one)
    assert ("ERROR", "solver: x") in messages(two)
    assert logging.getLogger().handlers == before


# Following


def test_following_yields_what_is_there_what_comes_and_ends_with_the_run() -> None:
    log = Logbook("a")
    log.info("there")
    lines = LogReader(log.path).follow_log()
    assert next(lines).message == "run a started"
    log.info("comes")
    log.mark_complete()
    assert [line.message for line in lines] == ["there", "comes", "run complete"]


def test_following_a_log_that_is_written_meanwhile_misses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    writer = LogWriter(path)
    done = threading.Event()

    def work() -> None:
        for step in range(300):
            writer.write(make_line(f"{step}\n" + "x" * 50_000, "INFO"))
        writer.close()
        done.set()

    writer.write(make_line("begin", "INFO"))
    thread = threading.Thread(target=work)
    thread.start()
    found = [line.message for line in follow_log(path, done.is_set, poll=0.0)]
    thread.join()
    assert found == ["begin", *(f"{step}\n" + "x" * 50_000 for step in range(300))]


def test_a_message_seen_half_written_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    pieces = [
        "[2024-01-01T00:00:00] INFO one\n    tw",
        "o\n",
        "[2024-01-01T00:00:01] ERR",
        "OR x\n",
    ]
    path.write_text("")

    def ended() -> bool:
        with path.open("a") as file:
            file.write(pieces.pop(0) if pieces else "")
        return not pieces

    assert list(follow_log(path, ended, poll=0.0)) == [
        LogLine("2024-01-01T00:00:00", "INFO", "one\ntwo"),
        LogLine("2024-01-01T00:00:01", "ERROR", "x"),
    ]


def test_a_log_with_foreign_lines_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_bytes(b"no head\n[2024-01-01T00:00:00] INFO a\nmore\xff\n\n[x]\n")
    assert read_log(path) == [LogLine("2024-01-01T00:00:00", "INFO", "a\nmore�\n\n[x]")]


def test_a_disk_that_fills_in_the_third_part_of_a_line_keeps_every_line_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.txt"
    writer = LogWriter(path)
    writer.write(make_line("accepted", "INFO"))
    before = path.read_bytes()
    real, sizes = os.write, [10, 10]

    def fill(descriptor: int, content: bytes) -> int:
        if not sizes:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, content[: sizes.pop()])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fill)
        with pytest.raises(OSError, match="No space"):
            writer.write(make_line("does not fit", "INFO"))
    assert path.read_bytes() == before
