"""Messages of a run, and the commands about messages."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import python
from holdfast import DataLogger, Logbook, LogReader, NotFoundError, StateError

Command = list[str]


def command(*arguments: object) -> "subprocess.CompletedProcess[str]":
    program = [sys.executable, "-c", "from holdfast.cli import main; main()"]
    return subprocess.run(
        [*program, *map(str, arguments)], check=False, capture_output=True, text=True, timeout=60
    )


def test_a_run_keeps_messages_that_its_reader_gives_back_while_it_goes_on() -> None:
    with Logbook("a") as log:
        messages = log.messages()
        assert messages is log.messages()
        assert messages.output_directory == log.path / "messages"
        messages.put("camera", 5, b"frame")
        reader = LogReader(log.path)
        assert reader.message_sources == ["camera"]
        assert next(reader.messages("camera", onset_us=0).iter_messages()).timestamp_us == 5
    assert not messages.alive
    with pytest.raises(StateError, match="ended"):
        log.messages()
    with pytest.raises(StateError, match="stopped"):
        messages.put("camera", 6, b"late")
    assert LogReader(log.path).messages("camera").message_count == 1


def test_a_run_without_messages_says_so() -> None:
    with Logbook("a") as log:
        log.info("nothing")
    reader = LogReader(log.path)
    assert reader.message_sources == []
    with pytest.raises(NotFoundError, match="no messages of source 3"):
        reader.messages(3)


def test_a_killed_run_keeps_its_messages_and_recover_assembles_them() -> None:
    done = python(
        """
        import os, signal
        from holdfast import Logbook
        log = Logbook("a")
        for number in range(1000):
            log.messages().put(1, number + 1, b"x")
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    assert done.returncode == -signal.SIGKILL
    assert LogReader("outputs/log_a").messages(1).message_count == 1000
    shown = command("recover", "outputs", "--json")
    assert shown.returncode == 0, shown.stderr
    (found,) = json.loads(shown.stdout)
    assert found["rows"] == {"1": 1000}
    assert os.listdir("outputs/log_a/messages") == ["1_log.npz"]


def test_the_commands_list_and_assemble_what_a_folder_or_a_run_holds() -> None:
    logger = DataLogger("out", "rig")
    for number in range(11):
        logger.put(3, 100 + number * 1000 + 500 * (number > 5), b"12345")
    logger.put("camera", 7, b"x")
    folder = logger.output_directory

    shown = command("messages", folder, "--json")
    assert shown.returncode == 0, shown.stderr
    first, second = json.loads(shown.stdout)
    assert (first["source"], first["messages"], first["bytes"]) == (3, 11, 55)
    assert (first["first_us"], first["last_us"], first["longest_gap_us"]) == (100, 10600, 1500)
    assert first["rate"] == pytest.approx(10 / 10500e-6)
    assert (second["source"], second["rate"]) == ("camera", None)
    assert "camera" in command("messages", folder).stdout

    assert command("assemble", folder, "--keep").returncode == 0
    told = command("assemble", folder, "--keep", "--json")
    assert json.loads(told.stdout) == json.loads(command("messages", folder, "--json").stdout)
    assert (Path(folder) / "3_log.npz").is_file()
    assert json.loads(command("messages", folder, "--json").stdout) == [first, second]


def test_the_commands_say_what_is_not_there() -> None:
    with Logbook("a") as log:
        log.info("no messages")
    for name in ("messages", "assemble"):
        assert command(name, "nowhere").returncode == 3
        assert command(name, "a").returncode == 3
    assert command("assemble", "a", "--layout", "rows").returncode == 2
