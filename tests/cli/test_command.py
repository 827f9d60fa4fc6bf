"""The command as a person at a terminal, or a script, meets it."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast import Experiment, Logbook
from holdfast.cli import main

Answer = tuple[int, str, str]
Command = Callable[..., Answer]


@pytest.fixture
def holdfast(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Command:
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["holdfast", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, err

    return call


def make_run(run_id: str, *, fail: str = "", **params: float) -> Path:
    log = Logbook(run_id, params=params)
    log.json("metrics", {"error": params.get("dt", 0.0) ** 2})
    log.info("half-way")
    if fail:
        log.mark_failed(fail)
    else:
        log.mark_complete()
    return log.path


def test_ls_lists_every_run_with_its_state_and_the_reason_of_a_failure(holdfast: Command) -> None:
    make_run("good", dt=0.1)
    make_run("bad", fail="diverged", dt=0.5)

    code, out, _ = holdfast("ls")

    assert code == 0
    lines = out.splitlines()
    assert len(lines) == 3
    assert "log_bad" in lines[1]
    assert "failed" in lines[1]
    assert "diverged" in lines[1]
    assert "complete" in lines[2]


def test_ls_finds_the_runs_of_experiments_below_a_folder(holdfast: Command) -> None:
    for log in Experiment("sweep", "deep/er").grid(dt=[0.1, 0.2]):
        log.mark_complete()

    _, out, _ = holdfast("ls", "deep", "--json")

    assert [run["run_id"] for run in json.loads(out)] == ["sweep_dt_0.1", "sweep_dt_0.2"]


def test_ls_goes_on_past_a_run_with_damaged_metadata_and_names_it(holdfast: Command) -> None:
    damaged = make_run("damaged")
    make_run("good")
    (damaged / "metadata.json").write_text("{")

    code, out, _ = holdfast("ls", "--json")

    assert code == 0
    states = {run["run_id"]: run["state"] for run in json.loads(out)}
    assert states == {"damaged": "unreadable", "good": "complete"}


def test_ls_of_a_missing_folder_exits_with_3_and_says_so(holdfast: Command) -> None:
    code, out, err = holdfast("ls", "nowhere")

    assert (code, out) == (3, "")
    assert "there is no folder nowhere" in err


def test_show_accepts_a_run_id_alone_and_prints_parameters_and_metrics(holdfast: Command) -> None:
    make_run("one", dt=0.5)

    code, out, _ = holdfast("show", "one")

    assert code == 0
    assert "dt=0.5" in out
    assert "error=0.25" in out
    assert "complete" in out
    assert "half-way" in out


def test_show_json_holds_everything_a_program_needs(holdfast: Command) -> None:
    make_run("one", dt=0.5)

    _, out, _ = holdfast("show", "outputs/log_one", "--json")

    shown = json.loads(out)
    assert shown["params"] == {"dt": 0.5}
    assert shown["metrics"] == {"error": 0.25}
    assert shown["state"] == "complete"
    assert shown["meta"]["environment"]["python"]


def test_show_of_an_experiment_prints_its_table(holdfast: Command) -> None:
    for log in Experiment("sweep").grid(dt=[0.1, 0.2]):
        log.mark_complete()

    code, out, _ = holdfast("show", "outputs/sweep")

    assert code == 0
    assert "2 runs (2 complete)" in out
    assert "sweep_dt_0.2" in out


def test_show_of_something_that_is_no_run_exits_with_4(holdfast: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    code, _, err = holdfast("show", "empty")

    assert code == 4
    assert "is not a run directory" in err


def sweep_of_three() -> None:
    for log in Experiment("sweep").grid(dt=[0.3, 0.1, 0.2]):
        with log:
            log.json("metrics", {"error": log.params()["dt"] ** 2})


def test_table_filters_sorts_and_picks_columns(holdfast: Command) -> None:
    sweep_of_three()

    code, out, _ = holdfast(
        "table", "outputs/sweep", "--where", "dt > 0.15", "--sort", "dt", "--columns", "dt,state"
    )

    assert code == 0
    assert [line.split() for line in out.splitlines()] == [
        ["dt", "state"],
        ["0.2", "complete"],
        ["0.3", "complete"],
    ]


def test_table_json_gives_typed_rows(holdfast: Command) -> None:
    sweep_of_three()

    _, out, _ = holdfast("table", "outputs/sweep", "--json", "--sort", "dt", "--descending")

    assert [row["dt"] for row in json.loads(out)] == [0.3, 0.2, 0.1]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("dt = 1", "compare with '=='"),
        ("ddt < 1", "did you mean 'dt'?"),
        ("f()", "only column names"),
    ],
)
def test_table_refuses_a_wrong_expression_with_exit_code_2(
    holdfast: Command, where: str, message: str
) -> None:
    sweep_of_three()

    code, _, err = holdfast("table", "outputs/sweep", "--where", where)

    assert code == 2
    assert message in err


def test_diff_names_what_differs_and_exits_with_1(holdfast: Command) -> None:
    make_run("a", dt=0.1, omega=1.0)
    make_run("b", dt=0.2, omega=1.0)

    code, out, _ = holdfast("diff", "a", "b", "--json")

    assert code == 1
    found = {(row["part"], row["name"]): (row["first"], row["second"]) for row in json.loads(out)}
    assert found[("params", "dt")] == (0.1, 0.2)
    assert ("metrics", "error") in found
    assert ("params", "omega") not in found


def test_diff_of_equal_runs_exits_with_0(holdfast: Command) -> None:
    make_run("a", dt=0.1, x=float("nan"))
    make_run("b", dt=0.1, x=float("nan"))

    code, out, _ = holdfast("diff", "a", "b")

    assert code == 0
    assert "no differences" in out


def test_tail_shows_the_last_messages(holdfast: Command) -> None:
    make_run("a")

    code, out, err = holdfast("tail", "a", "-n", "2")

    assert code == 0
    assert [line.partition("] ")[2] for line in out.splitlines()] == [
        "INFO half-way",
        "INFO run complete",
    ]
    assert "run a is complete" in err


def test_tail_json_is_one_object_a_line(holdfast: Command) -> None:
    make_run("a")

    _, out, _ = holdfast("tail", "a", "--json", "--no-follow")

    assert [json.loads(line)["level"] for line in out.splitlines()] == ["INFO"] * 4


def start_live_run(folder: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", LIVE_RUN]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, stdin=pipe, stdout=pipe)


LIVE_RUN = """
import sys, time
from holdfast import Logbook
log = Logbook("live")
print("begun", flush=True)
sys.stdin.readline()
log.warning("later\\nwith a second line")
log.mark_complete()
"""


def test_tail_follows_a_live_run_of_another_process_to_its_end(tmp_path: Path) -> None:
    run = start_live_run(tmp_path)
    assert run.stdin
    assert run.stdout
    assert run.stdout.readline() == b"begun\n"
    tail = subprocess.Popen(
        [sys.executable, "-c", "from holdfast.cli import main; main()", "tail", "live"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert tail.stdout
    first = tail.stdout.readline()
    run.stdin.write(b"\n")
    run.stdin.close()

    out, err = tail.communicate(timeout=150)

    assert run.wait(timeout=150) == 0
    run.stdout.close()
    assert b"started" in first
    assert b"WARNING later\n    with a second line\n" in out
    assert err == b"run live is complete\n"
    assert tail.returncode == 0


def test_tail_of_a_killed_run_ends_and_says_interrupted(tmp_path: Path) -> None:
    run = start_live_run(tmp_path)
    assert run.stdin
    assert run.stdout
    run.stdout.readline()
    run.send_signal(signal.SIGKILL)
    run.wait(timeout=150)
    run.stdin.close()
    run.stdout.close()

    done = subprocess.run(
        [sys.executable, "-c", "from holdfast.cli import main; main()", "tail", "live"],
        cwd=tmp_path,
        capture_output=True,
        timeout=150,
        check=False,
    )

    assert done.stderr == b"run live is interrupted\n"


def test_tail_of_a_stream_prints_its_last_rows(holdfast: Command) -> None:
    with Logbook("a") as log:
        log.extend("loss", [3.0, 2.0, 1.0])

    code, out, _ = holdfast("tail", "a", "--stream", "loss", "-n", "2")
    _, lines, _ = holdfast("tail", "a", "--stream", "loss", "--json", "--no-follow")

    assert code == 0
    assert out == "1  2.0\n2  1.0\n"
    assert json.loads(lines.splitlines()[-1]) == {"row": 2, "value": 1.0}


def test_recover_of_something_that_needs_none_says_so(holdfast: Command) -> None:
    make_run("a")

    assert holdfast("recover", "outputs")[:2] == (0, "nothing to recover in outputs\n")
    assert holdfast("recover", "nothing.h5")[0] == 3


def test_a_closed_pipe_ends_the_command_quietly(tmp_path: Path) -> None:
    for number in range(300):
        path = tmp_path / "outputs" / f"log_{number}"
        path.mkdir(parents=True)
        (path / "metadata.json").write_text('{"status": "complete"}')
    script = "from holdfast.cli import main; main()"

    pipeline = f'"{sys.executable}" -c "{script}" ls | head -n 1'
    done = subprocess.run(
        ["bash", "-c", pipeline], cwd=tmp_path, capture_output=True, timeout=150, check=True
    )

    assert done.stderr == b""
    assert len(done.stdout.splitlines()) == 1


def on_terminal(arguments: list[str], cwd: Path, code: int = 0, **environment: str) -> str:
    """Return what a command prints when its output is a terminal."""
    parent, child = pty.openpty()
    script = "from holdfast.cli import main; main()"
    plain = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=cwd,
        stdout=child,
        stderr=subprocess.DEVNULL,
        env={**plain, "TERM": "xterm-256color", "COLUMNS": "100", **environment},
    )
    os.close(child)
    shown = b""
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline:
        try:
            part = os.read(parent, 65536)
        except OSError:  # the terminal's other side is closed
            break
        if not part:
            break
        shown += part
    os.close(parent)
    assert process.wait(timeout=150) == code
    return shown.decode()


def test_colours_are_for_terminals_and_no_color_is_honoured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_run("a")

    coloured = on_terminal(["ls"], tmp_path)
    plain = on_terminal(["ls"], tmp_path, NO_COLOR="1")

    assert "\x1b[32m" in coloured
    assert "\x1b[32m" not in plain
    assert "complete" in plain


def test_a_run_id_with_terminal_escapes_cannot_reach_the_terminal(holdfast: Command) -> None:
    path = make_run("a")
    meta = json.loads((path / "metadata.json").read_text())
    meta["failure_reason"] = "\x1b]0;owned\x07"
    meta["status"] = "failed"
    (path / "metadata.json").write_text(json.dumps(meta))

    for command in (["ls"], ["show", "a"]):
        _, out, _ = holdfast(*command)
        assert "\x1b" not in out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_the_shell(holdfast: Command, shell: str) -> None:
    code, out, _ = holdfast("completion", shell)

    assert code == 0
    assert "_HOLDFAST_COMPLETE" in out


def test_help_and_version_exit_with_0_and_nonsense_with_2(holdfast: Command) -> None:
    assert holdfast("--help")[0] == 0
    assert holdfast("--version")[0] == 0
    assert holdfast("frobnicate")[0] == 2
    assert holdfast("show")[0] == 2


def test_the_demo_ends_with_a_killed_run_that_kept_every_confirmed_frame(
    holdfast: Command, tmp_path: Path
) -> None:
    code, out, _ = holdfast("demo")

    assert code == 0
    assert "a reader says: interrupted" in out
    confirmed, found = (
        int(next(line for line in out.splitlines() if text in line).split(":")[1].split(",")[0])
        for text in ("confirmed", "read back")
    )
    assert found >= confirmed >= 21
    assert (tmp_path / "holdfast-demo/log_figure/plots/demo.png").read_bytes()[:4] == b"\x89PNG"


def test_a_second_demo_leaves_the_first_alone(holdfast: Command, tmp_path: Path) -> None:
    (tmp_path / "holdfast-demo").mkdir()

    holdfast("demo")

    assert list((tmp_path / "holdfast-demo").iterdir()) == []
    assert (tmp_path / "holdfast-demo-2" / "log_killed_walk").is_dir()


def test_on_a_terminal_no_text_of_a_file_steers_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = make_run("a", fail="\x1b]0;reason\x07")
    meta = json.loads((path / "metadata.json").read_text())
    meta["run_id"] = "\x1b]0;id\x07"
    (path / "metadata.json").write_text(json.dumps(meta))
    (path / "params.json").write_text(json.dumps({"\x1b]0;key\x07": 1, "[red]b": 2}))
    other = make_run("b")

    for arguments in (["ls"], ["show", "a"], ["tail", "a"]):
        assert "\x1b]0" not in on_terminal(arguments, tmp_path)
    shown = on_terminal(["diff", str(path), str(other)], tmp_path, code=1)
    assert "\x1b]0" not in shown
    assert "[red]b" in shown


def test_the_columns_of_a_table_on_a_terminal_are_text_and_no_markup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    log = Experiment("sweep").add({"[red]x[/red]": 1})
    assert log
    with log:
        log.json("metrics", {"\x1b]0;owned\x07": 1})

    shown = on_terminal(["table", "sweep"], tmp_path)

    assert "[red]x[/red]" in shown
    assert "\x1b]0" not in shown


def test_a_message_about_a_name_with_escapes_does_not_steer_the_terminal(
    holdfast: Command,
) -> None:
    code, _, err = holdfast("show", "\x1b]0;owned\x07")

    assert code == 3
    assert "\x1b" not in err


def test_in_a_narrow_terminal_run_and_state_stay_whole_and_nothing_wraps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "a_run_with_quite_a_long_name_for_it"
    make_run(name, fail="the time step is too long " * 5)
    for columns in (40, 60, 80, 100):
        shown = on_terminal(["ls"], tmp_path, COLUMNS=str(columns), NO_COLOR="1")
        lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
        assert len(lines) == 2
        assert f"outputs/log_{name}  failed" in lines[1]
        assert len(lines[1]) <= max(columns, len(f"outputs/log_{name}  failed"))


def test_in_a_narrow_terminal_a_table_keeps_its_run_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for log in Experiment("sweep_of_the_time_step").grid(time_step=[0.001]):
        log.mark_complete()

    lines = on_terminal(["table", "sweep_of_the_time_step"], tmp_path, COLUMNS="50").splitlines()

    assert len(lines) == 2
    assert lines[1].startswith("sweep_of_the_time_step_time_step_0.001")


def damage(path: Path, how: str) -> None:
    metadata = path / "metadata.json"
    match how:
        case "a symlink out of the run":
            outside = path.parent.parent / "outside.json"
            outside.write_bytes(metadata.read_bytes())
            metadata.unlink()
            metadata.symlink_to(outside)
        case "a list":
            metadata.write_text("[]")
        case "an unknown status":
            metadata.write_text('{"status": "paused"}')


@pytest.mark.parametrize("how", ["a symlink out of the run", "a list", "an unknown status"])
def test_ls_goes_on_past_metadata_that_cannot_be_read(holdfast: Command, how: str) -> None:
    damage(make_run("damaged"), how)
    make_run("good")

    code, out, _ = holdfast("ls", "--json")

    assert code == 0
    states = {run["run_id"]: run["state"] for run in json.loads(out)}
    assert states == {"damaged": "unreadable", "good": "complete"}


def test_ls_goes_on_past_a_run_that_vanishes_or_may_not_be_read(
    holdfast: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("forbidden", "good", "vanished"):
        make_run(name)
    real = Path.read_bytes

    def read(path: Path) -> bytes:
        if path.parent.name == "log_vanished":
            raise FileNotFoundError(2, "No such file or directory", str(path))
        if path.parent.name == "log_forbidden":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", read)
    code, out, _ = holdfast("ls", "--json")

    assert code == 0
    states = {run["run_id"]: run["state"] for run in json.loads(out)}
    assert states == {"forbidden": "unreadable", "good": "complete", "vanished": "unreadable"}


def test_show_and_diff_take_metadata_with_an_odd_environment(holdfast: Command) -> None:
    path = make_run("odd")
    meta = json.loads((path / "metadata.json").read_text()) | {"environment": ["x"]}
    (path / "metadata.json").write_text(json.dumps(meta))
    make_run("good")

    assert holdfast("show", "odd")[0] == 0
    assert holdfast("diff", "odd", "good")[0] == 1


def test_recover_goes_on_past_a_file_that_is_junk_and_exits_with_4(holdfast: Command) -> None:
    program = """
