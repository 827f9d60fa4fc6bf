"""Programs run as processes of their own, and looks at what a process has open."""

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from holdfast import _sync

HANG = 150.0
"""Seconds after which something that should happen at once counts as hanging."""

SEPARATORS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"


def python(program: str, *arguments: object, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run a program to its end; the caller looks at its return code."""
    command = [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)]
    return subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=HANG, **options
    )


def output(program: str, *arguments: object, **options: Any) -> str:
    """Run a program that has to succeed, and return what it printed."""
    done = python(program, *arguments, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def start(program: str, *arguments: object, **options: Any) -> "subprocess.Popen[str]":
    """Start a program and return when it has printed its first line."""
    command = [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options
    )
    assert process.stdout is not None
    assert process.stdout.readline(), "the program ended before it was ready"
    return process


def end(process: "subprocess.Popen[str]") -> int:
    """Wait for a program that was told to end, and close its pipes."""
    process.communicate(timeout=HANG)
    return process.returncode


def wait_until(condition: Callable[[], object]) -> None:
    """Return when a condition holds; a condition that never does fails the test."""
    deadline = time.monotonic() + HANG
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def open_files(below: Path) -> list[str]:
    """Return the files below a folder that this process has open."""
    _sync.drain()  # which opens files for a moment, in the background at any time
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError:  # it was the listing itself
            continue
        if target.startswith(str(below)):
            found.append(target)
    return found


def contents(folder: Path) -> Mapping[str, bytes]:
    """Return every file below a folder with its bytes."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def temporaries(folder: Path) -> list[str]:
    """Return the temporary files below a folder."""
    return [path.name for path in folder.rglob(".tmp-*")]
