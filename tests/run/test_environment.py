import getpass
import os
import platform
import socket
import subprocess
from pathlib import Path

import numpy as np
import pytest

from helpers import output
from holdfast import Logbook, LogReader
from holdfast.run import _environment

SHOW = """
import json, sys
from holdfast import Logbook
log = Logbook("a", **json.loads(sys.argv[1] if len(sys.argv) > 1 else "{}"))
print(json.dumps(log._meta["environment"]))
"""


def git(*arguments: str) -> str:
    identity = ["-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *identity, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git work tree with one commit, in which a program stands."""
    folder = tmp_path / "repository"
    folder.mkdir()
    monkeypatch.chdir(folder)
    git("init", "-q")
    Path("model.py").write_bytes(b"# Gr\xf6\xdfe\nx = 1\n")  # Latin-1, as old sources are
    git("add", ".")
    git("commit", "-q", "-m", "first")
    return folder


def test_metadata_tell_machine_process_and_interpreter() -> None:
    environment = LogReader(Logbook("a").path).meta["environment"]
    assert environment["host"] == socket.gethostname()
    assert environment["pid"] == os.getpid()
    assert environment["python"] == platform.python_version()
    assert environment["cwd"] == str(Path.cwd())
    assert {"user", "boot_id", "process_start", "platform", "argv", "executable"} <= set(
        environment
    )


def test_packages_are_those_that_were_imported_with_their_versions() -> None:
    packages = _environment.packages()
    assert packages["numpy"] == np.__version__
    assert "pytest" in packages
    program = """
        from holdfast import Logbook
        log = Logbook("a")
        early = log._meta["environment"]["packages"]
        import click
        log.mark_complete()
        print("click" in early, "click" in log._meta["environment"]["packages"])
    """
    assert output(program) == "False True"


def test_modules_named_otherwise_than_their_distribution_are_found() -> None:
    Path("sklearn_like.py").write_text("__version__ = '9.9'\n")
    Path("strange.py").write_text("__version__ = (1, 2)\n")
    program = """
        import sys
        sys.path.insert(0, "")
        import sklearn_like, strange, yaml
        from holdfast.run._environment import packages
        found = {name.lower(): version for name, version in packages().items()}
        print(found["sklearn_like"], found["pyyaml"] == yaml.__version__, "strange" in found)
    """
    assert output(program) == "9.9 True False"


def test_ids_of_the_scheduler_are_kept_and_nothing_else_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    monkeypatch.setenv("PBS_JOBID", "9.server")
    monkeypatch.setenv("SLURM_JWT", "secret")
    monkeypatch.setenv("MY_TOKEN_ID", "secret")
    scheduler = LogReader(Logbook("a").path).meta["environment"]["scheduler"]
    assert scheduler == {"SLURM_JOB_ID": "17", "SLURM_ARRAY_TASK_ID": "3", "PBS_JOBID": "9.server"}


def facts(cwd: Path, options: str = "{}") -> str:
    program = SHOW + "print(json.dumps(log._meta['environment']['git']))"
    return output(program, options, cwd=cwd).splitlines()[-1]


def test_the_commit_is_kept_and_whether_files_differ_from_it(repository: Path) -> None:
    commit = git("rev-parse", "HEAD")
    assert facts(repository) == (
        f'{{"root": "{repository}", "commit": "{commit}", "dirty": false}}'
    )
    (repository / "untracked").write_text("x")
    assert '"dirty": false' in output(SHOW, '{"overwrite": true}', cwd=repository)
    (repository / "model.py").write_text("x = 2\n")
    assert '"dirty": true' in output(SHOW, '{"overwrite": true}', cwd=repository)


def test_the_diff_is_kept_when_asked_and_git_can_apply_it(repository: Path) -> None:
    changed = b"# Gr\xf6\xdfe\nx = 2\n"
    (repository / "model.py").write_bytes(changed)
    git("config", "color.ui", "always")
    git("config", "diff.noprefix", "true")
    git("config", "diff.external", "false")
    output(SHOW, '{"save_diff": true}', cwd=repository)
    patch = Path("outputs/log_a/artifacts/git_diff.patch").absolute()
    git("checkout", "-q", "--", "model.py")
    git("-c", "diff.noprefix=false", "apply", str(patch))
    assert (repository / "model.py").read_bytes() == changed


def test_commit_and_patch_fit_even_if_head_moves_while_the_process_runs(repository: Path) -> None:
    program = """
        import json, subprocess
        from holdfast import Logbook, LogReader
        Logbook("first").mark_complete()  # which looks at git, once for the process
        open("model.py", "a").write("y = 1\\n")
        subprocess.run(["git", "commit", "-qam", "later"], check=True)
        with Logbook("a", save_diff=True) as log:
            pass
        print(LogReader(log.path).meta["environment"]["git"]["commit"])
    """
    commit = output(program, cwd=repository)
    patch = repository / "outputs/log_a/artifacts/git_diff.patch"
    after = (repository / "model.py").read_bytes()
    git("checkout", "-q", commit)
    git("apply", str(patch.absolute()))
    assert (repository / "model.py").read_bytes() == after


def test_the_diff_is_not_kept_unless_asked(repository: Path) -> None:
    (repository / "model.py").write_text("x = 2\n")
    output(SHOW, cwd=repository)
    assert not Path("outputs/log_a/artifacts").exists()


def test_git_is_asked_once_per_process(repository: Path) -> None:
    program = """
        import subprocess
        calls, run = [], subprocess.run
        subprocess.run = lambda *a, **k: calls.append(a) or run(*a, **k)
        from holdfast import Logbook
        Logbook("a")
        first = len(calls)
        Logbook("b")
        print(first > 0, len(calls) - first)
    """
    assert output(program, cwd=repository) == "True 0"


def test_git_is_asked_where_the_script_stands(repository: Path, tmp_path: Path) -> None:
    (repository / "script.py").write_text(SHOW)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    import sys

    shown = subprocess.run(
        [sys.executable, repository / "script.py"],
        cwd=elsewhere, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert git("rev-parse", "HEAD") in shown


@pytest.mark.parametrize("where", ["outside git", "no commit", "no git", "slow git"])
def test_a_run_begins_without_a_git_state_too(tmp_path: Path, where: str) -> None:
    options = {}
    if where == "no commit":
        subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    if where == "no git":
        options["env"] = {**os.environ, "PATH": ""}
    if where == "slow git":
        slow = tmp_path / "git"
        slow.write_text("#!/bin/sh\nexec /bin/sleep 60\n")
        slow.chmod(0o755)
        options["env"] = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    program = f"""
from holdfast.run import _environment
_environment.GIT_TIMEOUT = 0.2 if {where == "slow git"} else 30
{SHOW}
"""
    assert '"git": null' in output(program, '{"save_diff": true}', cwd=tmp_path, **options)
    assert LogReader("outputs/log_a").artifact_files == []


def test_a_run_begins_in_a_folder_that_was_removed(tmp_path: Path) -> None:
    program = f"""
        import os
        from holdfast import Logbook
        os.mkdir("gone")
        os.chdir("gone")
        os.rmdir("../gone")
        log = Logbook("a", {str(tmp_path)!r})
        print(log._meta["environment"]["cwd"])
    """
    assert output(program) == "None"


def test_a_run_begins_for_a_user_without_an_account(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr(getpass, "getuser", nobody)
    _environment._process_facts.cache_clear()
    assert Logbook("a")._meta["environment"]["user"] is None
    _environment._process_facts.cache_clear()