import os, signal
from holdfast import Logbook
for name in ("a", "b"):
    log = Logbook(name)
    log.append("x", 1.5)
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", program], check=False, timeout=150)
    Path("outputs/log_a/data/streams.h5").write_bytes(b"junk" * 100)

    code, out, _ = holdfast("recover", "outputs", "--json")

    assert code == 4
    first, second = json.loads(out)
    assert first["problems"]
    assert second["rows"] == {"x": 1}


def test_runs_and_experiments_are_found_by_their_names_anywhere_below_outputs(
    holdfast: Command,
) -> None:
    for log in Experiment("sweep", "outputs/deep/er").grid(dt=[0.1, 0.2]):
        log.mark_complete()
    make_run("single")

    assert "complete" in holdfast("show", "sweep_dt_0.2")[1]
    assert "2 runs" in holdfast("show", "sweep")[1]
    assert "sweep_dt_0.1" in holdfast("table", "sweep")[1]
    assert holdfast("tail", "sweep_dt_0.1")[0] == 0
    assert holdfast("recover", "sweep_dt_0.1")[0] == 0
    assert holdfast("diff", "sweep_dt_0.1", "single")[0] == 1


def test_a_name_that_is_not_found_is_answered_with_near_ones(holdfast: Command) -> None:
    for log in Experiment("falling_ball").grid(dt=[0.5]):
        log.mark_complete()

    code, _, err = holdfast("show", "faling_ball_dt_0.5")
    assert (code, "did you mean 'falling_ball_dt_0.5'" in err) == (3, True)
    code, _, err = holdfast("table", "falling_bal")
    assert (code, "did you mean 'falling_ball'" in err) == (3, True)


def test_a_name_that_several_runs_have_is_refused_with_their_paths(holdfast: Command) -> None:
    for base in ("outputs/x", "outputs/y"):
        Logbook("same", base).mark_complete()

    code, _, err = holdfast("show", "same")

    assert code == 2
    assert "outputs/x/log_same" in err
    assert "outputs/y/log_same" in err


def test_the_package_itself_runs_as_the_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "holdfast", "ls", "--json"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )

    assert json.loads(done.stdout) == []
